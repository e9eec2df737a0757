"""Make the sample recording again: `python bench/make_sample.py` (needs espeak-ng; two to four minutes on two cores).

The words come from `app/demo/sample.json`; this script speaks them, draws them, writes `app/demo/sample.mp4` and puts
the times that it measured back into the JSON. Everything random is seeded and the encoder's threads are pinned, so the
same versions of espeak-ng, Pillow and ffmpeg give the same file.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sample_scene import DIRECTOR, HEIGHT, TRAINEE, WIDTH, Pose, card, scene

DEMO = Path(__file__).resolve().parent.parent / "app" / "demo"
FRAME_RATE = 25
SAMPLE_RATE = 22050  # what espeak-ng speaks at
HOLD = 2  # each drawing stands for two frames, as in drawn film: half the work and half the bytes

# "en" is British in espeak-ng; its "en-gb" is an alias that ignores the variant after the plus sign.
VOICES = {DIRECTOR.role: "en+f2", TRAINEE.role: "en-gb-scotland+m3"}
WORDS_PER_MINUTE = 155
TITLE_SECONDS, BEFORE, BETWEEN, AFTER, END_SECONDS = 4.0, 0.8, 0.56, 1.2, 4.0
SPEECH_LEVEL = 0.1  # root mean square of full scale, before GAIN_DB and a limiter bring it to about -17 LUFS
GAIN_DB = 3.5
ROOM_TONE_LEVEL = 0.0006

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Turn:
    """One person's words; start and end in seconds from the start of the recording."""

    speaker: str
    start: float
    end: float


