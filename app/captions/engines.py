"""Speech engines, seen from the worker: the command that starts one as a child, and the transcript that it answers.

The engine runs in a process of its own (`app.captions.child`), because it must be confined like everything that reads
an upload, and because its memory must go back to the system afterwards. It hears 16 kHz mono 16-bit WAV through an
inherited file descriptor and writes one JSON object a line:

    {"type": "language", "language": "en", "probability": 0.98}
    {"type": "progress", "seconds": 12.4, "of": 60.0}
    {"type": "word", "start": 1.02, "end": 1.4, "text": "Hello", "probability": 0.97}
    {"type": "window", "first": 0, "last": 4800000, "speech_seconds": 31.0}
    {"type": "done", "engine": "faster-whisper", "model": "...", "seconds": 60.0}
    {"type": "error", "sentence": "..."}

The language comes first (`probability` is null where it was chosen and not detected). A window ends with the line of that
kind: its words are all said before it, and a later child can go on from its last sample.
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
from app.captions import spoken
from app.captions.audio import BLOCK_SECONDS, Samples
from app.captions.guards import Heard
from app.captions.words import Word
from app.errors import Misconfigured, Unavailable

ENGINES = ("faster-whisper", "openai-whisper")
DEVICES = ("auto", "cpu", "cuda")

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

    def detect(self, speech: Samples) -> tuple[str, float]:
        """The language that is most likely spoken in sound that holds nothing but speech, and its probability."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of sound that was heard to its end: samples `first` to `last`, and the words in it."""

    first: int
    last: int
    words: tuple[Word, ...]
    speech_seconds: float
    language: str
    language_probability: float | None

    def to_json(self) -> dict[str, Any]:
        """A plain object that `from_json` reads again."""
        words = [[word.start, word.end, word.text, word.probability] for word in self.words]
        return {**{name: getattr(self, name) for name in self.__slots__}, "words": words}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Window:
        """The window that `to_json` wrote."""
        return cls(**{**value, "words": tuple(Word(*word) for word in value["words"])})


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said. Times are seconds from the start of the sound; `seconds` is its length. `language_probability` is how
    sure the engine was of the language; None where it was not detected."""

    words: tuple[Word, ...]
    language: str
    engine: str
    model: str
    seconds: float
    speech_seconds: float
    language_probability: float | None = None

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
    otherwise: str = spoken.DEFAULT,
    first: int = 0,
    window_seconds: int = BLOCK_SECONDS,
    threads: int = 0,
    device: str = "cpu",
    python: str = sys.executable,
) -> list[str]:
    """Arguments of the child that transcribes the WAV file open as descriptor `fd`.

    Args:
        engine: one of ENGINES.
        model: what `models.locate` or `models.fetch` gave.
        language: ISO 639-1 code, or `spoken.AUTO`: the engine says which it is, where it is sure.
        glossary: terms of the case as they should be spelt, most important first.
        otherwise: the language where `AUTO` cannot tell.
        first: the sample from which to hear: the end of the last window that an earlier child has heard.
        window_seconds: how much is heard at once.
        threads: processor threads; 0 means all cores, at most 4.
        device: one of DEVICES; "auto" takes a GPU where the engine finds one.

    Raises:
        Misconfigured: unknown engine or device, or an impossible language.
    """
    if engine not in ENGINES:
        raise Misconfigured(f"VIGNETTE_CAPTION_ENGINE: {engine!r} is not one of {', '.join(ENGINES)}.")
    if device not in DEVICES:
        raise Misconfigured(f"VIGNETTE_CAPTION_DEVICE: {device!r} is not one of {', '.join(DEVICES)}.")
    for code in [otherwise] if language == spoken.AUTO else [language, otherwise]:
        if not (code.isascii() and code.isalpha() and 2 <= len(code) <= 3):
            raise Misconfigured(f"VIGNETTE_CAPTION_LANGUAGE: {code!r} is neither auto nor a code such as en or cy.")
    return [
        python,
        "-I",  # neither the working folder nor variables of the environment decide what is imported
        "-m",
        "app.captions.child",
        f"--engine={engine}",
        f"--model={model}",
        f"--fd={fd}",
        f"--language={language.lower()}",
        f"--otherwise={otherwise.lower()}",
        f"--first={first}",
        f"--window-seconds={window_seconds}",
        f"--threads={threads or min(4, os.cpu_count() or 1)}",
        f"--device={device}",
        f"--prompt={glossaries.prompt(glossary)}",
    ]


def environment() -> dict[str, str]:
    """Variables that the child needs besides a minimal environment: they keep its libraries off the network."""
    return {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}


class Listener:
    """Takes the child's lines one by one (`feed` fits a reader of its output) and gives the transcript in the end."""

    def __init__(
        self,
        on_progress: Callable[[float], None] | None = None,
        on_window: Callable[[Window], None] | None = None,
        *,
        before: Sequence[Window] = (),
    ) -> None:
        """
        Args:
            on_progress: called with the fraction done, 0 to 1, never falling.
            on_window: called with each window when it has been heard to its end.
            before: windows that earlier children have heard; this one was told to go on after them.
        """
        self._on_progress = on_progress
        self._on_window = on_window
        self._fraction = 0.0
        self._windows = list(before)
        self._words: list[Word] = []
        self._count = sum(len(window.words) for window in before)
        self._language: tuple[str, float | None] | None = None
        if before:
            self._language = (before[-1].language, before[-1].language_probability)
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
            window = self._take(message)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Unavailable("The captions engine gave an answer that makes no sense.") from error
        if window is not None and self._on_window:
            self._on_window(window)

    def _take(self, message: dict[str, Any]) -> Window | None:
        kind = message["type"]
        if self._done is not None:
            raise ValueError("a line after the last")
        if kind == "progress":
            self._progress(float(message["seconds"]) / max(float(message["of"]), 0.001))
        elif kind == "word":
            self._word(message)
        elif kind == "window":
            return self._window(message)
        elif kind == "language":
            code, probability = str(message["language"])[:16], message["probability"]
            if self._language is None or self._language[0] != code:  # one that goes on is told what was found before
                self._language = (code, None if probability is None else float(probability))
        elif kind == "done":
            if self._words or self._language is None:
                raise ValueError("the end of a window or the language is missing")
            self._done = {
                "engine": str(message["engine"])[:64],
                "model": str(message["model"])[:200],
                "seconds": float(message["seconds"]),
            }
        elif kind == "error":
            raise Unavailable(str(message["sentence"])[:500])
        else:
            raise ValueError("an unknown kind of line")
        return None

    def _progress(self, fraction: float) -> None:
        self._fraction = max(self._fraction, min(1.0, fraction))
        if self._on_progress:
            self._on_progress(self._fraction)

    def _word(self, message: dict[str, Any]) -> None:
        if self._count >= _MAX_WORDS:
            raise ValueError("too many words")
        self._count += 1
        text = str(message["text"])[:_MAX_TEXT]
        self._words.append(Word(float(message["start"]), float(message["end"]), text, float(message["probability"])))

    def _window(self, message: dict[str, Any]) -> Window:
        first, last = int(message["first"]), int(message["last"])
        if first != (self._windows[-1].last if self._windows else 0) or last < first or self._language is None:
            raise ValueError("a window that does not follow the one before")
        window = Window(first, last, tuple(self._words), float(message["speech_seconds"]), *self._language)
        self._windows.append(window)
        self._words = []
        return window

    def transcript(self) -> Transcript:
        """All that was said.

        Raises:
            Unavailable: the child ended before it was done.
        """
        if self._done is None or self._language is None:
            raise Unavailable("The captions engine stopped before it was done.")
        return Transcript(
            words=tuple(word for window in self._windows for word in window.words),
            language=self._language[0],
            language_probability=self._language[1],
            speech_seconds=round(sum(window.speech_seconds for window in self._windows), 2),
            **self._done,
        )


def parse(lines: Iterable[str]) -> Transcript:
    """The transcript in the child's complete output. Raises as `Listener` does."""
    listener = Listener()
    for line in lines:
        listener.feed(line)
    return listener.transcript()
