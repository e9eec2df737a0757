"""Plans: rungs, chunks, stills geometry. Pure, so by example and by property."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.media import ladder, loudness, stills
from app.media.ladder import LADDER, Plan
from app.media.probe import AudioTrack, Probe, VideoStream

VIDEO = VideoStream(
    index=0, codec="hevc", profile="Main", pixel_format="yuv420p", width=1920, height=1080, display_width=1920,
    display_height=1080, rotation=0, pixel_aspect="1/1", frames=2500, first_seconds=0.0, rate="25", average_rate=25.0,
    variable=False, interlaced=False, hdr=None, keyframe_gap_seconds=2.0, starts_with_keyframe=True,
    parameters_change=False, bit_rate=2_000_000, peak_bit_rate=3_000_000,
)  # fmt: skip


def source(width: int = 1920, height: int = 1080, seconds: float = 100.0, rate: str = "25", **changes: object) -> Probe:
    values = {**VIDEO.__dict__, "width": width, "height": height, "display_width": width, "display_height": height}
    values |= {"rate": rate, "average_rate": float(Fraction(rate)), **changes}
    return Probe("mov", 1, 0.0, seconds, True, VideoStream(**values), ())  # type: ignore[arg-type]


def sizes(width: int, height: int) -> list[tuple[str, int, int]]:
    plan = ladder.plan(source(width, height), chunk_seconds=60, threads=2)
    return [(rung.name, rung.width, rung.height) for rung in plan.rungs]


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1920, 1080, [("1080p", 1920, 1080), ("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)]),
        (3840, 2160, [("1080p", 1920, 1080), ("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)]),
        (720, 1280, [("720p", 720, 1280), ("480p", 480, 854), ("360p", 360, 640)]),
        (768, 432, [("432p", 768, 432), ("360p", 640, 360)]),
        (500, 500, [("480p", 480, 480), ("360p", 360, 360)]),
        (200, 201, [("200p", 200, 200)]),
        (3, 1, [("2p", 2, 2)]),
    ],
)
def test_rungs(width: int, height: int, expected: list[tuple[str, int, int]]) -> None:
    assert sizes(width, height) == expected


@given(st.integers(2, 8000), st.integers(2, 8000))
def test_rungs_are_even_fall_and_never_enlarge(width: int, height: int) -> None:
    found = sizes(width, height)
    assert all(w % 2 == h % 2 == 0 and w <= width and h <= height for _, w, h in found)
    shorts = [min(w, h) for _, w, h in found]
    assert shorts == sorted(set(shorts), reverse=True)
    assert len({name for name, _, _ in found}) == len(found)
    assert max(shorts) <= LADDER[0].short_edge
    assert min(shorts) <= max(LADDER[-1].short_edge, 2)


@settings(deadline=None, max_examples=50)
@given(
    st.floats(0.04, 20_000),
    st.sampled_from(["10", "25", "30000/1001", "24000/1001", "30", "25/2"]),
    st.floats(5, 600),
)
def test_chunks_cover_every_frame_once_and_start_on_a_group(seconds: float, rate: str, chunk_seconds: float) -> None:
    plan = ladder.plan(source(seconds=seconds, rate=rate), chunk_seconds=chunk_seconds, threads=1)
    position = 0
    for number, chunk in enumerate(plan.chunks):
        assert (chunk.index, chunk.start) == (number, position)
        assert chunk.frames > 0 and chunk.start % plan.gop == 0
        position += chunk.frames
    assert position == plan.total_frames
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_one_chunk_where_seeking_is_not_exact() -> None:
    probe = Probe(**{**source().__dict__, "seekable_exactly": False})
    assert len(ladder.plan(probe, chunk_seconds=10, threads=1).chunks) == 1


GOOD = {"codec": "h264", "profile": "High"}


@pytest.mark.parametrize(
    ("change", "copied"),
    [
        ({}, True), ({"codec": "hevc"}, False), ({"profile": "High 10"}, False), ({"pixel_format": "yuvj420p"}, False),
        ({"interlaced": True}, False), ({"rotation": 90}, False), ({"variable": True}, False),
        ({"keyframe_gap_seconds": 4.5}, False), ({"keyframe_gap_seconds": 4.0}, True), ({"bit_rate": 5_850_000}, True),
        ({"bit_rate": 5_900_000}, False), ({"peak_bit_rate": 20_000_000}, False), ({"average_rate": 50.0}, False),
        ({"pixel_aspect": "4/3"}, False), ({"first_seconds": 0.5}, False), ({"parameters_change": True}, False),
        ({"starts_with_keyframe": False}, False), ({"hdr": "hlg"}, False),
    ],
)  # fmt: skip
def test_when_the_top_rung_is_copied(change: dict[str, object], copied: bool) -> None:
    plan = ladder.plan(source(**{**GOOD, **change}), chunk_seconds=60, threads=2)  # type: ignore[arg-type]
    assert (plan.copied is not None) is copied
    assert [rung.name for rung in plan.encoded] == ["1080p", "720p", "480p", "360p"][copied:]
    assert plan.plain.name == "480p" and plan.lowest.name == "360p"


def test_a_larger_source_is_not_copied() -> None:
    assert ladder.plan(source(2560, 1440, **GOOD), chunk_seconds=60, threads=2).copied is None  # type: ignore[arg-type]


def track(index: int, default: bool) -> AudioTrack:
    return AudioTrack(index, "aac", 2, 48000, "", default, 0.0, 9.0)


def test_the_default_track_else_the_first() -> None:
    assert ladder.choose_sounds((track(1, False), track(2, True)), None) == [track(2, True)]
    assert ladder.choose_sounds((track(1, False), track(2, False)), None) == [track(1, False)]
    assert ladder.choose_sounds((), None) == []


def test_chosen_tracks_in_the_order_of_the_choice() -> None:
    tracks = (track(1, False), track(2, True), track(3, False))
    assert ladder.choose_sounds(tracks, [3, 1, 3]) == [track(3, False), track(1, False)]
    assert ladder.choose_sounds(tracks, [9]) == [track(2, True)], "a choice for another file says nothing of this one"
    many = tuple(track(n, False) for n in range(20))
    assert len(ladder.choose_sounds(many, list(range(20)))) == ladder.MAX_SOUNDS


@given(st.floats(4, 30_000), st.sampled_from(["1", "10", "24000/1001", "25", "30000/1001"]), st.floats(4, 200))
def test_chunks_of_a_segment_or_more_end_with_a_segment(seconds: float, rate: str, chunk_seconds: float) -> None:
    plan = ladder.plan(source(640, 360, seconds, rate), chunk_seconds=chunk_seconds, threads=1)
    assert plan.grows


def test_a_plan_of_one_track_is_read_as_it_was_written_before() -> None:
    plan = ladder.plan(source(640, 360, 5.0), chunk_seconds=60, threads=1)
    old = plan.to_json()
    del old["sounds"]
    assert ladder.Plan.from_json(old | {"sound": {"index": 1, "channels": 2, "first_seconds": 0.0}}).sounds == (
        ladder.Sound(1, 2, 0.0),
    )
    assert ladder.Plan.from_json(old | {"sound": None}).sounds == ()
    assert ladder.Plan.from_json(plan.to_json()) == plan


@given(
    st.floats(0.1, 40_000), st.sampled_from(["10", "25", "30000/1001"]), st.integers(16, 2000), st.integers(16, 2000)
)
def test_storyboard_geometry(seconds: float, rate: str, width: int, height: int) -> None:
    plan = ladder.plan(source(width, height, seconds, rate), chunk_seconds=60, threads=1)
    board = stills.storyboard(plan)
    assert 1 <= board.tiles <= stills.MAX_TILES
    assert (
        (board.tiles - 1) * board.interval_seconds
        < plan.total_frames / plan.fps
        <= board.tiles * board.interval_seconds
    )
    x, y, tile_width, tile_height = board.tile(board.tiles - 1)
    assert x + tile_width <= board.columns * board.tile_width and y + tile_height == board.rows * board.tile_height
    assert max(board.columns * board.tile_width, board.rows * board.tile_height) < 16_384
    assert stills.Storyboard.from_json(json.loads(json.dumps(board.to_json()))) == board


def test_storyboard_as_webvtt() -> None:
    board = stills.storyboard(ladder.plan(source(640, 360, 5.0), chunk_seconds=60, threads=1))
    assert board.webvtt(lambda: "/s.jpg").splitlines() == [
        "WEBVTT", "",
        "00:00:00.000 --> 00:00:02.000", "/s.jpg#xywh=0,0,160,90", "",
        "00:00:02.000 --> 00:00:04.000", "/s.jpg#xywh=160,0,160,90", "",
        "00:00:04.000 --> 00:00:05.000", "/s.jpg#xywh=320,0,160,90",
    ]  # fmt: skip


LOG = "[x] RMS level dB: {left}\n[x] RMS level dB: {right}\n  I: {loudness} LUFS\n"


@pytest.mark.parametrize(
    ("left", "right", "measured", "gain", "side"),
    [
        ("-20", "-21", "-26.0", 10.0, None), ("-20", "-inf", "-26.0", 10.0, 0), ("-70.5", "-30", "-36.0", 20.0, 1),
        ("-inf", "-inf", "-70.0", 0.0, None), ("-80", "-80", "-66.5", 50.0, None), ("-80", "-80", "-68.0", 0.0, None),
        ("-10", "-10", "-6.0", -10.0, None), ("nan", "nan", "-inf", 0.0, None),
    ],
)  # fmt: skip
def test_correction(left: str, right: str, measured: str, gain: float, side: int | None) -> None:
    found = loudness.correction(LOG.format(left=left, right=right, loudness=measured))
    assert found == loudness.Correction(pytest.approx(gain), side)


@given(st.text(max_size=200))
def test_any_log_gives_a_correction_or_a_value_error(log: str) -> None:
    try:
        assert abs(loudness.correction(log).gain_db) <= 200
    except ValueError as error:
        assert "loudness" in str(error)
