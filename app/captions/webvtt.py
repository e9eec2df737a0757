"""WebVTT: a strict writer, and a strict, bounded parser for files that people bring.

Source: https://www.w3.org/TR/webvtt1/. Cue text is plain text in this program: the writer escapes all of it, and the
parser keeps the words inside tags but not the tags, so that nothing from a file can become markup on a page. Only the
voice tag carries meaning; it becomes `Cue.speaker`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from app.captions.cues import Cue
from app.captions.tracks import (
    MAX_BYTES,
    MAX_CUE_CHARS,
    MAX_CUES,
    MAX_MS,
    Flag,
    Track,
    check_size,
    few,
    name_of,
    one_line_end,
    timestamp,
)
from app.errors import Invalid, TooLarge

__all__ = ["MAX_BYTES", "MAX_CUES", "MAX_CUE_CHARS", "MAX_MS", "Flag", "Track", "parse", "timestamp", "write"]

_TIME = r"(?:(\d{2,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING = re.compile(rf"[ \t]*{_TIME}[ \t]+-->[ \t]+{_TIME}(?:[ \t]+(.*))?")
_SETTING = re.compile(r"(?:vertical|line|position|size|align|region):\S+")
_HEADER = re.compile(r"([A-Za-z][A-Za-z-]*):[ \t]*(.*)")
_TAG = re.compile(r"<(/?)([^<>]*)>")
_VOICE = re.compile(r"v(?:\.[^\s]*)?[ \t]+(.+)", re.DOTALL)
_KNOWN_TAG = re.compile(r"(?:[bicuv]|ruby|rt|lang)(?:[.\s].*)?|[\d:.]+", re.DOTALL)
_LANGUAGE_NOTE = re.compile(r"Language: ([A-Za-z0-9-]{1,35})")


# -- writing -------------------------------------------------------------------------------------------------------


def write(cues: Iterable[Cue], *, language: str, note: str = "") -> str:
    """A WebVTT file. `note` becomes a comment at its head, for example that nobody has checked the captions yet.

    Raises:
        Invalid: a cue that is reversed, out of order, without text, or past the limits of `parse`.
    """
    if not re.fullmatch(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", language):
        raise Invalid("The language of the captions must be a language tag such as en or cy.")
    blocks = ["WEBVTT", f"NOTE Language: {language}"]
    comment = "\n".join(re.sub("-+->", "->", line.strip()) for line in _plain(note).split("\n") if line.strip())
    if comment:
        blocks.append(f"NOTE\n{comment}")
    before = 0
    for number, cue in enumerate(cues, start=1):
        if number > MAX_CUES:
            raise TooLarge(f"A caption track can have at most {MAX_CUES} captions.")
        if not 0 <= cue.start_ms < cue.end_ms <= MAX_MS:
            raise Invalid(f"Caption {number} does not end after it begins.")
        if cue.start_ms < before:
            raise Invalid(f"Caption {number} begins before the one in front of it.")
        before = cue.start_ms
        lines = [one for line in cue.lines if (one := " ".join(_plain(line).split("\n")).strip())]
        if not lines:
            raise Invalid(f"Caption {number} has no text.")
        text = "\n".join(_escape(line) for line in lines)
        if len(text) > MAX_CUE_CHARS:
            raise TooLarge(f"Caption {number} is longer than {MAX_CUE_CHARS} characters.")
        speaker = " ".join(_plain(cue.speaker or "").split())
        voice = f"<v {_escape(speaker)}>" if speaker else ""
        blocks.append(f"{number}\n{timestamp(cue.start_ms)} --> {timestamp(cue.end_ms)}\n{voice}{text}")
    return "\n\n".join(blocks) + "\n"


def _plain(text: str) -> str:
    """Text without what WebVTT cannot carry: NUL, and line ends other than one."""
    return one_line_end(text.replace("\0", "\ufffd"))


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# -- reading -------------------------------------------------------------------------------------------------------


def parse(data: bytes | str) -> Track:
    """The captions of a WebVTT file.

    Strict where a mistake would show wrong text at a wrong time, lenient (with a flag) where only looks are lost:
    styles, regions, positions and unknown tags are left out, overlapping captions are kept.

    Raises:
        TooLarge: more than MAX_BYTES, MAX_CUES, or MAX_CUE_CHARS in one caption.
        Invalid: not WebVTT; the sentence names the line.
    """
    text = _decode(data)
    blocks = _blocks(text)
    head = next(blocks, (1, []))[1]
    if not head or not re.fullmatch(r"WEBVTT(?:[ \t].*)?", head[0]):
        raise Invalid("This is not a WebVTT file: its first line must be WEBVTT.")
    reader = _Reader()
    reader.header(head[1:])
    for number, lines in blocks:
        reader.block(number, lines)
    return Track(tuple(reader.cues), reader.language, tuple(reader.notes), few(reader.flags))


def _decode(data: bytes | str) -> str:
    check_size(data)
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Invalid(f"The caption file is not UTF-8 text: byte {error.start} cannot be read.") from error
    data = data.removeprefix("\ufeff")
    if "\0" in data:
        raise Invalid("The caption file is not text: it has zero bytes in it.")
    return one_line_end(data)


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines that are not blank, each with the number of its first line."""
    block: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line:
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []
    if block:
        yield text.count("\n") + 2 - len(block), block


