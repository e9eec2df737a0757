"""What is measured, and what is refused with which sentence."""

from __future__ import annotations

import json
import random
import signal
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RejectedMedia
from app.media import ladder, rates, sandbox, sniff
from app.media import probe as probing
from app.media.probe import Probe, probe
from tests.media.conftest import Make, numbered, tone

FAST = ("-c:v", "libx264", "-preset", "ultrafast")


def look(path: Path, tmp_path: Path, limit: float = 3600) -> Probe:
    return probe(path, tmp_path / "probe", max_duration_seconds=limit)


def refused(path: Path, tmp_path: Path, limit: float = 3600) -> RejectedMedia:
    with pytest.raises(RejectedMedia) as caught:
        look(path, tmp_path, limit)
    return caught.value


def test_an_ordinary_file(talk: Path, tmp_path: Path) -> None:
    found = look(talk, tmp_path)
    assert found.demuxer == "mov"
    assert found.seekable_exactly
    assert found.duration_seconds == pytest.approx(5, abs=0.04)
    assert (found.video.rate, found.video.variable, found.video.codec) == ("30000/1001", False, "h264")
    assert found.video.keyframe_gap_seconds == pytest.approx(70 * 1001 / 30000, abs=0.001)
    assert [(track.default, track.channels) for track in found.audio] == [(True, 1)]
    assert Probe.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    ("rate", "expected"),
    [("10", "10"), ("25", "25"), ("50", "25"), ("60000/1001", "30000/1001"), ("60", "30"), ("15", "15")],
)
def test_rates_are_kept_or_divided(rate: str, expected: str, make: Make, tmp_path: Path) -> None:
    path = make(f"rate{rate.replace('/', '_')}.mkv", *numbered(rate=rate, seconds=2), *FAST)
    assert look(path, tmp_path).video.rate == expected


def test_variable_rate(make: Make, tmp_path: Path) -> None:
    found = look(
        make(
            "variable.mkv", *numbered(seconds=4), *FAST, "-vf", "select=not(mod(n\\,7))+lt(n\\,20)", "-fps_mode", "vfr"
        ),
        tmp_path,
    )
    assert found.video.variable
    assert 10 <= Fraction(found.video.rate) <= 30


def test_rotation_and_pixel_aspect_give_the_shown_size(make: Make, talk: Path, tmp_path: Path) -> None:
    turned = make("turned.mp4", "-display_rotation", "90", "-i", talk, "-c", "copy")
    video = look(turned, tmp_path / "a").video
    assert (video.width, video.height, video.display_width, video.display_height) == (128, 96, 96, 128)
    wide = make("wide.mp4", *numbered(seconds=1), *FAST, "-vf", "setsar=3/2")
    assert look(wide, tmp_path / "b").video.display_width == 192


def test_interlaced(make: Make, tmp_path: Path) -> None:
    path = make(
        "fields.mpg",
        *numbered(size="176x144", seconds=2),
        "-c:v",
        "mpeg2video",
        "-flags",
        "+ildct+ilme",
        "-vf",
        "setfield=tff",
        "-b:v",
        "1M",
    )
    found = look(path, tmp_path)
    assert found.video.interlaced
    assert not found.seekable_exactly


def test_high_dynamic_range(make: Make, tmp_path: Path) -> None:
    colours = "hdr-opt=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none"
    path = make(
        "hdr.mp4",
        *numbered(seconds=1),
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p10le",
        "-x265-params",
        colours,
    )
    video = look(path, tmp_path).video
    assert (video.hdr, video.pixel_format) == ("pq", "yuv420p10le")


def test_two_tracks_know_their_language_and_which_is_default(make: Make, tmp_path: Path) -> None:
    path = make(
        "two.mkv", *numbered(seconds=2), *tone(2), *tone(2), "-map", "0", "-map", "1", "-map", "2", *FAST,
        *("-metadata:s:a:0", "language=cym", "-metadata:s:a:1", "language=eng", "-disposition:a:0", "0", "-disposition:a:1", "default"),
    )  # fmt: skip
    assert [(track.language, track.default) for track in look(path, tmp_path).audio] == [("cym", False), ("eng", True)]


def test_a_header_that_lies_about_its_length_is_not_believed(talk: Path, tmp_path: Path) -> None:
    data = bytearray(talk.read_bytes())
    for box, units in ((b"mvhd", 1000), (b"mdhd", 30000)):
        at = data.find(box) + 20
        data[at : at + 4] = (30 * 3600 * units & 0xFFFFFFFF).to_bytes(4, "big")
    (tmp_path / "lies.mp4").write_bytes(data)
    assert look(tmp_path / "lies.mp4", tmp_path, limit=60).duration_seconds == pytest.approx(5, abs=0.1)


