"""From source to rendition: exact frames, exact times, sound at its second and loud enough."""

from __future__ import annotations

import hashlib
import json
import struct
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from app.media import commands, encode, fmp4, join, ladder, loudness, playlists, sandbox
from app.media.ladder import Plan
from app.media.probe import probe
from tests.media.conftest import Make, numbered, tone

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12")


def planned(source: Path, tmp_path: Path, chunk_seconds: float = 2, *, copy: bool = False) -> Plan:
    """The plan of a source; without `copy`, one that encodes every rung."""
    found = probe(source, tmp_path / f"probe{chunk_seconds}", max_duration_seconds=3600)
    if not copy and found.video is not None:
        found = replace(found, video=replace(found.video, keyframe_gap_seconds=99.0))
    return ladder.plan(found, chunk_seconds=chunk_seconds, threads=2)


def renditions(source: Path, plan: Plan, tmp_path: Path) -> dict[str, Path]:
    """All renditions of a source, the encoded ones joined from their chunks."""
    parts: dict[str, list[Path]] = {}
    for chunk in plan.chunks:
        for name, path in encode.transcode_chunk(source, plan, chunk.index, tmp_path / "work").items():
            parts.setdefault(name, []).append(path)
    made = {}
    for name, paths in parts.items():
        made[name] = tmp_path / f"{plan.rate.replace('/', '_')}-{len(paths)}-{name}.mp4"
        join.join(paths, made[name])
    if plan.copied:
        made[plan.copied.name] = encode.copy_top(source, plan, tmp_path / "work")
    return made


def boxes(data: bytes, wanted: bytes) -> list[bytes]:
    """Bodies of all boxes of a kind, wherever they are inside the usual containers."""
    found, place = [], 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + size]
        if kind == wanted:
            found.append(body)
        elif kind in (b"moov", b"trak", b"mdia", b"moof", b"traf"):
            found += boxes(body, wanted)
        place += size
    return found


def shown_times(path: Path) -> list[float]:
    """Composition times by the letter of ISO/IEC 14496-12 (FFmpeg moves them to keep decoding times below)."""
    data = path.read_bytes()
    timescale = struct.unpack_from(">I", boxes(data, b"mdhd")[0], 12)[0]
    times = []
    for moof in boxes(data, b"moof"):
        header = boxes(moof, b"tfhd")[0]
        flags = int.from_bytes(header[1:4], "big")
        default = struct.unpack_from(">I", header, 8)[0] if flags & 8 else None
        now = struct.unpack_from(">Q", boxes(moof, b"tfdt")[0], 4)[0]
        (trun,) = boxes(moof, b"trun")
        flags, count = int.from_bytes(trun[1:4], "big"), struct.unpack_from(">I", trun, 4)[0]
        place = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
        for _ in range(count):
            row = {}
            for bit in (0x100, 0x200, 0x400, 0x800):
                if flags & bit:
                    row[bit] = struct.unpack_from(">i", trun, place)[0]
                    place += 4
            times.append((now + row.get(0x800, 0)) / timescale)
            now += row.get(0x100, default)
    return sorted(times)


