"""Memory and time of hearing a long recording: the real child on sound of any length.

    python bench/long_captions.py [--speech FOLDER] [--minutes 120] [--threads 1]

The sound is the speech of FOLDER over and over, with 5 to 25 s of faint noise between, written as the pipeline writes it.
Peak memory is given twice: what the process holds itself, and with the pages of the sound's file that the system keeps for
it and takes back when somebody else needs them. The last line is JSON; `ratio` is the peak over that of the first quarter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
import wave
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from app.captions import engines, models

RATE = 16_000
LIMIT = 1.25


def write(target: Path, speech: Path, seconds: int) -> None:
    """The long sound."""
    pieces = []
    for file in sorted(speech.glob("*.flac")):
        argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(file), "-ac", "1", "-ar", str(RATE)]
        done = subprocess.run([*argv, "-f", "s16le", "-"], capture_output=True, check=True)
        pieces.append(np.frombuffer(done.stdout, "<i2"))
    chance = np.random.default_rng(1)
    written, wanted, turn = 0, seconds * RATE, 0
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        while written < wanted:
            gap = chance.normal(0, 30, int(RATE * chance.uniform(5, 25))).astype("<i2")
            for part in (pieces[turn % len(pieces)], gap):
                part = part[: wanted - written]
                file.writeframes(part.tobytes())
                written += len(part)
            turn += 1


def held(pid: int) -> tuple[float, float]:
    """MB that the process holds itself, and with pages of files."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Rss")
    )
    anonymous, files = (int(status[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return anonymous, anonymous + files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=Path("../shared/media/speech"))
    parser.add_argument("--minutes", type=int, default=120)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    model = models.fetch("base", models.default_cache(), lambda *_: None)
    own: list[tuple[float, float]] = []  # seconds heard, MB
    whole = 0.0
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "long.wav"
        write(sound, options.speech, options.minutes * 60)
        listener = engines.Listener()
        started = time.monotonic()
        with sound.open("rb") as file:
            argv = engines.command("faster-whisper", model, "en", fd=file.fileno(), threads=options.threads)
            child = subprocess.Popen(
                argv, pass_fds=[file.fileno()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env={**os.environ, **engines.environment()},
            )  # fmt: skip
        assert child.stdout is not None
        for line in child.stdout:
            listener.feed(line)
            if '"progress"' in line:
                anonymous, together = held(child.pid)
                own.append((json.loads(line)["seconds"], anonymous))
                whole = max(whole, together)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
    heard = listener.transcript()
    peak = max(mb for _, mb in own)
    early = max(mb for at, mb in own if at <= heard.seconds / 4)
    cpu, wall = usage.ru_utime + usage.ru_stime, time.monotonic() - started
    print(f"{heard.seconds / 60:.0f} minutes, {heard.speech_seconds / 60:.0f} of them speech: {len(heard.words)} words")
    print(f"peak {peak:.0f} MB of its own ({early:.0f} in the first quarter), {whole:.0f} MB with pages of files")
    print(f"{cpu:.0f} CPU s, {heard.seconds / wall:.1f} seconds of sound per second of wall time")
    figures = {"name": "long_captions", "ratio": round(peak / early, 3), "limit": LIMIT, "runs": 1}
    subject = {
        "minutes": options.minutes,
        "peak_mb": round(peak),
        "with_files_mb": round(whole),
        "cpu_seconds": round(cpu),
    }
    print(json.dumps({**figures, "subject": subject, "reference": {"first_quarter_mb": round(early)}}))


if __name__ == "__main__":
    main()