def test_longer_than_allowed(talk: Path, tmp_path: Path) -> None:
    error = refused(talk, tmp_path, limit=2)
    assert error.code == "too-long"
    assert "shorter than 2 seconds" in str(error)


TEXTS = {
    "page.mp4": (b"<!doctype html><html><body>hello</body></html>", "not-a-video"),
    "drawing.mp4": (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "not-a-video"),
    "notes.mp4": ("Caf\u00e9 notes, nothing else".encode(), "not-a-video"),
    "paper.mp4": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "not-a-video"),
    "program.mp4": (b"\x7fELF\x02\x01\x01" + bytes(64), "not-a-video"),
    "noise.mp4": (bytes(range(256)) * 40, "undecodable"),
    "empty.mp4": (b"", "empty-file"),
    "list.mp4": (b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{canary}\n#EXT-X-ENDLIST\n", "refers-elsewhere"),
    "bom.mp4": (b"\xef\xbb\xbf \n#EXTM3U\n#EXTINF:5,\n{canary}\n", "refers-elsewhere"),
    "concat.mp4": (b"ffconcat version 1.0\nfile {canary}\n", "refers-elsewhere"),
    "concat2.mp4": (b"file '{canary}'\n", "refers-elsewhere"),
    "dash.mp4": (b'<?xml version="1.0"?>\n<MPD><Period><BaseURL>{canary}</BaseURL></Period></MPD>', "refers-elsewhere"),
    "session.mp4": (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 1234 RTP/AVP 96\r\n", "refers-elsewhere"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_video_is_refused_and_nothing_else_is_opened(name: str, talk: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary.mp4"
    canary.write_bytes(talk.read_bytes())
    body, code = TEXTS[name]
    for text in (body, body.replace(b"{canary}", b"file:{canary}")):
        (tmp_path / name).write_bytes(text.replace(b"{canary}", str(canary).encode()))
        before = canary.stat().st_atime_ns
        error = refused(tmp_path / name, tmp_path / text[:3].hex())
        assert error.code == code
        assert name not in str(error)
        assert canary.stat().st_atime_ns == before


@pytest.mark.parametrize("name", ["list.mp4", "concat.mp4", "dash.mp4", "session.mp4"])
def test_the_prober_itself_opens_no_neighbour_even_past_the_first_check(
    name: str, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sniff, "check", lambda source: source.stat().st_size)
    canary = tmp_path / "canary.mp4"
    canary.write_bytes(talk.read_bytes())
    (tmp_path / name).write_bytes(TEXTS[name][0].replace(b"{canary}", str(canary).encode()))
    assert refused(tmp_path / name, tmp_path).code == "undecodable"


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "webp", "bmp", "tiff"])
def test_pictures(kind: str, make: Make, tmp_path: Path) -> None:
    picture = make(f"picture.{kind}", *numbered(seconds=0.04), "-frames:v", "1")
    named = tmp_path / "picture.mp4"
    named.write_bytes(picture.read_bytes())
    assert refused(named, tmp_path).code == "image"


def test_a_single_picture_in_a_video_file(make: Make, tmp_path: Path) -> None:
    assert refused(make("one.mp4", *numbered(seconds=0.04), *FAST), tmp_path).code == "image"


def test_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "slides.mp4", "w") as archive:
        archive.writestr("a", "b")
    assert refused(tmp_path / "slides.mp4", tmp_path).code == "not-a-video"


@pytest.mark.parametrize(
    "arguments", [("sound.m4a", "-c:a", "aac"), ("sound.mp3",), ("sound.wav",), ("sound.mka", "-c:a", "aac")]
)
def test_sound_alone(arguments: tuple[str, ...], make: Make, tmp_path: Path) -> None:
    found = look(make(arguments[0], *tone(1), *arguments[1:]), tmp_path)
    assert found.video is None
    assert [track.channels for track in found.audio] == [1]
    assert found.duration_seconds == pytest.approx(1, abs=0.1)
    plan = ladder.plan(found, chunk_seconds=60, threads=1)
    assert (plan.rungs, plan.chunks, plan.copied, len(plan.sounds)) == ((), (), None, 1)


