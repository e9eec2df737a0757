"""What captions cost and how right they are: our caption stage beside bare faster-whisper on the same sound.

    python bench/captions.py [--speech FOLDER] [--runs N] [--openai-whisper]

FOLDER holds sound files and a manifest.json, a list of {"file", "text"}. Each is first made into what the stage is given,
AAC in MP4. Subject: decoding it, the confined child, cues and WebVTT, as `workers/stages/transcribe.py` does it. Reference:
a script that gives the same file to faster-whisper. Both start a process and load the model for each file, in turn, with
the same model, settings and threads; CPU seconds are those of all processes. `--openai-whisper` also runs the reference
engine once, with the same weights and our voice-activity detection, by `bench/reference_engine.py`.

Left out: what the stage asks of database and storage.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import reference_engine

import app.captions
from app.captions import cues, engines, models, webvtt, wer
from app.media import encode, sandbox

LIMIT = 1.05

BARE = """
import sys
from faster_whisper import WhisperModel
model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=int(sys.argv[2]), local_files_only=True)
segments, _ = model.transcribe(sys.argv[3], language="en", beam_size=5, vad_filter=True, word_timestamps=True,
                               condition_on_previous_text=False)
print(" ".join(w.word.strip() for s in segments for w in s.words))
"""


@dataclass
class Heard:
    """One side's work on one file: its text, seconds, peak in MB, and cues with those that break a rule."""

    text: str
    cpu: float
    wall: float
    seconds: float = 0.0
    cues: int = 0
    broken: int = 0
    fast: int = 0


def measured(work: Callable[[], Heard]) -> Heard:
    """Do it, and count the CPU seconds of this process and of all that it started, and waited for, meanwhile."""
    before, started = _used(), time.monotonic()
    done = work()
    done.cpu, done.wall = _used() - before, time.monotonic() - started
    return done


def _used() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def stage(sound: Path, model: Path, engine: str, threads: int, python: str = sys.executable) -> Heard:
    """What the caption stage does with the sound of a recording."""
    with tempfile.TemporaryDirectory() as folder:
        wave = encode.pcm(sound, Path(folder) / "pcm")
        listener = engines.Listener()
        with wave.open("rb") as file:
            argv = engines.command(engine, model, "en", fd=file.fileno(), threads=threads, python=python)
            sandbox.run(
                argv,
                scratch=Path(folder) / "hearing",
                pass_fds=(file.fileno(),),
                limits=sandbox.Limits(memory_bytes=16 << 30),
                on_line=listener.feed,
                readable=(model, Path(app.captions.__file__).parent, Path(sys.prefix), *_beside(python)),
                env=engines.environment(),
            )
        heard = listener.transcript()
        built = cues.build_cues(heard.words, duration=heard.seconds)
        webvtt.write(built, language=heard.language)
    found = cues.lint(built, duration=heard.seconds)
    broken = len({breach.index for breach in found if not breach.warning})
    fast = len({breach.index for breach in found if breach.warning})
    text = " ".join(word.text for word in heard.words)
    return Heard(text, 0, 0, heard.seconds, len(built), broken, fast)


def _beside(python: str) -> tuple[Path, ...]:
    """What another interpreter needs to read."""
    return () if python == sys.executable else (Path(python).parents[1], reference_engine.ROOT / "app")


def bare(sound: Path, model: Path, threads: int) -> Heard:
    """What a few lines of script give."""
    argv = [sys.executable, "-c", BARE, str(model), str(threads), str(sound)]
    done = subprocess.run(argv, env={**os.environ, **engines.environment()}, capture_output=True, text=True, check=True)
    return Heard(done.stdout.strip(), 0, 0)


