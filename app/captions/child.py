"""The child process that transcribes one recording; see `app.captions.engines` for what it reads and writes.

It runs confined and without a network: the model comes as a path, the sound as a descriptor, and nothing is written but
lines of JSON. Memory is bounded whatever the length of the recording, because the sound is heard block by block.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from app.captions import audio, spoken
from app.captions.engines import DEVICES, ENGINES, Transcriber, environment
from app.captions.guards import believable
from app.errors import VignetteError

Emit = Callable[[dict[str, Any]], None]


def transcribe(
    transcriber: Transcriber,
    samples: audio.Samples,
    emit: Emit,
    *,
    language: str,
    prompt: str,
    first: int = 0,
    seconds: int = audio.BLOCK_SECONDS,
) -> None:
    """Emit the words of `samples` from sample `first` on, in order, with progress and the end of each window."""
    total = len(samples) / audio.RATE
    for start, end in audio.blocks(samples, seconds=seconds, first=first):
        offset = start / audio.RATE
        speech, segments = transcriber.hear(samples[start:end], language=language, prompt=prompt)
        for heard in segments:
            for word in believable(heard):
                emit(
                    {
                        "type": "word",
                        "start": round(offset + word.start, 3),
                        "end": round(offset + word.end, 3),
                        "text": word.text,
                        "probability": round(word.probability, 4),
                    }
                )
            if heard.words:
                emit({"type": "progress", "seconds": round(offset + heard.words[-1].end, 2), "of": round(total, 2)})
        emit({"type": "progress", "seconds": round(end / audio.RATE, 2), "of": round(total, 2)})
        emit({"type": "window", "first": start, "last": end, "speech_seconds": round(speech, 2)})


def detect(transcriber: Transcriber, samples: audio.Samples, otherwise: str) -> tuple[str, float | None]:
    """The language spoken, by the first minute of speech; `otherwise`, and no probability, where that is too little to
    tell or the engine is not sure. Silence and noise are never given to the engine."""
    speech = first_speech(samples, spoken.MOST_SPEECH)
    if len(speech) < spoken.LEAST_SPEECH * audio.RATE:
        return otherwise, None
    return spoken.believed(transcriber.detect(speech), otherwise)


def first_speech(samples: audio.Samples, seconds: float) -> audio.Samples:
    """The first `seconds` of speech in the sound, without what is between."""
    from faster_whisper.vad import get_speech_timestamps

    found: list[audio.Samples] = []
    room = int(seconds * audio.RATE)
    for start, end in audio.blocks(samples):
        block = samples[start:end]
        for stretch in get_speech_timestamps(audio.as_floats(block)):
            piece = block[stretch["start"] : stretch["end"]][:room]
            found.append(piece)
            room -= len(piece)
            if room <= 0:
                return np.concatenate(found)
    return np.concatenate(found) if found else samples[:0]


def load(engine: str, model: Path, threads: int, device: str) -> Transcriber:
    """The engine with its model in memory; only the chosen engine's libraries are imported."""
    module = importlib.import_module(f"app.captions.{engine.replace('-', '_')}")
    transcriber: Transcriber = module.Engine(model, threads, device)
    return transcriber


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app.captions.child", description="Transcribe an open WAV file.")
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--otherwise", default=spoken.DEFAULT)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--window-seconds", type=int, default=audio.BLOCK_SECONDS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--prompt", default="")
    return parser.parse_args(arguments)


def _own_output() -> IO[str]:
    """Standard output for our lines alone: what a library prints goes to standard error instead."""
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when done, 1 when an error was reported as a line (and on standard error)."""
    options = _arguments(arguments)
    os.environ.update(environment())  # before any library of the engine reads them
    with _own_output() as out:

        def emit(message: dict[str, Any]) -> None:
            out.write(json.dumps(message, ensure_ascii=False) + "\n")
            out.flush()

        try:
            samples = audio.open_wav(options.fd)
            transcriber = load(options.engine, options.model, options.threads, options.device)
            language, probability = options.language, None
            if language == spoken.AUTO:
                language, probability = detect(transcriber, samples, options.otherwise)
            emit({"type": "language", "language": language, "probability": probability and round(probability, 4)})
            transcribe(
                transcriber, samples, emit,
                language=language, prompt=options.prompt, first=options.first, seconds=options.window_seconds,
            )  # fmt: skip
        except (VignetteError, ImportError) as error:
            missing = f"The engine {options.engine} is not installed here ({error})."
            sentence = missing if isinstance(error, ImportError) else str(error)
            emit({"type": "error", "sentence": sentence})
            sys.stderr.write(sentence + "\n")
            return 1
        seconds = round(len(samples) / audio.RATE, 3)
        emit({"type": "done", "engine": transcriber.name, "model": options.model.name, "seconds": seconds})
    return 0


if __name__ == "__main__":
    sys.exit(main())
