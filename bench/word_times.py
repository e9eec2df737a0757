"""How far the starts of words are from the played sound, and how many cues keep the rules before anybody edits them.

    python bench/word_times.py [--speech FOLDER] [--model base]

Two references that no engine made:

- *onsets*: utterances are cut out of real speech at pauses (places where the sound is quiet for half a second) and put at
  known moments into an hour-glass of silence; the first word of each must start where its sound does. Sound is taken to
  start where its level first comes within 20 dB of the utterance's loud parts, in steps of 5 ms.
- *every word*: where espeak-ng is installed it speaks sentences word by word with pauses of different lengths between the
  words, so that each word's place is known. Synthetic voices are harder to hear than people.

Left out: what players add. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from app.captions import cues, engines, models
from app.captions.words import Word

RATE = 16_000
LIMIT_MS = 200
Sound = NDArray[np.int16]
WORDS = [
    "patient",
    "nurse",
    "morning",
    "doctor",
    "ward",
    "medicine",
    "question",
    "careful",
    "listen",
    "family",
    "waiting",
    "important",
    "safety",
    "record",
    "handover",
    "colleague",
    "pressure",
    "evening",
    "window",
    "chair",
    "letter",
    "table",
    "water",
    "paper",
    "kitchen",
    "garden",
]


def decoded(source: Path) -> Sound:
    """16 kHz mono samples of a file."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), "-ac", "1", "-ar", str(RATE)]
    done = subprocess.run([*argv, "-f", "s16le", "-"], capture_output=True, check=True)
    return np.frombuffer(done.stdout, "<i2")


