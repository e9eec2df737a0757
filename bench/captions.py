"""What captions cost and how right they are: our transcribing child beside bare faster-whisper on the same sound.

    python bench/captions.py [--speech FOLDER] [--runs N]

FOLDER holds sound files and a manifest.json, a list of {"file", "text"}. Both sides run as processes of their own, one
after the other in turn, with the same model, settings and threads; CPU seconds include start and loading of the model.
Left out: extracting the sound from a video, and everything after the words.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio_ffmpeg

from app.captions import cues, engines, models, wer

LIMIT = 1.05

BARE = """
import sys
from faster_whisper import WhisperModel
model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=int(sys.argv[2]), local_files_only=True)
for path in sys.argv[3:]:
    segments, _ = model.transcribe(path, language="en", beam_size=5, vad_filter=True, word_timestamps=True,
                                   condition_on_previous_text=False)
    print(" ".join(w.word.strip() for s in segments for w in s.words))
"""


def measured(argv: list[str], *, fds: tuple[int, ...] = ()) -> tuple[str, float, float, float]:
    """Output, CPU seconds, wall seconds and peak MB of one process."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(
            argv, stdout=out, stderr=subprocess.DEVNULL, pass_fds=fds, env={**os.environ, **engines.environment()}
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read()
    if child.returncode:
        raise SystemExit(f"{argv[:4]} ended with status {child.returncode}: {text[-300:]}")
    return text, usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 1024


def to_wav(source: Path, target: Path) -> None:
    """16 kHz mono 16-bit, as the pipeline's sound stage makes it."""
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-i",
            source,
            "-ac",
            "1",
            "-ar",
            "16000",
            "-c:a",
            "pcm_s16le",
            target,
        ],
        check=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=Path("../shared/media/speech"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--engine", choices=engines.ENGINES, default="faster-whisper")
    options = parser.parse_args()
    if not (options.speech / "manifest.json").is_file():
        raise SystemExit(f"There is no manifest.json in {options.speech}; give a folder with --speech.")
    entries = json.loads((options.speech / "manifest.json").read_text())
    model = models.fetch("base", models.default_cache(), lambda *_: None)

    subject_cpu: list[float] = []
    reference_cpu: list[float] = []
    speeds: list[float] = []
    peak = 0.0
    rows: dict[str, tuple[float, float, int, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        wavs = {entry["file"]: Path(folder) / f"{i}.wav" for i, entry in enumerate(entries)}
        for entry in entries:
            to_wav(options.speech / entry["file"], wavs[entry["file"]])
        for _ in range(options.runs):
            ours, bare, seconds, wall = 0.0, 0.0, 0.0, 0.0
            for entry in entries:
                wav = wavs[entry["file"]]
                with wav.open("rb") as file:
                    argv = engines.command(options.engine, model, "en", fd=file.fileno(), threads=options.threads)
                    text, cpu, took, memory = measured(argv, fds=(file.fileno(),))
                plain, bare_cpu, _, _ = measured(
                    [sys.executable, "-c", BARE, str(model), str(options.threads), str(wav)]
                )
                transcript = engines.parse(text.splitlines())
                built = cues.build_cues(transcript.words, duration=transcript.seconds)
                breaches = [b for b in cues.lint(built, duration=transcript.seconds) if not b.warning]
                heard = " ".join(w.text for w in transcript.words)
                rows[entry["file"]] = (
                    wer.word_error_rate(entry["text"], heard),
                    wer.word_error_rate(entry["text"], plain),
                    len(built),
                    len(breaches),
                )
                ours, bare, seconds, wall = ours + cpu, bare + bare_cpu, seconds + transcript.seconds, wall + took
                peak = max(peak, memory)
            subject_cpu.append(ours / seconds)
            reference_cpu.append(bare / seconds)
            speeds.append(seconds / wall)

    print(f"{'file':24} {'WER':>7} {'bare WER':>9} {'cues':>5} {'breaches':>9}")
    for name, (ours_wer, bare_wer, count, broken) in rows.items():
        print(f"{name:24} {ours_wer:7.1%} {bare_wer:9.1%} {count:5} {broken:9}")
    ratio = statistics.median(subject_cpu) / statistics.median(reference_cpu)
    print(
        f"CPU s per second of sound: {statistics.median(subject_cpu):.3f}, bare {statistics.median(reference_cpu):.3f}"
    )
    print(f"{statistics.median(speeds):.1f} seconds of sound per second of wall time, peak {peak:.0f} MB")
    print(
        json.dumps(
            {
                "name": "captions",
                "ratio": round(ratio, 3),
                "limit": LIMIT,
                "subject": {
                    "engine": options.engine,
                    "cpu_per_second": round(statistics.median(subject_cpu), 4),
                    "word_error_rate": round(statistics.mean(r[0] for r in rows.values()), 4),
                    "peak_mb": round(peak),
                },
                "reference": {
                    "cpu_per_second": round(statistics.median(reference_cpu), 4),
                    "word_error_rate": round(statistics.mean(r[1] for r in rows.values()), 4),
                },
                "runs": options.runs,
            }
        )
    )


if __name__ == "__main__":
    main()
