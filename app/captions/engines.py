"""Speech engines, seen from the worker: the command that starts one as a child, and the transcript that it answers.

The engine runs in a process of its own (`app.captions.child`), because it must be confined like everything that reads
an upload, and because its memory must go back to the system afterwards. It hears 16 kHz mono 16-bit WAV through an
inherited file descriptor and writes one JSON object a line:

    {"type": "progress", "seconds": 12.4, "of": 60.0}
    {"type": "word", "start": 1.02, "end": 1.4, "text": "Hello", "probability": 0.97}
    {"type": "done", "language": "en", "engine": "faster-whisper", "model": "...", "seconds": 60.0, "speech_seconds": 31.0}
    {"type": "error", "sentence": "..."}
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.captions import glossary as glossaries
from app.captions.audio import Samples
from app.captions.guards import Heard
from app.captions.words import Word
from app.errors import Misconfigured, Unavailable

ENGINES = ("faster-whisper", "openai-whisper")

# A child could write without end; six hours of fast speech are about 80,000 words.
_MAX_WORDS = 500_000
_MAX_TEXT = 1_000


class Transcriber(Protocol):
    """An engine with its model loaded."""

    name: str

    def hear(self, samples: Samples, *, language: str, prompt: str) -> tuple[float, Iterator[Heard]]:
        """Seconds of speech found in one block of sound, and what is said in it, in order, with times from its start.

        Nothing is yielded for silence, noise or music.
        """
        ...


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said. Times are seconds from the start of the sound; `seconds` is its length."""

    words: tuple[Word, ...]
    language: str
    engine: str
    model: str
    seconds: float
    speech_seconds: float

    @property
    def summary(self) -> str:
        """One sentence for the page of the recording."""
        return f"{len(self.words)} words found." if self.words else "No speech found."


def command(
    engine: str,
    model: Path,
    language: str,
    glossary: Sequence[str] = (),
    *,
    fd: int,
    threads: int = 0,
    python: str = sys.executable,
) -> list[str]:
    """Arguments of the child that transcribes the WAV file open as descriptor `fd`.

    Args:
        engine: one of ENGINES.
        model: what `models.locate` or `models.fetch` gave.
        language: ISO 639-1 code. It is never guessed: noise is easily taken for some other language.
        glossary: terms of the case as they should be spelt, most important first.
        threads: processor threads; 0 means all cores, at most 4.

    Raises:
        Misconfigured: unknown engine, or an impossible language.
    """
    if engine not in ENGINES:
        raise Misconfigured(f"VIGNETTE_CAPTION_ENGINE: {engine!r} is not one of {', '.join(ENGINES)}.")
    if not (language.isascii() and language.isalpha() and 2 <= len(language) <= 3):
        raise Misconfigured(f"VIGNETTE_CAPTION_LANGUAGE: {language!r} is not a code such as en or cy.")
    return [
        python,
        "-I",  # neither the working folder nor variables of the environment decide what is imported
        "-m",
        "app.captions.child",
        f"--engine={engine}",
        f"--model={model}",
        f"--fd={fd}",
        f"--language={language.lower()}",
        f"--threads={threads or min(4, os.cpu_count() or 1)}",
        f"--prompt={glossaries.prompt(glossary)}",
    ]


def environment() -> dict[str, str]:
    """Variables that the child needs besides a minimal environment: they keep its libraries off the network."""
    return {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}


class Listener:
    """Takes the child's lines one by one (`feed` fits a reader of its output) and gives the transcript in the end."""

    def __init__(self, on_progress: Callable[[float], None] | None = None) -> None:
        """`on_progress` is called with the fraction done, 0 to 1, never falling."""
        self._on_progress = on_progress
        self._fraction = 0.0
        self._words: list[Word] = []
        self._done: dict[str, Any] | None = None

    def feed(self, line: str) -> None:
        """Take one line.

        Raises:
            Unavailable: the engine reports an error, or writes what makes no sense.
        """
        if not line.strip():
            return
        try:
            message = json.loads(line)
            self._take(message)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Unavailable("The captions engine gave an answer that makes no sense.") from error

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if self._done is not None:
            raise ValueError("a line after the last")
        if kind == "progress":
            fraction = float(message["seconds"]) / max(float(message["of"]), 0.001)
            self._fraction = max(self._fraction, min(1.0, fraction))
            if self._on_progress:
                self._on_progress(self._fraction)
        elif kind == "word":
            if len(self._words) >= _MAX_WORDS:
                raise ValueError("too many words")
            text = str(message["text"])[:_MAX_TEXT]
            self._words.append(
                Word(float(message["start"]), float(message["end"]), text, float(message["probability"]))
            )
        elif kind == "done":
            self._done = {
                "language": str(message["language"])[:16],
                "engine": str(message["engine"])[:64],
                "model": str(message["model"])[:200],
                "seconds": float(message["seconds"]),
                "speech_seconds": float(message["speech_seconds"]),
            }
        elif kind == "error":
            raise Unavailable(str(message["sentence"])[:500])
        else:
            raise ValueError("an unknown kind of line")

    def transcript(self) -> Transcript:
        """All that was said.

        Raises:
            Unavailable: the child ended before it was done.
        """
        if self._done is None:
            raise Unavailable("The captions engine stopped before it was done.")
        return Transcript(words=tuple(self._words), **self._done)


def parse(lines: Iterable[str]) -> Transcript:
    """The transcript in the child's complete output. Raises as `Listener` does."""
    listener = Listener()
    for line in lines:
        listener.feed(line)
    return listener.transcript()
