"""Which frame stands for a recording, and the shape of its sound."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.media import encode, ladder, peaks
from app.media.posters import Frame, Measurements, choose
from app.media.probe import probe
from tests.media.conftest import Make, tone

GOOD = Frame(50.0, mean=110, low=40, high=190, blur=4.0)


@pytest.mark.parametrize(
    "worse",
    [
        replace(GOOD, blur=9.0), replace(GOOD, mean=20, low=16, high=40), replace(GOOD, mean=228, low=220, high=235),
        replace(GOOD, low=105, high=115), replace(GOOD, blur=0.0),
    ],
    ids=["blurred", "black", "burnt out", "flat", "unmeasured"],
)  # fmt: skip
def test_a_sharp_and_well_lit_frame_wins(worse: Frame) -> None:
    for at in (10.0, 30.0, 70.0, 90.0):
        second, _ = choose(
            [replace(worse, second=s) for s in (10.0, 30.0, 70.0, 90.0) if s != at] + [replace(GOOD, second=at)], 100
        )
        assert second == at


def test_candidates_are_spread_and_none_is_black() -> None:
    frames = [replace(GOOD, second=float(n), blur=4 + n % 7) for n in range(100)]
    poster, others = choose(frames, 100)
    assert len(others) == 6
    assert others == sorted(others)
    assert all(b - a > 5 for a, b in itertools.pairwise(others))
    assert poster in others
    assert others[0] >= 3 and others[-1] <= 97, "titles fade in and out at the ends"
    dark = [replace(frame, mean=17.0, low=16.0, high=20.0) if frame.second < 60 else frame for frame in frames]
    assert min(choose(dark, 100)[1]) >= 60


@settings(max_examples=40)
@given(st.lists(st.text(max_size=20), max_size=8))
def test_whatever_the_filters_write(lines: list[str]) -> None:
    read = Measurements()
    for line in ["frame:0 pts:0 pts_time:1.5", *lines, "lavfi.blur=nan"]:
        read.feed(line)
    read.close()
    second, others = choose(read.frames, 10)
    assert second in others


def test_the_poster_of_a_film_is_its_lit_and_sharp_part(make: Make, tmp_path: Path) -> None:
    # 2 s black, 2 s blurred, 2 s sharp, 2 s white
    parts = [
        "color=black:s=320x180:r=10:d=2", "testsrc2=s=320x180:r=10:d=2,gblur=sigma=12", "testsrc2=s=320x180:r=10:d=2",
        "color=white:s=320x180:r=10:d=2",
    ]  # fmt: skip
    inputs = [word for part in parts for word in ("-f", "lavfi", "-i", part)]
    film = make(
        "parts.mp4", *inputs, *tone(8), "-filter_complex", "[0:v][1:v][2:v][3:v]concat=n=4:v=1:a=0[v]", "-map", "[v]",
        "-map", "4:a", "-c:v", "mpeg4", "-q:v", "3", "-pix_fmt", "yuv420p",
    )  # fmt: skip
    plan = ladder.plan(probe(film, tmp_path / "probe", max_duration_seconds=60), chunk_seconds=60, threads=1)
    picture = encode.transcode_chunk(film, plan, 0, tmp_path / "work")[plan.lowest.name]
    found = encode.make_posters(picture, picture, plan, tmp_path / "work")
    assert found.poster[0] == 4.0
    assert 0.0 not in [second for second, _ in found.candidates]
    assert all(file.stat().st_size > 500 for _, file in (found.poster, *found.candidates))
    for second in (0.0, 5.03, plan.duration_seconds - 0.5):
        assert encode.still_at(picture, second, tmp_path / "work").stat().st_size > 500
    sound = encode.encode_audio(film, plan, tmp_path / "work")
    assert sound is not None
    shape = json.loads(encode.peaks(sound, tmp_path / "work").read_text())
    assert shape["length"] == pytest.approx(8 * 20, abs=1)
    lows, highs = np.array(shape["data"]).reshape(-1, 2)[5:-5].T
    assert (highs > 20).all() and (lows < -20).all(), "a tone is as loud everywhere"
    assert abs(highs + lows).max() <= 3


def test_the_shape_is_the_lowest_and_highest_of_every_50_ms(tmp_path: Path) -> None:
    samples = np.zeros(peaks.SAMPLES_PER_PAIR * 3 + 7, dtype=np.int8)
    samples[10], samples[399], samples[400], samples[-1] = 127, -128, 5, -3
    (tmp_path / "samples").write_bytes(samples.tobytes())
    assert peaks.read(tmp_path / "samples")["data"] == [-128, 127, 0, 5, 0, 0, -3, 0]
    (tmp_path / "none").write_bytes(b"")
    assert peaks.read(tmp_path / "none")["length"] == 0
