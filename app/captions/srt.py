"""SubRip (SRT): a writer, and a bounded parser for files that people bring.

There is no standard. Read is what subtitle programs write: numbered blocks with comma times. Tags and `{...}` overrides
become nothing, their words stay. Written is plain text without tags: where words could be taken for a tag or a time, an
invisible word joiner parts the two characters, and the parser takes it out again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from app.captions import labels
from app.captions.cues import Cue
from app.captions.tracks import Collector, Track, checked, decode, timestamp
from app.errors import Invalid

_TIME = r"(\d{1,3}):([0-5]?\d):([0-5]?\d)(?:[,.](\d{1,3}))?"
_TIMING = re.compile(rf"{_TIME}[ \t]*-->[ \t]*{_TIME}(?:[ \t]+(\S.*))?")
_NEARLY = re.compile(r"[-\d:,.\s]*\d[-\d:,.\s]*-->")
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)(?:[ \t][^<>]*)?/?>")
_OVERRIDE = re.compile(r"\{\\[^{}]{0,200}\}")
_LOOKS = frozenset({"i", "b", "u", "s", "font", "c", "v"})
_JOINER = "\u2060"
_JOINED = re.compile(rf"(<){_JOINER}|(\{{){_JOINER}|(--){_JOINER}(?=>)")


def write(cues: Iterable[Cue], *, language: str = "", title: str = "", note: str = "") -> str:
    """An SRT file. It has no place for language, title or note. A speaker's name stands before the words.

    Raises:
        Invalid: cues that no parser would take; see `tracks.checked`.
    """
    blocks = []
    for number, cue in enumerate(checked(cues), start=1):
        name = f"{cue.speaker}: " if cue.speaker else ""
        words = _parted(name + "\n".join(cue.lines))
        blocks.append(f"{number}\n{timestamp(cue.start_ms, ',')} --> {timestamp(cue.end_ms, ',')}\n{words}\n")
    return "\n".join(blocks)


def _parted(text: str) -> str:
    return re.sub(r"<(?=[/A-Za-z])|\{(?=\\)|--(?=>)", lambda found: found[0] + _JOINER, text)


def parse(data: bytes, *, speakers: Collection[str] = ()) -> Track:
    """The captions of an SRT file. `speakers` are names that the recording has already: a line that begins with one of
    them and a colon says who speaks, as does a name in capitals.

    Raises:
        TooLarge: more bytes, captions or characters than `tracks` allows.
        Invalid: not SRT; the sentence names the line.
    """
    text, guess = decode(data)
    found = Collector()
    if guess:
        found.flag(1, guess)
    lines = text.split("\n")
    timings = list(_timings(lines))
    first = timings[0][0] if timings else len(lines)
    for number, line in enumerate(lines[: first - 1], start=1):
        if line.strip() and not (number == first - 1 and line.strip().isdigit()):
            raise Invalid(
                f"This is not an SRT file: line {number} is neither a number nor a time like "
                "00:00:01,000 --> 00:00:03,500."
            )
    if not timings:
        raise Invalid("This is not an SRT file: it has no line with times like 00:00:01,000 --> 00:00:03,500.")
    ends = [number for number, _ in timings[1:]] + [len(lines) + 1]
    for (number, match), end in zip(timings, ends, strict=True):
        block = lines[number : end - 1]
        if end <= len(lines) and block and block[-1].strip().isdigit():
            block.pop()  # the number of the caption that comes next
        _add(found, number, match, block, speakers)
    return found.track()


def _timings(lines: list[str]) -> Iterable[tuple[int, re.Match[str]]]:
    for number, line in enumerate(lines, start=1):
        if "-->" not in line:
            continue
        match = _TIMING.fullmatch(line.strip()[:500])
        if match is not None:
            yield number, match
        elif _NEARLY.match(line[:500]):
            raise Invalid(f"Line {number} has no valid time; write 00:00:01,000 --> 00:00:03,500.")


def _add(found: Collector, number: int, match: re.Match[str], block: list[str], speakers: Collection[str]) -> None:
    if match[9]:
        found.flag(number, "The position of this caption was left out.")
    unknown = False

    def tag(tagged: re.Match[str]) -> str:
        nonlocal unknown
        unknown = unknown or tagged[2].lower() not in _LOOKS
        return ""

    words = "\n".join(block).strip("\n")
    if len(words) < 100_000:  # longer ones are refused below, as they are
        words = _TAG.sub(tag, _OVERRIDE.sub("", words))
        words = _JOINED.sub(lambda joined: joined[1] or joined[2] or joined[3], words)
    if unknown:
        found.flag(number, "An unknown tag in this caption was left out; its words were kept.")
    speaker, words = labels.split(words.lstrip(), speakers)
    found.add(number, _ms(match.group(1, 2, 3, 4)), _ms(match.group(5, 6, 7, 8)), words, speaker)


def _ms(groups: tuple[str | None, ...]) -> int:
    hours, minutes, seconds = (int(group or 0) for group in groups[:3])
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + int((groups[3] or "0").ljust(3, "0"))