def test_notes_to_be_played_are_not_sound(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(b"MThd\x00\x00\x00\x06\x00\x01\x00\x02\x00\x60" + bytes(200))
    assert refused(tmp_path / "song.mp3", tmp_path).code == "not-a-video"


def test_sound_that_does_not_decode(tmp_path: Path) -> None:
    (tmp_path / "noise.mp3").write_bytes(b"ID3\x04\x00\x00\x00\x00\x00\x00" + random.Random(3).randbytes(60_000))
    assert refused(tmp_path / "noise.mp3", tmp_path).code in ("undecodable", "not-a-video")


def test_sound_with_a_cover_picture(make: Make, tmp_path: Path) -> None:
    cover = make("cover.jpg", *numbered(seconds=0.04), "-frames:v", "1")
    path = make(
        "cover.m4a",
        *tone(1),
        "-i",
        cover,
        "-map",
        "0",
        "-map",
        "1",
        "-c:a",
        "aac",
        "-c:v",
        "copy",
        "-disposition:v",
        "attached_pic",
    )
    assert look(path, tmp_path).video is None


def test_a_file_that_breaks_off_after_its_index_is_taken_and_says_so(make: Make, tmp_path: Path) -> None:
    whole = make("long.mp4", *numbered(seconds=20), *FAST, "-g", "25", "-movflags", "+faststart")
    assert look(whole, tmp_path).missing == []
    data = whole.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    found = look(tmp_path / "cut.mp4", tmp_path / "cut")
    (hole,) = found.missing
    assert 5 < hole.start < 17 and hole.end == pytest.approx(20, abs=0.1)
    assert hole.sentence.startswith("The file should last 0:20, but could be read until 0:")


def test_cut_off_before_its_index(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.mp4").write_bytes(talk.read_bytes()[:-20000])
    error = refused(tmp_path / "cut.mp4", tmp_path)
    assert error.code == "truncated"
    assert "Copy it again" in str(error)


def test_cut_off_matroska_gives_what_is_there(make: Make, tmp_path: Path) -> None:
    whole = make("whole.mkv", *numbered(seconds=4), *FAST, "-g", "25").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    assert 0.5 < look(tmp_path / "cut.mkv", tmp_path).duration_seconds < 3.5


def test_a_picture_that_is_far_too_large(make: Make, tmp_path: Path) -> None:
    path = make("huge.mp4", "-f", "lavfi", "-i", "color=s=8192x4608:r=5:d=0.4", *FAST)
    assert refused(path, tmp_path).code == "picture-too-large"


def test_pictures_days_apart(make: Make, tmp_path: Path) -> None:
    path = make(
        "days.mkv", *numbered(seconds=1), *FAST, "-vf", "setpts=if(lt(N\\,20)\\,PTS\\,PTS+7200/TB)", "-fps_mode", "vfr"
    )
    assert refused(path, tmp_path / "a", limit=3 * 3600).code == "broken-times"
    assert refused(path, tmp_path / "b", limit=3600).code == "too-long"


def test_a_prober_that_cannot_run_is_not_the_files_fault(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_CHILD", tmp_path / "missing.py")
    with pytest.raises(sandbox.Failed):
        look(talk, tmp_path)


@pytest.mark.parametrize(
    ("number", "refusal"), [(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGSEGV, True)]
)
def test_a_prober_that_is_killed_is_not_the_files_fault_but_one_that_crashes_is(
    number: int, refusal: bool, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"import os; os.kill(os.getpid(), {int(number)})")
    monkeypatch.setattr(probing, "_CHILD", child)
    real = sandbox.run
    monkeypatch.setattr(sandbox, "run", lambda argv, **given: real(argv, **given, readable=(child,)))
    with pytest.raises(RejectedMedia if refusal else sandbox.Failed):
        look(talk, tmp_path)


def test_every_sentence_is_plain() -> None:
    for code, sentence in sniff.SENTENCES.items():
        assert sentence.startswith(("The selected file", "The times inside", "The picture of"))
        assert sentence.endswith(".")
        assert code == code.lower()


@given(st.binary(max_size=200))
def test_any_first_bytes_get_an_answer(head: bytes) -> None:
    assert sniff.reason(head) in (None, *sniff.SENTENCES)


@given(st.floats(0.5, 240), st.integers(2, 10_000))
def test_output_rate_is_between_one_and_thirty(rate: float, frames: int) -> None:
    grid = {"mean": 1 / rate, "median": 1 / rate, "largest": 1 / rate, "deviation": 0.0}
    assert 1 <= rates.output_rate(grid, frames, 1e-5) <= 30
