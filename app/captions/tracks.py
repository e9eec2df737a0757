"""What every caption format has in common: the limits, the decoding of bytes, and the checks that each caption passes.

A file that somebody brings is untrusted. Its text becomes plain text, its times whole milliseconds within limits, and what
cannot be understood is refused with a sentence that names the place; nothing in a file is ever followed or run.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from app.captions.cues import Cue
from app.errors import Invalid, TooLarge

MAX_BYTES = 4 * 1024 * 1024
MAX_CUES = 20_000
MAX_CUE_CHARS = 2_000
MAX_SPEAKER = 60
MAX_MS = 100 * 3_600_000 - 1
#: As many remarks as anybody reads; the last one says that there were more.
MAX_FLAGS = 200

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Flag:
    """Something in a file that was accepted but that its owner should know. `line` counts from 1; in a table, rows do."""

    line: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Track:
    """A parsed file. `language` is a BCP 47 tag where the file says one; `notes` are its comments."""

    cues: tuple[Cue, ...]
    language: str | None
    notes: tuple[str, ...]
    flags: tuple[Flag, ...]


def timestamp(ms: int, point: str = ".") -> str:
    """`ms` milliseconds as hh:mm:ss.ttt."""
    seconds, thousandths = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{thousandths:03}"


# -- bytes and text ------------------------------------------------------------------------------------------------


def check_size(data: bytes | str) -> None:
    """Refuse what is larger than any honest caption file.

    Raises:
        TooLarge: more than MAX_BYTES.
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(f"A caption file can have at most {MAX_BYTES // (1024 * 1024)} MB.")


def decode(data: bytes) -> tuple[str, str]:
    """Text of a file with one kind of line end, and a sentence where the encoding was guessed (else empty).

    UTF-8, UTF-16 with its mark, or else Windows-1252, in which older subtitle programs save.

    Raises:
        TooLarge: more than MAX_BYTES.
        Invalid: it is none of these.
    """
    check_size(data)
    encodings = [name for mark, name in _MARKS if data.startswith(mark)] or ["utf-8", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        guess = "The file is not UTF-8 and was read as Windows-1252; look at its accents and quotation marks."
        return one_line_end(text), guess if encoding == "cp1252" else ""
    raise Invalid("The caption file is not text in UTF-8. Save it as UTF-8 and try again.")


def one_line_end(text: str) -> str:
    """Text whose lines end with one newline."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def plain(text: str) -> str:
    """Text without control characters but newlines: what every format can carry, and every page can show."""
    if text.isprintable():
        return text
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") else " " for c in one_line_end(text)
    )


def lines_of(text: str) -> tuple[str, ...]:
    """The lines that have something on them, without outer spaces."""
    return tuple(stripped for line in plain(text).split("\n") if (stripped := line.strip()))


def name_of(speaker: str | None) -> str | None:
    """A speaker's name as it can be kept: one line of at most MAX_SPEAKER characters, or None."""
    return " ".join(plain(speaker or "").split())[:MAX_SPEAKER].strip() or None


# -- captions ------------------------------------------------------------------------------------------------------


class Collector:
    """Takes the captions of one file as they come, checks each, and remembers what its owner should know.

    Args:
        unit: what the places are called in sentences: line, or row.
    """

    def __init__(self, unit: str = "line") -> None:
        self.unit = unit
        self.notes: list[str] = []
        self.language: str | None = None
        self._cues: list[tuple[int, Cue]] = []
        self._flags: list[Flag] = []

    def flag(self, place: int, sentence: str) -> None:
        """Remember a remark."""
        self._flags.append(Flag(place, sentence))

    def add(self, place: int, start_ms: int, end_ms: int, text: str, speaker: str | None = None) -> None:
        """Take one caption.

        Raises:
            Invalid: it ends before it begins, or lies beyond MAX_MS.
            TooLarge: one caption more than MAX_CUES, or too many characters in this one.
        """
        if end_ms <= start_ms:
            raise Invalid(f"The caption at {self.unit} {place} ends before it begins.")
        if end_ms > MAX_MS:
            raise Invalid(f"The caption at {self.unit} {place} lies beyond 100 hours.")
        if len(self._cues) >= MAX_CUES:
            raise TooLarge(f"A caption file can have at most {MAX_CUES:,} captions.")
        if len(text) > MAX_CUE_CHARS:
            raise TooLarge(f"The caption at {self.unit} {place} is longer than {MAX_CUE_CHARS} characters.")
        lines = lines_of(text)
        if not lines:
            self.flag(place, "This caption has no text and was left out.")
            return
        self._cues.append((place, Cue(start_ms, end_ms, lines, 1.0, name_of(speaker))))

    def track(self) -> Track:
        """What was taken, in order of time. Captions that stood elsewhere or are shown together are flagged."""
        cues = sorted(self._cues, key=lambda item: item[1].start_ms)
        if cues != self._cues:
            self.flag(1, "The captions were not in order of time; they were put in order.")
        shown_until = 0
        for place, cue in cues:
            if cue.start_ms < shown_until:
                self.flag(place, "This caption begins while another is still shown.")
            shown_until = max(shown_until, cue.end_ms)
        return Track(tuple(cue for _, cue in cues), self.language, tuple(self.notes), few(self._flags))


def few(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """At most MAX_FLAGS remarks, in order of their places; the last says how many there were."""
    found = sorted(flags, key=lambda flag: flag.line)
    if len(found) > MAX_FLAGS:
        more = Flag(found[MAX_FLAGS - 1].line, f"There are {len(found):,} remarks in all; the first are shown.")
        found = [*found[: MAX_FLAGS - 1], more]
    return tuple(found)


def checked(cues: Iterable[Cue]) -> list[Cue]:
    """Cues as any writer may write them: in order, with times and text within the limits of the parsers.

    Raises:
        Invalid: a cue that is reversed, out of order, without text, or past the limits.
    """
    found: list[Cue] = []
    before = 0
    for number, cue in enumerate(cues, start=1):
        if number > MAX_CUES:
            raise TooLarge(f"A caption track can have at most {MAX_CUES:,} captions.")
        if not 0 <= cue.start_ms < cue.end_ms <= MAX_MS:
            raise Invalid(f"Caption {number} does not end after it begins.")
        if cue.start_ms < before:
            raise Invalid(f"Caption {number} begins before the one in front of it.")
        before = cue.start_ms
        lines = tuple(" ".join(lines_of(line)) for line in cue.lines if line.strip())
        if not any(lines):
            raise Invalid(f"Caption {number} has no text.")
        if len("\n".join(lines)) > MAX_CUE_CHARS:
            raise TooLarge(f"Caption {number} is longer than {MAX_CUE_CHARS} characters.")
        found.append(
            Cue(
                cue.start_ms,
                cue.end_ms,
                tuple(line for line in lines if line),
                cue.confidence,
                " ".join(plain(cue.speaker or "").split()) or None,
            )
        )
    return found