def to_aac(source: Path, target: Path) -> Path:
    """As the sound of a recording is kept."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), "-vn", "-ar", "48000"]
    subprocess.run([*argv, "-c:a", "aac", "-b:a", "128k", str(target)], check=True)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=Path("../shared/media/speech"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--openai-whisper", action="store_true", help="also run the reference engine, once")
    options = parser.parse_args()
    if not (options.speech / "manifest.json").is_file():
        raise SystemExit(f"There is no manifest.json in {options.speech}; give a folder with --speech.")
    entries = {entry["file"]: entry["text"] for entry in json.loads((options.speech / "manifest.json").read_text())}
    model = models.fetch("base", models.default_cache(), lambda *_: None)
    python = str(reference_engine.make()) if options.openai_whisper else ""

    ours: dict[str, list[Heard]] = {name: [] for name in entries}
    bares: dict[str, list[Heard]] = {name: [] for name in entries}
    others: dict[str, Heard] = {}
    with tempfile.TemporaryDirectory() as folder:
        sounds = {name: to_aac(options.speech / name, Path(folder) / f"{i}.m4a") for i, name in enumerate(entries)}
        for _ in range(options.runs):
            for name, sound in sounds.items():
                ours[name].append(
                    measured(lambda sound=sound: stage(sound, model, "faster-whisper", options.threads))  # type: ignore[misc]
                )
                bares[name].append(measured(lambda sound=sound: bare(sound, model, options.threads)))  # type: ignore[misc]
        if python:
            for name, sound in sounds.items():
                others[name] = measured(
                    lambda sound=sound: stage(sound, model, "openai-whisper", options.threads, python)  # type: ignore[misc]
                )
    report(entries, ours, bares, others, options.runs)


def report(
    texts: dict[str, str],
    ours: dict[str, list[Heard]],
    bares: dict[str, list[Heard]],
    others: dict[str, Heard],
    runs: int,
) -> None:
    """The table, and the line of JSON."""

    def wrong(name: str, heard: Heard) -> float:
        return wer.word_error_rate(texts[name], heard.text)

    print(f"{'file':22} {'WER':>6} {'bare':>6} {'openai':>7} {'CPU ratio':>9} {'cues':>5} {'broken':>6} {'fast':>5}")
    for name in texts:
        mine, plain = ours[name][-1], bares[name][-1]
        ratio = statistics.median(h.cpu for h in ours[name]) / statistics.median(h.cpu for h in bares[name])
        other = f"{wrong(name, others[name]):7.1%}" if others else "      -"
        figures = f"{ratio:9.2f} {mine.cues:5} {mine.broken:6} {mine.fast:5}"
        print(f"{name:22} {wrong(name, mine):6.1%} {wrong(name, plain):6.1%} {other} {figures}")
    seconds = sum(ours[name][-1].seconds for name in texts)
    # one pass over all files is one measurement
    subject = [sum(ours[name][i].cpu for name in texts) / seconds for i in range(runs)]
    reference = [sum(bares[name][i].cpu for name in texts) / seconds for i in range(runs)]
    ratio = statistics.median(subject) / statistics.median(reference)
    speed = seconds / statistics.median(sum(ours[name][i].wall for name in texts) for i in range(runs))
    print(f"CPU s per second of sound: {statistics.median(subject):.3f}, bare {statistics.median(reference):.3f}")
    print(f"{speed:.1f} seconds of sound per second of wall time")
    line: dict[str, object] = {
        "name": "captions",
        "ratio": round(ratio, 3),
        "limit": LIMIT,
        "subject": {
            "cpu_per_second": round(statistics.median(subject), 4),
            "word_error_rate": round(statistics.mean(wrong(name, ours[name][-1]) for name in texts), 4),
            "within_rules": round(1 - sum(ours[n][-1].broken for n in texts) / sum(ours[n][-1].cues for n in texts), 4),
        },
        "reference": {
            "cpu_per_second": round(statistics.median(reference), 4),
            "word_error_rate": round(statistics.mean(wrong(name, bares[name][-1]) for name in texts), 4),
        },
        "runs": runs,
    }
    if others:
        cpu, wall = (sum(getattr(others[name], what) for name in texts) for what in ("cpu", "wall"))
        print(
            f"openai-whisper: {cpu / seconds:.3f} CPU s per second of sound, {cpu / seconds / statistics.median(subject):.1f} times ours"
        )
        line["openai_whisper"] = {
            "cpu_per_second": round(cpu / seconds, 4),
            "times_ours": round(cpu / seconds / statistics.median(subject), 2),
            "seconds_per_wall_second": round(seconds / wall, 2),
            "word_error_rate": round(statistics.mean(wrong(name, others[name]) for name in texts), 4),
        }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
