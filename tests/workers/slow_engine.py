"""A stand-in for the child that hears: every second of sound is a word, and it waits where it is told to.

It reads `FOLDER/windows`, the model's folder, which the sandbox lets it see: how many windows it may hear before it waits
for ever.
"""

from __future__ import annotations

import json
import os
import sys
import time
import wave
from pathlib import Path

WINDOW_SECONDS = 2


def emit(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    options = dict(option.removeprefix("--").split("=", 1) for option in sys.argv[1:])
    may = int((Path(options["model"]) / "windows").read_text())
    with wave.open(os.fdopen(int(options["fd"]), "rb")) as file:
        rate, total = file.getframerate(), file.getnframes()
    emit(type="language", language="en", probability=None)
    first = int(options["first"])
    began = first // rate
    while True:
        if may == 0:
            time.sleep(600)  # until it is killed
        may -= 1
        last = min(total, first + WINDOW_SECONDS * rate)
        for second in range(first // rate, last // rate):
            text = f"heard{second}from{began}"
            emit(type="word", start=second, end=second + 0.5, text=text, probability=0.9)
        emit(type="progress", seconds=last / rate, of=total / rate)
        emit(type="window", first=first, last=last, speech_seconds=1)
        first = last
        if last == total:
            break
    emit(type="done", engine="slow", model="slow-1", seconds=total / rate)


if __name__ == "__main__":
    main()
