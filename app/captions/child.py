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

from app.captions import audio
from app.captions.engines import ENGINES, Transcriber, environment
from app.captions.guards import believable
from app.errors import VignetteError

Emit = Callable[[dict[str, Any]], None]


def transcribe(transcriber: Transcriber, samples: audio.Samples, emit: Emit, *, language: str, prompt: str) -> float:
    """Emit the words of `samples` in order, with progress. Returns the seconds of speech that were found."""
    total = len(samples) / audio.RATE
    speech = 0.0
    for first, last in audio.blocks(samples):
        offset = first / audio.RATE
        found, segments = transcriber.hear(samples[first:last], language=language, prompt=prompt)
        speech += found
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
        emit({"type": "progress", "seconds": round(last / audio.RATE, 2), "of": round(total, 2)})
    return speech


def load(engine: str, model: Path, threads: int) -> Transcriber:
    """The engine with its model in memory; only the chosen engine's libraries are imported."""
    module = importlib.import_module(f"app.captions.{engine.replace('-', '_')}")
    transcriber: Transcriber = module.Engine(model, threads)
    return transcriber


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app.captions.child", description="Transcribe an open WAV file.")
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--language", required=True)
    parser.add_argument("--threads", type=int, default=1)
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
            transcriber = load(options.engine, options.model, options.threads)
            speech = transcribe(transcriber, samples, emit, language=options.language, prompt=options.prompt)
        except (VignetteError, ImportError) as error:
            missing = f"The engine {options.engine} is not installed here ({error})."
            sentence = missing if isinstance(error, ImportError) else str(error)
            emit({"type": "error", "sentence": sentence})
            sys.stderr.write(sentence + "\n")
            return 1
        emit(
            {
                "type": "done",
                "language": options.language,
                "engine": transcriber.name,
                "model": options.model.name,
                "seconds": round(len(samples) / audio.RATE, 3),
                "speech_seconds": round(speech, 2),
            }
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