def pictures(path: Path) -> tuple[list[float], list[float]]:
    """Times in seconds and mean brightness of all frames."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    levels = [float(frame.reformat(format="gray").to_ndarray()[:, : frame.width].mean()) for frame in frames]
    times = [float(frame.pts * frame.time_base) for frame in frames]
    return shown_times(path) if b"moof" in path.read_bytes() else times, levels


def samples(path: Path, ignore_edits: bool = True) -> np.ndarray:
    """Sound as (channels, samples) at 48 kHz, beginning at time 0."""
    with av.open(str(path), options={"ignore_editlist": "1"} if ignore_edits else {}) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].pts == 0
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


def decibels(sound: np.ndarray) -> float:
    return float(20 * np.log10(max(np.sqrt(np.mean(sound.astype(float) ** 2)), 1e-9)))


SOURCES = {
    "talk": (*numbered(rate="30000/1001"), *tone(), *X264, "-bf", "2", "-g", "70"),
    "sixty": (*numbered(rate="60", seconds=5), *X264, "-bf", "2", "-g", "90"),
    "standing": (*numbered(seconds=8), *X264, "-g", "40", "-vf", "select=lt(n\\,30)+gt(n\\,130)", "-fps_mode", "vfr"),
    "opengop": (*numbered(seconds=5), "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le",
                "-x265-params", "open-gop=1:keyint=40:min-keyint=40:bframes=3:log-level=none"),
    "latepicture": ("-itsoffset", "0.4", *numbered(seconds=5), *tone(), *X264, "-g", "60"),
}  # fmt: skip


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("name", SOURCES)
def test_chunks_are_the_whole(name: str, container: str, make: Make, tmp_path: Path) -> None:
    source = make(f"{name}.{container}", *SOURCES[name])
    plan, whole = planned(source, tmp_path), planned(source, tmp_path, 1000)
    assert len(plan.chunks) > 1 and len(whole.chunks) == 1
    joined, at_once = renditions(source, plan, tmp_path), renditions(source, whole, tmp_path)
    times, levels = pictures(joined[plan.lowest.name])
    whole_times, whole_levels = pictures(at_once[plan.lowest.name])
    assert len(times) == plan.total_frames
    assert times == pytest.approx([float(n / plan.fps) for n in range(plan.total_frames)], abs=1e-4)
    assert times == whole_times
    assert levels == pytest.approx(whole_levels, abs=4)


def test_the_picture_that_stands_stays_until_the_next(make: Make, tmp_path: Path) -> None:
    source = make("standing.mp4", *SOURCES["standing"])
    plan = planned(source, tmp_path)
    _, levels = pictures(renditions(source, plan, tmp_path)[plan.lowest.name])
    fps = float(plan.fps)
    expected = [20 + (29 * 37) % 200] * 3
    assert [levels[int(second * fps)] for second in (1.5, 3, 5)] == pytest.approx(expected, abs=4)


def test_a_chunk_done_again_is_the_same_to_the_byte(talk: Path, tmp_path: Path) -> None:
    plan = planned(talk, tmp_path)
    digests = set()
    for _ in range(2):
        files = encode.transcode_chunk(talk, plan, 1, tmp_path / "again")
        digests.add(tuple(hashlib.sha256(files[rung.name].read_bytes()).hexdigest() for rung in plan.encoded))
    assert len(digests) == 1


def test_one_process_makes_all_rungs_alike(make: Make, tmp_path: Path) -> None:
    source = make(
        "ladder.mkv", *numbered(size="864x486", seconds=3), "-c:v", "libx264", "-preset", "ultrafast", "-g", "250"
    )
    plan = planned(source, tmp_path)
    assert [(rung.name, rung.copied) for rung in plan.rungs] == [("480p", False), ("360p", False)]
    made = renditions(source, plan, tmp_path)
    for rung in plan.rungs:
        with made[rung.name].open("rb") as file:
            index = fmp4.index(file)
        assert (index.width, index.height) == (rung.width, rung.height)
        assert [round(part.start, 3) for part in index.fragments] == [0, 2]
        assert index.duration == pytest.approx(plan.duration_seconds, abs=1e-6)
    assert playlists.segments(index)[0].duration == pytest.approx(3, abs=0.001)


def test_progress_rises_to_one_and_cancelling_stops_at_once(talk: Path, tmp_path: Path) -> None:
    plan = planned(talk, tmp_path)
    told: list[float] = []
    encode.transcode_chunk(talk, plan, 0, tmp_path / "a", told.append)
    assert told == sorted(told) and told[-1] == 1.0
    asked: list[float] = []

    def cancelled() -> bool:
        asked.append(time.monotonic())
        return len(asked) > 1

    slow = replace(plan, total_frames=10**6, chunks=(ladder.Chunk(0, 0, 10**6),))
    with pytest.raises(sandbox.Cancelled):
        encode.transcode_chunk(talk, slow, 0, tmp_path / "b", None, cancelled)
    assert time.monotonic() - asked[1] < 1


def test_rotated_odd_and_stretched_pictures_come_out_upright_even_and_square(
    make: Make, talk: Path, tmp_path: Path
) -> None:
    turned = make("turned.mp4", "-display_rotation", "90", "-i", talk, "-c", "copy")
    odd = make("odd.mkv", *numbered(size="131x97", seconds=1), "-c:v", "ffv1", "-pix_fmt", "yuv444p")
    wide = make("wide.mp4", *numbered(seconds=1), *X264, "-vf", "setsar=3/2")
    for number, (source, size) in enumerate(((turned, (96, 128)), (odd, (130, 96)), (wide, (192, 96)))):
        folder = tmp_path / str(number)
        plan = planned(source, folder, copy=True)
        assert not plan.copied
        with av.open(str(renditions(source, plan, folder)[plan.lowest.name])) as container:
            frame = next(container.decode(video=0))
            assert (frame.width, frame.height) == size
            assert frame.format.name == "yuv420p"
            assert container.streams.video[0].sample_aspect_ratio in (None, 0, 1)


def test_turned_pictures_are_turned_the_right_way(make: Make, tmp_path: Path) -> None:
    source = make(
        "bright_top.mp4",
        "-f",
        "lavfi",
        "-i",
        "color=black:s=128x96:d=1:r=25,drawbox=w=128:h=48:color=white:t=fill",
        *X264,
    )
    turned = make("bright_side.mp4", "-display_rotation", "90", "-i", source, "-c", "copy")
    plan = planned(turned, tmp_path)
    with av.open(str(renditions(turned, plan, tmp_path)[plan.lowest.name])) as container:
        picture = next(container.decode(video=0)).reformat(format="gray").to_ndarray()
    assert picture[64, 24] > 200 and picture[64, 72] < 50  # a quarter turn anticlockwise brings the top to the left


def test_high_dynamic_range_becomes_ordinary(make: Make, tmp_path: Path) -> None:
    colours = "hdr-opt=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none"
    source = make(
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
    plan = planned(source, tmp_path)
    assert plan.hdr == "pq"
    with av.open(str(renditions(source, plan, tmp_path)[plan.lowest.name])) as container:
        frame = next(container.decode(video=0))
    assert (frame.format.name, int(frame.color_trc)) == ("yuv420p", 1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fields.mpg", (*numbered(size="176x144"), *tone(), "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-vf", "setfield=tff", "-b:v", "2M")),
        ("windows.wmv", (*numbered(), *tone(), "-c:v", "wmv2", "-c:a", "wmav2", "-b:v", "1M")),
        ("old.avi", (*numbered(), *tone(), "-c:v", "mpeg4", "-c:a", "libmp3lame", "-b:v", "1M")),
        ("air.ts", (*numbered(), *tone(), *X264, "-c:a", "aac")),
        ("next.mkv", (*numbered(seconds=3), *tone(3), "-c:v", "libsvtav1", "-preset", "12", "-c:a", "libopus")),
        ("flash.flv", (*numbered(), *tone(), "-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100", "-b:v", "1M")),
    ],
)  # fmt: skip
def test_other_containers(name: str, arguments: tuple[str, ...], make: Make, tmp_path: Path) -> None:
    source = make(name, *arguments)
    plan = planned(source, tmp_path, copy=True)
    assert len(plan.chunks) == 1 or plan.demuxer == "matroska"
    assert plan.copied is None
    times, levels = pictures(renditions(source, plan, tmp_path)[plan.lowest.name])
    assert len(times) == plan.total_frames
    assert np.ptp(levels) > 100  # moving pictures, not one that stands
    sound = encode.encode_audio(source, plan, tmp_path / "work")
    assert sound is not None
    assert samples(sound).shape[1] / 48000 == pytest.approx(plan.duration_seconds, abs=0.3)


def test_copying_the_top_rung_when_it_is_already_right(make: Make, tmp_path: Path) -> None:
    source = make(
        "right.mp4", *numbered(seconds=5), *tone(), *X264, "-pix_fmt", "yuv420p", "-bf", "2", "-g", "50", "-c:a", "aac"
    )
    plan = planned(source, tmp_path, copy=True)
    assert plan.copied and plan.chunks == ()
    top = encode.copy_top(source, plan, tmp_path / "work")
    times, levels = pictures(top)
    assert times == pytest.approx([n / 25 for n in range(125)], abs=1e-4)
    assert levels == pytest.approx(pictures(source)[1], abs=0.01)
    with top.open("rb") as file:
        assert [part.samples for part in fmp4.index(file).fragments] == [50, 50, 25]
    board, geometry = encode.storyboard(top, plan, tmp_path / "work")
    assert board.stat().st_size > 100 and geometry.tiles == 3


@pytest.mark.parametrize(
    "change",
    [
        ("-g", "250"), ("-pix_fmt", "yuv444p"), ("-vf", "setsar=3/2"), ("-r", "50", "-g", "100"),
        ("-vf", "select=not(mod(n\\,3))+lt(n\\,40)", "-fps_mode", "vfr"), ("-x264-params", "tff=1:interlaced=1"),
        ("-qp", "0", "-vf", "noise=alls=90:allf=t"),
    ],
)  # fmt: skip
def test_copying_is_refused_for(change: tuple[str, ...], make: Make, tmp_path: Path) -> None:
    name = "not" + hashlib.sha256("".join(change).encode()).hexdigest()[:8] + ".mp4"
    source = make(name, *numbered(seconds=6), *X264, "-pix_fmt", "yuv420p", "-g", "50", *change)
    assert planned(source, tmp_path, copy=True).copied is None


# -- sound ---------------------------------------------------------------------------------------------------------

# A tone that rises, so that the place where it fits best is one sample wide: from 500 Hz by 10 kHz a second.
BEEP = "aevalsrc=0.4*sin(2*PI*(500+5000*(t-2))*(t-2))*between(t\\,2\\,2.2):s=48000:d=4"
FLASH = "color=black:s=128x96:r=25:d=4,drawbox=color=white:t=fill:enable=between(t\\,2\\,2.2)"


def onset(sound: np.ndarray, rate: int) -> float:
    """Second at which the rising tone begins: where it fits best."""
    t = np.arange(int(0.2 * rate)) / rate
    tone_ = np.sin(2 * np.pi * (500 + 5000 * t) * t)
    size = 1 << (len(sound) + len(tone_)).bit_length()
    fit = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(tone_, size)), size)[: len(sound)]
    return int(np.argmax(fit)) / rate


@pytest.mark.parametrize(
    ("name", "shift", "encoding"),
    [
        ("together.mp4", None, ("-c:a", "aac")),
        ("together.mkv", None, ("-c:a", "libopus")),
        ("late.mp4", "1.5", ("-c:a", "aac")),
        ("late.mkv", "1.5", ("-c:a", "libopus")),
        ("late.ts", "1.5", ("-c:a", "aac")),
    ],
)
def test_flash_and_beep_stay_together(
    name: str, shift: str | None, encoding: tuple[str, ...], make: Make, tmp_path: Path
) -> None:
    """The beep is cut so that it starts at 0.5 s of a track that starts 1.5 s late, or stands at 2 s of a whole one."""
    beep = ["-f", "lavfi", "-i", BEEP] if shift is None else ["-ss", shift, "-f", "lavfi", "-i", BEEP]
    late = [] if shift is None else ["-itsoffset", shift]
    source = make(name, "-f", "lavfi", "-i", FLASH, *late, *beep, *X264, *encoding)
    plan = planned(source, tmp_path)
    times, levels = pictures(renditions(source, plan, tmp_path)[plan.lowest.name])
    flash = next(time for time, level in zip(times, levels, strict=True) if level > 128)
    sound = encode.encode_audio(source, plan, tmp_path / "work")
    assert sound is not None
    for heard in (samples(sound), samples(sound, ignore_edits=False)):
        assert onset(heard[0], 48000) == pytest.approx(flash, abs=0.005)
    wav = encode.pcm(sound, tmp_path / "work")
    with av.open(str(wav)) as container:
        frames = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
        assert container.streams.audio[0].sample_rate == 16000
    assert onset(frames[0].astype(float), 16000) == pytest.approx(flash, abs=0.005)


@pytest.mark.parametrize("name", ["trimmed.mp4", "trimmed.mov", "trimmed.mkv"])
def test_flash_and_beep_stay_together_in_a_file_that_was_trimmed(name: str, make: Make, tmp_path: Path) -> None:
    """Cut without encoding, as phones and editors do it: between keyframes, so that the file holds more than is played."""
    whole = make("whole.mkv", "-f", "lavfi", "-i", FLASH, "-f", "lavfi", "-i", BEEP, *X264, "-g", "25", "-c:a", "aac")
    source = make(name, "-ss", "1.3", "-i", str(whole), "-c", "copy")
    plan = planned(source, tmp_path)
    times, levels = pictures(renditions(source, plan, tmp_path)[plan.lowest.name])
    flash = next(time for time, level in zip(times, levels, strict=True) if level > 128)
    sound = encode.encode_audio(source, plan, tmp_path / "work")
    assert sound is not None
    wav = encode.pcm(sound, tmp_path / "work")
    with av.open(str(wav)) as container:
        frames = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    beep = int(np.argmax(np.abs(frames[0]) > 3000)) / 16000
    assert beep == pytest.approx(flash, abs=0.1), "captions follow the sound, and the sound must follow the picture"


SPEECH = "aevalsrc={level}*sin(2*PI*300*t)*(0.6+0.4*sin(2*PI*4*t))*lt(mod(t\\,1.5)\\,1):s=48000:d=8"


@pytest.mark.parametrize("level", [0.9, 0.02, 0.001])
def test_speech_is_brought_to_one_loudness(level: float, make: Make, tmp_path: Path) -> None:
    source = make(
        f"level{level}.mkv",
        *numbered(seconds=8),
        "-f",
        "lavfi",
        "-i",
        SPEECH.format(level=level),
        *X264,
        "-c:a",
        "flac",
    )
    plan = planned(source, tmp_path)
    sound = encode.encode_audio(source, plan, tmp_path / "work")
    assert sound is not None
    measured = measure(sound, tmp_path)
    assert -17.5 < measured < -14.5
    assert np.abs(samples(sound)).max() < 1.0


def measure(sound: Path, tmp_path: Path) -> float:
    """Loudness of an audio rendition in LUFS, by the same meter."""
    plan = Plan("", "mov", 0, 0.0, True, False, None, "25", 50, 1, 1, (), (), (ladder.Sound(0, 2, 0.0),))
    with sound.open("rb") as file:
        log = sandbox.run(
            commands.measure_sound(file.fileno(), plan), scratch=tmp_path / "meter", pass_fds=(file.fileno(),)
        )
    return loudness.TARGET_LUFS - loudness.correction(log.stderr_tail).gain_db


@pytest.mark.parametrize("side", [0, 1])
def test_one_sided_quiet_speech_comes_to_both_sides(side: int, make: Make, tmp_path: Path) -> None:
    pan = f"pan=stereo|c{side}=c0|c{1 - side}=0*c0"
    source = make(
        f"side{side}.mp4",
        *numbered(seconds=8),
        "-f",
        "lavfi",
        "-i",
        SPEECH.format(level=0.003),
        "-af",
        pan,
        *X264,
        "-c:a",
        "aac",
    )
    sound = encode.encode_audio(source, planned(source, tmp_path), tmp_path / "work")
    assert sound is not None
    heard = samples(sound)
    assert decibels(heard[0]) == pytest.approx(decibels(heard[1]), abs=0.5)
    assert -18 < measure(sound, tmp_path) < -14


def test_silence_stays_silent(make: Make, tmp_path: Path) -> None:
    for name, source_ in (("nothing", "anullsrc=r=48000:d=3"), ("hiss", "anoisesrc=a=0.0002:d=3:r=48000")):
        source = make(
            f"{name}.mkv", *numbered(seconds=3), "-f", "lavfi", "-t", "3", "-i", source_, *X264, "-c:a", "flac"
        )
        sound = encode.encode_audio(source, planned(source, tmp_path / name), tmp_path / "work")
        assert sound is not None
        assert decibels(samples(sound)) < -65


def test_the_default_track_is_chosen(make: Make, tmp_path: Path) -> None:
    low, high = (("-f", "lavfi", "-i", f"sine={frequency}:d=3") for frequency in (300, 3000))
    source = make(
        "choice.mkv", *numbered(seconds=3), *low, *high, "-map", "0", "-map", "1", "-map", "2", *X264,
        *("-c:a", "flac", "-disposition:a:0", "0", "-disposition:a:1", "default"),
    )  # fmt: skip
    plan = planned(source, tmp_path)
    sound = encode.encode_audio(source, plan, tmp_path / "work")
    assert sound is not None
    spectrum = np.abs(np.fft.rfft(samples(sound)[0][48000:96000]))
    assert int(np.argmax(spectrum)) == pytest.approx(3000, abs=5)


@pytest.mark.parametrize("size", ["2x2", "3x5", "16x1000", "7680x4320"])
def test_the_smallest_and_the_largest_picture(size: str, make: Make, tmp_path: Path) -> None:
    source = make(f"{size}.mkv", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=10:d=0.2", "-c:v", "png")
    plan = planned(source, tmp_path)
    times, _ = pictures(renditions(source, plan, tmp_path)[plan.lowest.name])
    assert len(times) == plan.total_frames == 2
    assert all(rung.width % 2 == rung.height % 2 == 0 for rung in plan.rungs)


# -- what is made from renditions ----------------------------------------------------------------------------------


def test_stills_and_the_plain_file(talk: Path, tmp_path: Path) -> None:
    plan = planned(talk, tmp_path)
    made = renditions(talk, plan, tmp_path)
    sound = encode.encode_audio(talk, plan, tmp_path / "work")
    picture = made[plan.lowest.name]
    sprite, board = encode.storyboard(picture, plan, tmp_path / "work")
    with av.open(str(sprite)) as container:
        tiles = next(container.decode(video=0)).reformat(format="gray").to_ndarray()
    assert tiles.shape == (board.rows * board.tile_height, board.columns * board.tile_width)
    keyframes = [20 + (number * plan.gop * 37) % 200 for number in range(board.tiles)]
    for number, level in enumerate(keyframes):
        x, y, width, height = board.tile(number)
        # television range to full range: 16..235 becomes 0..255
        assert tiles[y : y + height, x : x + width].mean() == pytest.approx((level - 16) * 255 / 219, abs=8)
    found = encode.make_posters(picture, picture, plan, tmp_path / "work")
    assert 2 <= len(found.candidates) <= 6
    with av.open(str(found.poster[1])) as container:
        assert next(container.decode(video=0)).width == plan.lowest.width
    plain = encode.mux_mp4(picture, sound, tmp_path / "work")
    data = plain.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")
    assert pictures(plain)[0] == pytest.approx(pictures(picture)[0], abs=1e-4)
    assert pictures(plain)[1] == pictures(picture)[1]
    with av.open(str(plain)) as container:
        assert container.duration / 1e6 == pytest.approx(5, abs=0.1)
        assert [stream.type for stream in container.streams] == ["video", "audio"]


def test_no_tag_of_the_source_survives(make: Make, tmp_path: Path) -> None:
    tags = (
        "-metadata",
        "title=Case of A B",
        "-metadata",
        "location=+51.5-0.1/",
        "-metadata:s:v",
        "handler_name=My phone",
    )
    source = make("tagged.mp4", *numbered(seconds=3), *tone(3), *X264, *tags, "-movflags", "use_metadata_tags")
    plan = planned(source, tmp_path)
    files = [*renditions(source, plan, tmp_path).values(), encode.encode_audio(source, plan, tmp_path / "work")]
    files.append(encode.mux_mp4(files[0], files[-1], tmp_path / "work"))
    for path in files:
        data = path.read_bytes()
        assert not any(word in data for word in (b"Case of", b"51.5", b"My phone"))


def test_plans_survive_json(talk: Path, tmp_path: Path) -> None:
    plan = planned(talk, tmp_path)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
