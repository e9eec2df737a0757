"""The box reader, the join and the playlists, on real and on hostile bytes."""

from __future__ import annotations

import io
import json
import re
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.media import commands, fmp4, join, playlists
from app.media.fmp4 import Fragment, Index
from app.media.playlists import Segment, Track, Variant
from tests.media.conftest import ffmpeg, numbered, tone

FRAGMENTED = ("-movflags", commands._VIDEO_FRAGMENTS, "-flags", "+bitexact", "-fflags", "+bitexact", "-f", "mp4")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-sc_threshold", "0", "-threads", "1")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fmp4") / "v.mp4"
    ffmpeg(*numbered(seconds=10), *X264, "-bf", "2", *FRAGMENTED, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fmp4") / "a.mp4"
    ffmpeg(*tone(10), "-c:a", "aac", "-ac", "2", "-movflags", commands._FRAGMENTS, "-frag_duration", "4000000", path)
    return path.read_bytes()


def read(data: bytes) -> Index:
    return fmp4.index(io.BytesIO(data))


def test_index_of_pictures(video: bytes) -> None:
    index = read(video)
    assert (index.kind, index.width, index.height) == ("video", 128, 96)
    assert re.fullmatch(r"avc1\.[0-9a-f]{6}", index.codecs)
    assert [(part.start, part.duration, part.samples) for part in index.fragments] == [(n, 1.0, 25) for n in range(10)]
    ends = [part.offset + part.size for part in index.fragments]
    assert [index.init_length, *ends] == [*(part.offset for part in index.fragments), len(video)]
    assert Index.from_json(json.loads(json.dumps(index.to_json()))) == index


def test_index_of_sound(sound: bytes) -> None:
    index = read(sound)
    assert (index.kind, index.codecs, index.timescale) == ("audio", "mp4a.40.2", 48000)
    assert index.duration == pytest.approx(10, abs=0.05)


def test_the_first_picture_of_every_fragment_decodes_alone(video: bytes, tmp_path: Path) -> None:
    index = read(video)
    for part in index.fragments[:3]:
        body = video[: index.init_length] + video[part.offset : part.offset + part.key_bytes]
        (tmp_path / "key.mp4").write_bytes(body)
        argv = [
            commands.ffmpeg_path(),
            "-v",
            "error",
            "-i",
            str(tmp_path / "key.mp4"),
            "-frames:v",
            "1",
            "-f",
            "framemd5",
            "-",
        ]
        assert len([line for line in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines() if line[:1] != "#"]) == 1  # fmt: skip


@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_raise_value_error(video: bytes, data: st.DataObject) -> None:
    body = bytearray(video[:20000])
    headers = read(video).init_length + 700
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, headers))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])
    for use in (lambda: read(cut), lambda: list(join.joined([io.BytesIO(cut)]))):
        try:
            use()
        except ValueError:
            continue


@settings(max_examples=200, deadline=2000)
@given(st.binary(max_size=400))
def test_any_bytes_end_in_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        read(body)


def test_a_truncated_file_is_never_accepted(video: bytes) -> None:
    last = read(video).fragments[-1]
    for length in (len(video) - 1, last.offset + 20, read(video).init_length, 100, 4, 0):
        with pytest.raises(ValueError):
            read(video[:length])


def test_boxes_that_claim_the_moon_are_refused_before_they_are_read() -> None:
    claims = b"\x00\x00\x00\x01moov" + (1 << 62).to_bytes(8, "big")
    with pytest.raises(ValueError, match="fit"):
        read(claims)
    endless = b"\x00\x00\x00\x08free" * 1000
    with pytest.raises(ValueError):
        read(endless)


# -- join ----------------------------------------------------------------------------------------------------------


def parts_of(video: bytes) -> list[bytes]:
    index = read(video)
    init = video[: index.init_length]
    return [init + video[part.offset : part.offset + part.size] for part in index.fragments]


def test_join_gives_back_what_was_cut(video: bytes) -> None:
    assert b"".join(join.joined([io.BytesIO(part) for part in parts_of(video)])) == video