class _Reader:
    """Takes the blocks of one file in turn and keeps what they say."""

    def __init__(self) -> None:
        self.cues: list[Cue] = []
        self.notes: list[str] = []
        self.flags: list[Flag] = []
        self.language: str | None = None

    def header(self, lines: Sequence[str]) -> None:
        """Lines under the signature: older tools write `Kind:` and `Language:` there."""
        for number, line in enumerate(lines, start=2):
            field = _HEADER.fullmatch(line)
            if "-->" in line or not field:
                raise Invalid(f"Line {number} must be blank: the captions begin after an empty line.")
            if field[1].lower() == "language":
                self.language = field[2].strip()[:35] or None

    def block(self, number: int, lines: list[str]) -> None:
        """One block: a comment, a style, a region or a cue. `number` is its first line."""
        first = lines[0]
        if "-->" not in first and re.match(r"NOTE(?:[ \t]|$)", first):
            self._note("\n".join([first[4:].strip(), *lines[1:]]).strip())
        elif first.rstrip() in ("STYLE", "REGION") and "-->" not in first:
            self.flags.append(
                Flag(number, f"The {first.rstrip().lower()} block was left out; looks are chosen by the viewer.")
            )
        elif "-->" in first:
            self._cue(number, first, lines[1:])
        elif len(lines) > 1 and "-->" in lines[1]:
            self._cue(number + 1, lines[1], lines[2:])
        else:
            raise Invalid(f"Line {number} is neither a time nor the name of a caption followed by a time.")

    def _note(self, note: str) -> None:
        language = _LANGUAGE_NOTE.fullmatch(note)
        if language and self.language is None:
            self.language = language[1]
        elif note:
            self.notes.append(note)

    def _cue(self, number: int, timing: str, lines: list[str]) -> None:
        start, end = self._times(number, timing)
        if len(self.cues) >= MAX_CUES:
            raise TooLarge(f"A caption file can have at most {MAX_CUES:,} captions.")
        if sum(map(len, lines)) + len(lines) > MAX_CUE_CHARS + 1:
            raise TooLarge(f"The caption at line {number} is longer than {MAX_CUE_CHARS} characters.")
        for offset, line in enumerate(lines, start=1):
            if "-->" in line:
                raise Invalid(f"Line {number + offset} is a time without an empty line in front of it.")
        text, speaker = self._text(number + 1, "\n".join(lines))
        kept = tuple(stripped for line in text.split("\n") if (stripped := line.strip()))
        if not kept:
            self.flags.append(Flag(number, "This caption has no text and was left out."))
            return
        if self.cues and start < self.cues[-1].start_ms:
            raise Invalid(f"The caption at line {number} begins before the one in front of it.")
        if self.cues and start < max(c.end_ms for c in self.cues[-2:]):
            self.flags.append(Flag(number, "This caption begins while another is still shown."))
        self.cues.append(Cue(start, end, kept, 1.0, name_of(speaker)))

    def _times(self, number: int, timing: str) -> tuple[int, int]:
        match = _TIMING.fullmatch(timing.rstrip())
        if not match:
            raise Invalid(f"Line {number} has no valid time; write 00:00:01.000 --> 00:00:03.500.")
        start, end = _ms(match.group(1, 2, 3, 4)), _ms(match.group(5, 6, 7, 8))
        if end <= start:
            raise Invalid(f"The caption at line {number} ends before it begins.")
        if end > MAX_MS:
            raise Invalid(f"The caption at line {number} lies beyond 100 hours.")
        unknown = [s for s in (match.group(9) or "").split() if not _SETTING.fullmatch(s)]
        if unknown:
            raise Invalid(f"Line {number} has an unknown setting after the times: {unknown[0][:40]}.")
        if match.group(9):
            self.flags.append(Flag(number, "The position of this caption was left out."))
        return start, end

    def _text(self, number: int, payload: str) -> tuple[str, str | None]:
        """Payload without tags, and who speaks; `number` is the payload's first line."""
        speakers: list[str] = []
        pieces: list[str] = []
        at = 0
        for tag in _TAG.finditer(payload):
            pieces.append(payload[at : tag.start()])
            at = tag.end()
            voice = _VOICE.fullmatch(tag[2]) if not tag[1] else None
            if voice:
                name = " ".join(html.unescape(voice[1]).split())
                if name and name not in speakers:
                    speakers.append(name)
            elif not _KNOWN_TAG.fullmatch(tag[2]) and tag[2]:
                line = number + payload.count("\n", 0, tag.start())
                self.flags.append(Flag(line, f"An unknown tag was left out: {tag[2][:40]!r}."))
        pieces.append(payload[at:])
        for piece in pieces:
            if "<" in piece:
                raise Invalid(f"The caption at line {number} has a “<” that opens no tag; write &lt; instead.")
        if len(speakers) > 1:
            self.flags.append(Flag(number, "Several people speak in this caption; give each a caption of their own."))
        return html.unescape("".join(pieces)), speakers[0] if len(speakers) == 1 else None


def _ms(groups: Sequence[str | None]) -> int:
    hours, minutes, seconds, thousandths = (int(g or 0) for g in groups)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths
