"""The operations that make a recording from a source: each runs one or two commands in the sandbox.

Every operation makes its own empty folder inside `scratch`, returns the files that it made there, and raises what
`sandbox.run` raises. Nothing is shared between operations, so any of them can be done again, on any machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.media import commands, damage, loudness, posters, sandbox, stills
from app.media import peaks as shape
from app.media.ladder import Plan

Progress = Callable[[float], None]
Cancelled = Callable[[], bool]

ENCODING = sandbox.Limits(wall_seconds=6 * 3600, cpu_seconds=24 * 3600)
CANDIDATE_WIDTH = 320
LIGHT = sandbox.Limits(wall_seconds=1800, cpu_seconds=1800)

_FRAME = re.compile(r"frame=\s*(\d+)")
_OUT_TIME = re.compile(r"out_time_us=(\d+)")


def transcode_chunk(
    source: Path,
    plan: Plan,
    index: int,
    scratch: Path,
    on_progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    *,
    on_damage: Callable[[], None] | None = None,
    limits: sandbox.Limits = ENCODING,
) -> dict[str, Path]:
    """Encode one chunk for all rungs that are not copied. Returns rung name -> fragmented MP4 file.

    `on_progress` gets fractions from 0 to 1 that never fall; `on_damage` is called when the decoder met damage.
    """
    part = plan.chunks[index]
    with _opened(source) as (fd,):
        folder, log = _run(
            commands.chunk(fd, plan, part), scratch, (fd,), limits, cancelled, _by_frames(on_progress, part.frames)
        )
    if on_damage is not None and damage.in_log(log):
        on_damage()
    return {rung.name: folder / commands.rung_file(rung.name) for rung in plan.encoded}


def copy_top(
    source: Path, plan: Plan, scratch: Path, cancelled: Cancelled | None = None, *, limits: sandbox.Limits = LIGHT
) -> Path:
    """The top rung by stream copy, as one fragmented MP4 file. ValueError when the plan copies nothing."""
    with _opened(source) as (fd,):
        folder, _ = _run(commands.copy_top(fd, plan), scratch, (fd,), limits, cancelled)
    assert plan.copied is not None  # noqa: S101  (the command would have raised)
    return folder / commands.rung_file(plan.copied.name)


def encode_audio(
    source: Path,
    plan: Plan,
    scratch: Path,
    on_progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    *,
    seconds: float | None = None,
    on_damage: Callable[[], None] | None = None,
    limits: sandbox.Limits = ENCODING,
) -> Path | None:
    """The plan's first track as AAC at -16 LUFS in fragmented MP4; None when the plan has no sound.

    A track without a single sample that decodes counts as no sound. `seconds`: no more than that from the beginning.
    `on_damage` is called when the decoder met damage.
    """
    if plan.sound is None:
        return None
    whole = min(seconds or plan.duration_seconds, plan.duration_seconds)
    with _opened(source) as (fd,):
        log = _log(commands.measure_sound(fd, plan, seconds), scratch, (fd,), limits, cancelled)
        try:
            correction = loudness.correction(log)
        except ValueError:
            return None
        os.lseek(fd, 0, os.SEEK_SET)
        argv = commands.encode_sound(fd, plan, correction, "audio.mp4", seconds)
        folder, log = _run(argv, scratch, (fd,), limits, cancelled, _by_time(on_progress, whole))
    if on_damage is not None and damage.in_log(log):
        on_damage()
    return folder / "audio.mp4"


def pcm(audio_rendition: Path, scratch: Path, cancelled: Cancelled | None = None) -> Path:
    """16 kHz mono signed 16-bit WAV of the audio rendition, for captions: sample n is heard at n / 16000 s."""
    return _one(audio_rendition, scratch, "audio.wav", lambda fd: commands.pcm(fd, "audio.wav"), cancelled)


def peaks(audio_rendition: Path, scratch: Path, cancelled: Cancelled | None = None) -> Path:
    """The shape of the sound as JSON; see `app.media.peaks`."""
    samples = _one(audio_rendition, scratch, "samples", lambda fd: commands.peaks(fd, "samples"), cancelled)
    target = samples.with_name("peaks.json")
    shape.write(samples, target)
    samples.unlink()
    return target


@dataclass(frozen=True)
class Posters:
    """The still that stands for the recording, and others to choose from: (second, JPEG file) each."""

    poster: tuple[float, Path]
    candidates: tuple[tuple[float, Path], ...]


def make_posters(
    lowest: Path, rendition: Path, plan: Plan, scratch: Path, cancelled: Cancelled | None = None
) -> Posters:
    """Stills of a rendition at the sharp, well lit keyframes that the lowest rendition shows; candidates are narrow."""
    measured = posters.Measurements()
    with _opened(lowest) as (fd,):
        argv = commands.measure_keyframes(fd, posters.every(plan.duration_seconds))
        _run(argv, scratch, (fd,), LIGHT, cancelled, measured.feed)
    measured.close()
    best, others = posters.choose(measured.frames, plan.duration_seconds)
    wanted: list[tuple[float, str, int | None]] = [(best, "poster.jpg", None)]
    wanted += [(second, f"candidate-{number}.jpg", CANDIDATE_WIDTH) for number, second in enumerate(others)]
    with _opened(*[rendition] * len(wanted)) as fds:
        folder, _ = _run(commands.stills(fds, wanted), scratch, fds, LIGHT, cancelled)
    poster, *candidates = [(second, folder / name) for second, name, _ in wanted]
    return Posters(poster, tuple(candidates))


def still_at(rendition: Path, second: float, scratch: Path, cancelled: Cancelled | None = None) -> Path:
    """A JPEG of the frame at a second of a rendition."""
    return _one(rendition, scratch, "still.jpg", lambda fd: commands.still_at(fd, second, "still.jpg"), cancelled)


def waves(audio_rendition: Path, scratch: Path, cancelled: Cancelled | None = None) -> Path:
    """A JPEG that shows the sound, for a recording without a picture."""
    return _one(audio_rendition, scratch, "poster.jpg", lambda fd: commands.waves(fd, "poster.jpg"), cancelled)


def storyboard(
    lowest_rendition: Path, plan: Plan, scratch: Path, cancelled: Cancelled | None = None
) -> tuple[Path, stills.Storyboard]:
    """The sprite (JPEG) and its geometry, from the keyframes of the lowest rendition."""
    board = stills.storyboard(plan)
    name = "storyboard.jpg"
    return _one(lowest_rendition, scratch, name, lambda fd: commands.storyboard(fd, board, name), cancelled), board


def mux_mp4(
    video_rendition: Path | None, audio_rendition: Path | None, scratch: Path, cancelled: Cancelled | None = None
) -> Path:
    """One progressive MP4 file, its index first, by stream copy: for browsers without scripts and for downloads."""
    given = (video_rendition, audio_rendition)
    with _opened(*(file for file in given if file is not None)) as fds:
        left = iter(fds)
        video_fd, audio_fd = (next(left) if file is not None else None for file in given)
        argv = commands.mux_mp4(video_fd, audio_fd, "video.mp4")
        return _run(argv, scratch, fds, LIGHT, cancelled)[0] / "video.mp4"


def _one(file: Path, scratch: Path, name: str, argv: Callable[[int], list[str]], cancelled: Cancelled | None) -> Path:
    with _opened(file) as (fd,):
        return _run(argv(fd), scratch, (fd,), LIGHT, cancelled)[0] / name


@contextlib.contextmanager
def _opened(*files: Path) -> Iterator[tuple[int, ...]]:
    """Open descriptors to pass on. Each opening has its own position in the file."""
    with contextlib.ExitStack() as stack:
        fds = []
        for file in files:
            fds.append(os.open(file, os.O_RDONLY | os.O_CLOEXEC))
            stack.callback(os.close, fds[-1])
        yield tuple(fds)


def _run(
    argv: Sequence[str],
    scratch: Path,
    fds: tuple[int, ...],
    limits: sandbox.Limits,
    cancelled: Cancelled | None,
    on_line: Callable[[str], None] | None = None,
) -> tuple[Path, str]:
    """Run in a new folder inside `scratch`. Returns the folder, and the end of what the program complained of."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=scratch))
    done = sandbox.run(argv, scratch=folder, pass_fds=fds, limits=limits, on_line=on_line, cancelled=cancelled)
    return folder, done.stderr_tail


def _log(
    argv: Sequence[str], scratch: Path, fds: tuple[int, ...], limits: sandbox.Limits, cancelled: Cancelled | None
) -> str:
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        return sandbox.run(argv, scratch=Path(folder), pass_fds=fds, limits=limits, cancelled=cancelled).stderr_tail


def _by_frames(on_progress: Progress | None, frames: int) -> Callable[[str], None] | None:
    """Progress from `frame=` lines: `out_time` runs backwards when there are several outputs."""
    return _reporter(on_progress, _FRAME, frames)


def _by_time(on_progress: Progress | None, seconds: float) -> Callable[[str], None] | None:
    """Progress from `out_time_us=` lines, for the one output of sound, which has no frames."""
    return _reporter(on_progress, _OUT_TIME, seconds * 1_000_000)


def _reporter(on_progress: Progress | None, pattern: re.Pattern[str], whole: float) -> Callable[[str], None] | None:
    if on_progress is None:
        return None
    furthest = 0.0

    def report(line: str) -> None:
        nonlocal furthest
        match = pattern.match(line)
        if match:
            fraction = min(1.0, int(match[1]) / max(whole, 1))
            if fraction > furthest:
                furthest = fraction
                on_progress(fraction)

    return report