def test_sequence_numbers_rise_through_the_join(video: bytes) -> None:
    first = parts_of(video)[0]
    data = b"".join(join.joined([io.BytesIO(first)] * 3))
    numbers = [int.from_bytes(data[match.end() + 4 : match.end() + 8], "big") for match in re.finditer(b"mfhd", data)]
    assert numbers == [1, 2, 3]


def test_indexes_at_the_end_are_left_out(video: bytes) -> None:
    trailer = b"\x00\x00\x00\x10mfra" + bytes(8)
    assert b"".join(join.joined([io.BytesIO(video + trailer)])) == video


def test_chunks_of_different_encodings_do_not_join(video: bytes, sound: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="alike"):
        list(join.joined([io.BytesIO(video), io.BytesIO(sound)]))
    (tmp_path / "a").write_bytes(video)
    (tmp_path / "b").write_bytes(sound)
    with pytest.raises(ValueError, match="alike"):
        join.join([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(ValueError, match="nothing"):
        list(join.joined([]))


def test_join_streams_in_bounded_pieces(video: bytes) -> None:
    init = read(video).init_length
    moof = video[init : read(video).fragments[0].offset + int.from_bytes(video[init : init + 4], "big")]
    large = (8 + (5 << 20)).to_bytes(4, "big") + b"mdat" + bytes(5 << 20)
    pieces = list(join.joined([io.BytesIO(video[:init] + moof + large)]))
    assert max(map(len, pieces)) <= 1 << 20


# -- playlists -----------------------------------------------------------------------------------------------------


def test_media_playlist_ranges_cover_the_file(video: bytes) -> None:
    index = read(video)
    text = playlists.media(index, lambda part: f"/media/1?at={part.offset}")
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U" and lines[-1] == "#EXT-X-ENDLIST"
    assert f'#EXT-X-MAP:URI="/media/1?at=0",BYTERANGE="{index.init_length}@0"' in lines
    ranges = [tuple(map(int, match.groups())) for match in re.finditer(r"#EXT-X-BYTERANGE:(\d+)@(\d+)", text)]
    place = index.init_length
    for size, offset in ranges:
        assert offset == place
        place += size
    assert place == len(video)
    for number, line in enumerate(lines):
        if line.startswith("#EXT-X-BYTERANGE"):
            assert lines[number - 1].startswith("#EXTINF") and lines[number + 1].startswith("/media/1")
    lengths = [float(length) for length in re.findall(r"#EXTINF:([\d.]+)", text)]
    assert sum(lengths) == pytest.approx(10)
    assert all(3.9 <= length <= 6 for length in lengths[:-1])
    target = int(re.search(r"TARGETDURATION:(\d+)", text)[1])
    assert all(round(length) <= target for length in lengths)


def test_ffmpeg_plays_what_the_playlists_say(video: bytes, sound: bytes, tmp_path: Path) -> None:
    """An independent reader of HLS finds all pictures and all sound through the multivariant playlist."""
    (tmp_path / "v.mp4").write_bytes(video)
    (tmp_path / "a.mp4").write_bytes(sound)
    pictures, heard = read(video), read(sound)
    (tmp_path / "v.m3u8").write_text(playlists.media(pictures, lambda _: "v.mp4"))
    (tmp_path / "i.m3u8").write_text(playlists.iframes(pictures, lambda _: "v.mp4"))
    (tmp_path / "a.m3u8").write_text(playlists.media(heard, lambda _: "a.mp4"))
    (tmp_path / "all.m3u8").write_text(
        playlists.multivariant(
            [Variant("96p", pictures, Fraction(25))], [Track("", heard, "Sound")],
            media_uri=lambda _: "v.m3u8", iframes_uri=lambda _: "i.m3u8", audio_uri=lambda _: "a.m3u8",
        )
    )  # fmt: skip
    argv = [
        commands.ffmpeg_path(),
        "-v",
        "error",
        "-allowed_extensions",
        "ALL",
        "-i",
        "all.m3u8",
        "-map",
        "0:v:0",
        "-map",
        "0:a:0",
    ]
    run = subprocess.run([*argv, "-f", "framecrc", "-"], cwd=tmp_path, capture_output=True, text=True, check=True)
    rows = [line.split(",") for line in run.stdout.splitlines() if not line.startswith("#")]
    assert sum(row[0] == "0" for row in rows) == 250
    assert sum(row[0].strip() == "1" for row in rows) > 400
    assert run.stderr == ""


def test_multivariant_says_what_was_measured(video: bytes, sound: bytes) -> None:
    pictures, heard = read(video), read(sound)
    text = playlists.multivariant(
        [Variant("480p", pictures, Fraction(30000, 1001)), Variant("360p", pictures, Fraction(25))],
        [Track("", heard, "Sound", "en"), Track("track-2", heard, "Sound 2 (Welsh)", "cy", describes=True)],
        media_uri=lambda name: f"/p/{name}", iframes_uri=lambda name: f"/i/{name}", audio_uri=lambda name: f"/a/{name}",
    )  # fmt: skip
    peak, average = playlists.rates(playlists.segments(pictures))
    sound_peak, sound_average = playlists.rates(playlists.segments(heard))
    assert f"BANDWIDTH={peak + sound_peak},AVERAGE-BANDWIDTH={average + sound_average}," in text
    assert f'CODECS="{pictures.codecs},mp4a.40.2",RESOLUTION=128x96,FRAME-RATE=29.970,AUDIO="audio"\n/p/480p' in text
    assert 'NAME="Sound",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="/a/"' in text
    assert 'NAME="Sound 2 (Welsh)",LANGUAGE="cy",DEFAULT=NO,AUTOSELECT=YES,CHARACTERISTICS="public.' in text
    assert text.count("#EXT-X-I-FRAME-STREAM-INF") == 2
    assert 'URI="/i/360p"' in text
    silent = playlists.multivariant(
        [Variant("480p", pictures, Fraction(25))], [], media_uri=str, iframes_uri=str, audio_uri=str
    )
    assert "AUDIO" not in silent and "mp4a" not in silent


def test_sound_without_a_picture_is_a_variant_of_its_own(sound: bytes, tmp_path: Path) -> None:
    heard = read(sound)
    text = playlists.multivariant(
        [], [Track("", heard, "Sound")], media_uri=str, iframes_uri=str, audio_uri=lambda _: "a.m3u8"
    )
    assert text.endswith(f'CODECS="{heard.codecs}",AUDIO="audio"\na.m3u8\n')
    assert "RESOLUTION" not in text


@given(st.lists(st.tuples(st.integers(1, 10**7), st.floats(0.04, 6)), min_size=1, max_size=30))
def test_rates_hold_for_every_segment_that_counts(rows: list[tuple[int, float]]) -> None:
    parts = [Segment(0, size, seconds) for size, seconds in rows]
    peak, average = playlists.rates(parts)
    target = playlists.target_duration(parts)
    assert peak >= average >= 1
    assert all(peak >= int(size * 8 / seconds) for size, seconds in rows if 0.5 * target <= seconds)


@given(st.lists(st.tuples(st.integers(9, 10**6), st.floats(0.04, 10)), min_size=1, max_size=60))
def test_segments_lose_no_byte_and_no_time(rows: list[tuple[int, float]]) -> None:
    fragments, offset, start = [], 700, 0.0
    for size, seconds in rows:
        fragments.append(Fragment(offset, size, start, seconds, 1, 8))
        offset, start = offset + size, start + seconds
    parts = playlists.segments(Index("video", "avc1.64001f", 2, 2, 1000, 700, tuple(fragments)))
    assert sum(part.size for part in parts) == offset - 700
    assert sum(part.duration for part in parts) == pytest.approx(start)
    assert [part.offset for part in parts] == sorted(part.offset for part in parts)


@pytest.mark.parametrize("address", ['a"b', "a\nb", "#x", ""])
def test_addresses_cannot_break_out(address: str, video: bytes) -> None:
    with pytest.raises(ValueError):
        playlists.media(read(video), lambda _: address)