def levels(sound: Sound, step: int) -> NDArray[np.float64]:
    """RMS of each `step` samples, in decibels."""
    frames = sound[: len(sound) // step * step].astype(np.float64).reshape(-1, step)
    return 20 * np.log10(np.sqrt((frames**2).mean(axis=1)) + 1)


def utterances(sound: Sound) -> list[Sound]:
    """Stretches of sound between pauses of half a second, of at least one second, without the pauses."""
    step = RATE // 100
    level = levels(sound, step)
    loud = level > np.percentile(level, 90) - 30
    found, start, quiet = [], None, 0
    for i, on in enumerate([*loud, *[False] * 60]):
        quiet = 0 if on else quiet + 1
        if on and start is None:
            start = i
        elif start is not None and quiet >= 50:
            end = i - quiet + 1
            if end - start >= 100:
                found.append(sound[max(0, start - 5) * step : (end + 5) * step])
            start = None
    return found


def onset(sound: Sound) -> float:
    """Where the sound of an utterance starts, in seconds."""
    step = RATE // 200
    level = levels(sound, step)
    return int(np.argmax(level > np.percentile(level, 95) - 20)) * step / RATE


def hear(sound: Sound, model: Path, threads: int) -> engines.Transcript:
    """What the real child hears."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(sound.astype("<i2").tobytes())
        with path.open("rb") as opened:
            argv = engines.command("faster-whisper", model, "en", fd=opened.fileno(), threads=threads)
            done = subprocess.run(
                argv, pass_fds=[opened.fileno()], env={**os.environ, **engines.environment()}, capture_output=True,
                text=True, check=True,
            )  # fmt: skip
    return engines.parse(done.stdout.splitlines())


def placed(pieces: list[Sound], seed: int = 1) -> tuple[Sound, list[float]]:
    """The pieces with 2 to 4 s of faint noise between, and where the sound of each starts."""
    chance = np.random.default_rng(seed)
    parts: list[Sound] = []
    starts, at = [], 0
    for piece in pieces:
        gap = chance.normal(0, 4, int(RATE * chance.uniform(2, 4))).astype(np.int16)
        parts += [gap, piece]
        starts.append((at + len(gap)) / RATE + onset(piece))
        at += len(gap) + len(piece)
    return np.concatenate(parts), starts


def errors_ms(words: tuple[Word, ...], starts: list[float], within: float = 1.0) -> list[float]:
    """For each start, how far the nearest word's is from it; starts without a word near are left out."""
    found = []
    for start in starts:
        nearest = min((abs(word.start - start) for word in words), default=within)
        if nearest < within:
            found.append(nearest * 1000)
    return found


def spoken(count: int) -> tuple[Sound, list[float]]:
    """Words by espeak-ng in groups of five, 60 to 200 ms of silence between them, and where each starts."""
    chance = np.random.default_rng(2)
    parts: list[Sound] = []
    starts, at = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            path = Path(folder) / "word.wav"
            subprocess.run(["espeak-ng", "-v", "en+f3", "-s", "150", "-w", path, WORDS[i % len(WORDS)]], check=True)
            word = decoded(path)
            begin = int(onset(word) * RATE)
            word = word[begin:]
            loud = np.flatnonzero(np.abs(word) > 200)
            word = word[: int(loud[-1]) + 1] if len(loud) else word
            gap = np.zeros(int(RATE * (chance.uniform(0.06, 0.2) if i % 5 else 1.5)), dtype=np.int16)
            parts += [gap, word]
            starts.append((at + len(gap)) / RATE)
            at += len(gap) + len(word)
    return np.concatenate(parts), starts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=Path("../shared/media/speech"))
    parser.add_argument("--model", default="base")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    model = models.fetch(options.model, models.default_cache(), lambda *_: None)
    subject: dict[str, object] = {}

    pieces: list[Sound] = []
    count = broken = fast = 0
    print(f"{'file':24} {'utterances':>10} {'cues':>5} {'breaches':>9} {'fast':>5}  rules")
    for file in sorted(options.speech.glob("*.flac")):
        sound = decoded(file)
        own = utterances(sound)
        pieces += own
        heard = hear(sound, model, options.threads)
        built = cues.build_cues(heard.words, duration=heard.seconds)
        breaches = cues.lint(built, duration=heard.seconds)
        wrong = {breach.index for breach in breaches if not breach.warning}
        warned = {breach.index for breach in breaches if breach.warning}
        count, broken, fast = count + len(built), broken + len(wrong), fast + len(warned - wrong)
        rules = sorted({breach.rule for breach in breaches})
        print(f"{file.name:24} {len(own):10} {len(built):5} {len(wrong):9} {len(warned):5}  {' '.join(rules)}")
    within = (count - broken) / max(1, count)
    print(f"{within:.1%} of {count} cues keep every rule; {fast} more are only fast")
    subject |= {"cues": count, "within_rules": round(within, 4), "fast": fast}

    sound, starts = placed(pieces)
    errors = errors_ms(hear(sound, model, options.threads).words, starts)
    median = statistics.median(errors)
    print(
        f"onsets: median {median:.0f} ms, nine in ten under {np.percentile(errors, 90):.0f} ms "
        f"({len(errors)} of {len(starts)} found)"
    )
    subject |= {"onset_median_ms": round(median), "onset_p90_ms": round(float(np.percentile(errors, 90)))}
    subject |= {"onsets_found": len(errors), "onsets": len(starts)}

    if shutil.which("espeak-ng"):
        sound, starts = spoken(100)
        errors = errors_ms(hear(sound, model, options.threads).words, starts, within=0.5)
        print(f"every word: median {statistics.median(errors):.0f} ms ({len(errors)} of {len(starts)} found)")
        subject |= {"word_median_ms": round(statistics.median(errors)), "words_found": len(errors)}
    else:
        print("espeak-ng is not installed: the times of single words were not measured", file=sys.stderr)
    figures = {"name": "word_times", "ratio": round(median / LIMIT_MS, 3), "limit": 1.0, "subject": subject}
    print(json.dumps({**figures, "reference": {"limit_ms": LIMIT_MS}, "runs": 1}))


if __name__ == "__main__":
    main()