def speak(speaker: str, text: str) -> Samples:
    """The words as mono samples at SAMPLE_RATE, without the silence around them, all turns equally loud."""
    argv = ["espeak-ng", "-v", VOICES[speaker], "-s", str(WORDS_PER_MINUTE), "--stdin", "--stdout"]
    done = subprocess.run(argv, input=text.encode(), capture_output=True, check=True)
    with wave.open(io.BytesIO(done.stdout)) as sound:
        assert sound.getframerate() == SAMPLE_RATE
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2").astype(np.float32) / 32768
    heard = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[heard[0] : heard[-1] + 1]
    edge = np.linspace(0, 1, SAMPLE_RATE // 100, dtype=np.float32)
    samples[: len(edge)] *= edge
    samples[-len(edge) :] *= edge[::-1]
    even: Samples = np.multiply(samples, SPEECH_LEVEL / float(np.sqrt(np.mean(samples**2))), dtype=np.float32)
    return even


def lay_out(script: list[dict[str, Any]]) -> tuple[list[Turn], Samples]:
    """When each turn is said, and the whole sound track with cards and a faint room tone."""
    turns, pieces, now = [], [], TITLE_SECONDS + BEFORE
    for entry in script:
        samples = speak(entry["speaker"], entry["text"])
        turns.append(Turn(entry["speaker"], round(now, 2), round(now + len(samples) / SAMPLE_RATE, 2)))
        pieces.append((round(now * SAMPLE_RATE), samples))
        now += len(samples) / SAMPLE_RATE + BETWEEN
    # Whole steps of HOLD frames, so that the last picture and the last sound end together.
    step = HOLD / FRAME_RATE
    total = math.ceil((now - BETWEEN + AFTER + END_SECONDS) / step) * step
    noise = np.random.default_rng(7).standard_normal(round(total * SAMPLE_RATE))
    tone = np.convolve(noise, np.ones(24) / 24, "same").astype(np.float32)
    track = tone * np.float32(ROOM_TONE_LEVEL / float(np.std(tone)))
    for start, samples in pieces:
        track[start : start + len(samples)] += samples
    return turns, np.clip(track, -0.89, 0.89).astype(np.float32)


def mouths(track: Samples, steps: int) -> list[int]:
    """How far the speaker's mouth is open (0 to 4) at each drawing, from how loud it is then."""
    size = SAMPLE_RATE * HOLD // FRAME_RATE
    loud = np.sqrt(np.mean(track[: steps * size].reshape(steps, size) ** 2, axis=1)) / SPEECH_LEVEL
    return [int(level) for level in np.clip(np.ceil(loud * 2.4 - 0.3), 0, 4)]


def blinks(steps: int, seed: int) -> set[int]:
    """The drawings at which somebody's eyes are shut: for 0.16 s, each three to five seconds."""
    shut, at, dice = set(), 20, np.random.default_rng(seed)
    while at < steps:
        shut |= {at, at + 1}
        at += int(dice.integers(36, 62))
    return shut


def shot_at(turns: list[Turn], number: int) -> str:
    """The camera looks at both at first, last and in short turns, else at the one who speaks."""
    turn = turns[number]
    if number in (0, len(turns) - 1) or number % 5 == 4 or turn.end - turn.start < 2:
        return "wide"
    return "left" if turn.speaker == DIRECTOR.role else "right"


def pose(role: str, turns: list[Turn], number: int, seconds: float, mouth: int, blink: bool) -> Pose:
    """How a person looks in a moment of turn `number` or of the pause before it."""
    turn = turns[number]
    into, length = seconds - turn.start, turn.end - turn.start
    speaking = turn.speaker == role and 0 <= into <= length
    sway = round(2 * math.sin(seconds * 0.9 + (0 if role == DIRECTOR.role else 2)))
    ease = number / (len(turns) - 1)
    mood = 0.3 + 0.3 * ease if role == DIRECTOR.role else -0.8 + 1.5 * ease
    if speaking:
        # A hand comes up and goes down again in longer turns, once each four seconds.
        beat = math.sin(math.pi * (into % 4.0) / 4.0) if length > 3 and into // 4.0 * 4.0 + 4.0 <= length else 0.0
        gesture = min(1.0, max(0.0, beat * 2.4 - 0.7))
        return Pose(mouth, mood, blink, nod=mouth * 0.7, lean=sway, gesture=round(gesture * 8) / 8, speaking=True)
    # Who listens nods twice towards the end of what the other says.
    left = length - into
    nod = 6 * abs(math.sin(math.pi * left / 0.7)) if turn.speaker != role and 0.4 < left < 1.8 else 0.0
    return Pose(0, mood, blink, nod=round(nod), lean=sway)


def pictures(case: dict[str, Any], turns: list[Turn], track: Samples) -> Iterator[Image.Image]:
    """Every drawing in order, each to be held for HOLD frames."""
    step = HOLD / FRAME_RATE
    total = round(len(track) / SAMPLE_RATE / step)
    opening, closing = round(TITLE_SECONDS / step), total - round(END_SECONDS / step)
    mouth = mouths(track, total)
    shut = {DIRECTOR.role: blinks(total, 1), TRAINEE.role: blinks(total, 2)}
    for i in range(total):
        seconds = i * step
        if i < opening:
            words = ["Drawn pictures and computer voices.", "Nobody you see or hear is real."]
            yield card(_broken(case["title"]), words, min(1.0, i / (opening - 12)))
        elif i >= closing:
            words = ["What did the programme director do well?", "What would your team say next time?"]
            yield card(["Pause and discuss"], words, min(1.0, (i - closing) / (total - closing - 12)))
        else:
            number = sum(turn.end + BETWEEN / 2 < seconds for turn in turns[:-1])
            poses = {
                role: pose(role, turns, number, seconds, mouth[i], i in shut[role])
                for role in (DIRECTOR.role, TRAINEE.role)
            }
            yield scene(shot_at(turns, number), poses, seconds)


def _broken(title: str, width: int = 26) -> list[str]:
    """The title in lines of at most `width` characters."""
    lines = [""]
    for word in title.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def encode(frames: Iterator[Image.Image], track: Samples, target: Path, title: str) -> None:
    """H.264 and AAC in MP4: constant frame rate, a keyframe at least every two seconds, index in front."""
    with tempfile.TemporaryDirectory() as folder:
        sound, made = Path(folder) / "sound.wav", Path(folder) / "made.mp4"
        with wave.open(str(sound), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(SAMPLE_RATE)
            out.writeframes((track * 32767).astype("<i2").tobytes())
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FRAME_RATE), "-i", "pipe:0"]
        colour = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,"
        colour += "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
        video = ["-c:v", "libx264", "-preset", "slower", "-tune", "animation", "-crf", "29", "-threads", "2"]
        keys = ["-g", str(2 * FRAME_RATE), "-flags", "+cgop+bitexact", "-fflags", "+bitexact", "-fps_mode", "cfr"]
        audio = [
            "-af",
            f"highpass=f=90,volume={GAIN_DB}dB,alimiter=limit=0.8:level=disabled",
            "-c:a",
            "aac",
            "-b:a",
            "64k",
            "-ar",
            "48000",
            "-ac",
            "1",
        ]
        about = ["-metadata", f"title={title} (invented sample)", "-metadata:s:a:0", "language=eng"]
        argv = [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-nostdin",
            *raw,
            "-i",
            str(sound),
            "-vf",
            colour,
        ]
        argv += [*video, *keys, *audio, *about, "-movflags", "+faststart", str(made)]
        child = subprocess.Popen(argv, stdin=subprocess.PIPE)
        assert child.stdin is not None
        for frame in frames:
            child.stdin.write(frame.tobytes() * HOLD)
        child.stdin.close()
        if child.wait():
            raise subprocess.CalledProcessError(child.returncode, argv)
        shutil.copyfile(made, target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DEMO, help="where sample.json is and sample.mp4 goes")
    folder: Path = parser.parse_args().folder
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is not installed: it speaks the two voices (Debian's package is called espeak-ng)")
        return 1
    path = folder / "sample.json"
    case = json.loads(path.read_text(encoding="utf-8"))
    turns, track = lay_out(case["turns"])
    encode(pictures(case, turns, track), track, folder / case["media"]["file"], case["title"])
    for entry, turn in zip(case["turns"], turns, strict=True):
        entry["start"], entry["end"] = turn.start, turn.end
    for chapter in case["chapters"]:
        first = chapter["first_turn"]
        chapter["start"] = 0.0 if first is None else TITLE_SECONDS if first == 0 else turns[first].start - BETWEEN / 2
        chapter["start"] = round(chapter["start"], 2)
    case["media"]["duration"] = round(len(track) / SAMPLE_RATE, 2)
    path.write_text(json.dumps(case, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    size = (folder / case["media"]["file"]).stat().st_size
    print(f"{case['media']['file']}: {case['media']['duration']} s, {size:,} bytes, {len(turns)} turns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
