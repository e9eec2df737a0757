"""TTML: a writer of the IMSC 1.1 text profile, and a bounded parser for what subtitle programs and broadcasters write.

Sources: https://www.w3.org/TR/ttml2/ and https://www.w3.org/TR/ttml-imsc1.1/. Of a document only times, words, line
breaks, language and who speaks (`ttm:agent`) are taken; looks and pictures are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from app.captions import xml
from app.captions.cues import Cue
from app.captions.tracks import MAX_MS, Collector, Track, checked, decode, timestamp
from app.errors import Invalid, TooLarge

_TT = "http://www.w3.org/ns/ttml"
_NAMESPACES = (_TT, "http://www.w3.org/2006/10/ttaf1", "http://www.w3.org/2006/04/ttaf1")
_XML = "http://www.w3.org/XML/1998/namespace"
_CLOCK = re.compile(r"(\d{2,4}):([0-5]\d):([0-5]\d|60)(?:\.(\d{1,9})|:(\d{2,3})(?:\.\d{1,9})?)?")
_OFFSET = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(h|ms|m|s|f|t)")
_PER_SECOND = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
_TIMED = frozenset({"body", "div", "p", "span"})
#: Elements whose characters are not words of a caption.
_ASIDE = frozenset({"metadata", "title", "desc", "copyright", "agent", "name", "style", "region", "set", "image"})
_MAX_TEXT = 100_000


@dataclass(slots=True)
class _Open:
    """The caption that is being read. `depth` is that of its element; `own` says that the times are its own."""

    depth: int
    line: int
    start: Fraction
    stop: Fraction | None
    agent: str
    own: bool
    words: list[str] = field(default_factory=list)
    length: int = 0


_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttm="http://www.w3.org/ns/ttml#metadata" \
xmlns:ttp="http://www.w3.org/ns/ttml#parameter" xmlns:tts="http://www.w3.org/ns/ttml#styling" \
ttp:contentProfiles="http://www.w3.org/ns/ttml/profile/imsc1.1/text" ttp:timeBase="media" ttp:cellResolution="32 15" \
xml:space="preserve" xml:lang="{language}">"""
_LOOKS = """<styling><style xml:id="s" tts:color="#FFFFFF" tts:backgroundColor="#000000" \
tts:fontFamily="proportionalSansSerif" tts:fontSize="100%" tts:lineHeight="normal" tts:textAlign="center"/></styling>
<layout><region xml:id="r" tts:origin="10% 75%" tts:extent="80% 20%" tts:displayAlign="after"/></layout>"""


# -- writing -------------------------------------------------------------------------------------------------------


def write(cues: Iterable[Cue], *, language: str, title: str = "", note: str = "") -> str:
    """A TTML file. `note` becomes its description.

    Raises:
        Invalid: cues that no parser would take; see `tracks.checked`.
    """
    taken = checked(cues)
    agents = {name: f"a{number}" for number, name in enumerate(dict.fromkeys(c.speaker for c in taken if c.speaker), 1)}
    facts = [
        f"<ttm:{kind}>{xml.escape(text)}</ttm:{kind}>" for kind, text in (("title", title), ("desc", note)) if text
    ]
    facts += [
        f'<ttm:agent xml:id="{id}" type="person"><ttm:name type="alias">{xml.escape(name)}</ttm:name></ttm:agent>'
        for name, id in agents.items()
    ]
    lines = [_HEAD.format(language=xml.escape(language)), f"<head><metadata>{''.join(facts)}</metadata>", _LOOKS]
    lines += ["</head>", '<body region="r" style="s"><div>']
    for cue in taken:
        agent = f' ttm:agent="{agents[cue.speaker]}"' if cue.speaker else ""
        words = "<br/>".join(xml.escape(line) for line in cue.lines)
        lines.append(f'<p begin="{timestamp(cue.start_ms)}" end="{timestamp(cue.end_ms)}"{agent}>{words}</p>')
    return "\n".join([*lines, "</div></body>", "</tt>", ""])


# -- reading -------------------------------------------------------------------------------------------------------


def parse(data: bytes) -> Track:
    """The captions of a TTML file.

    Raises:
        TooLarge: more bytes, captions or characters than `tracks` allows.
        Invalid: not TTML, or its times cannot be read; the sentence names the line.
    """
    text, guess = decode(data)
    reader = _Reader()
    if guess:
        reader.found.flag(1, guess)
    xml.read(text.lstrip().encode(), reader, what="TTML file")
    if reader.pictures and not reader.captions:
        raise Invalid("The captions in this TTML file are pictures. Export them as text and try again.")
    return reader.found.track()


class _Reader:
    """Takes a document's elements in turn. Times of body, div, p and span add up, as in a parallel time container."""

    def __init__(self) -> None:
        self.found = Collector()
        self.pictures = False
        self.captions = 0
        self._agents: dict[str, str] = {}
        self._agent = ""
        self._rate = Fraction(30)
        self._ticks = Fraction(1)
        self._open: list[str] = []
        self._spaces = [False]
        self._begins = [Fraction(0)]
        self._ends: list[Fraction | None] = [None]
        self._aside = 0
        self._caption: _Open | None = None

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        space, _, local = name.rpartition(" ")
        if not self._open:
            self._root(space, local, attributes)
        self._open.append(local)
        preserve = attributes.get(f"{_XML} space")
        self._spaces.append(self._spaces[-1] if preserve is None else preserve == "preserve")
        plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        if local in ("image", "backgroundImage") or "backgroundImage" in plain:
            self.pictures = True
        if local == "agent" and "id" in plain:
            self._agent = plain["id"]
        if local in _ASIDE:
            self._aside += 1
        elif local in _TIMED:
            self._times(local, plain, line)
        elif local == "br" and self._caption is not None and not self._aside:
            self._caption.words.append("\n")

    def end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        self._open.pop()
        self._spaces.pop()
        if local in _ASIDE:
            self._aside -= 1
        elif local in _TIMED:
            self._begins.pop()
            self._ends.pop()
            if self._caption is not None and self._caption.depth == len(self._open):
                caption, self._caption = self._caption, None
                self._finish(caption)

    def text(self, data: str) -> None:
        if self._open[-1] == "name" and self._agent and len(self._agents) < 10_000:
            self._agents[self._agent] = (self._agents.get(self._agent, "") + data)[:200]
        caption = self._caption
        if caption is None or self._aside:
            return
        caption.length += len(data)
        if caption.length > _MAX_TEXT:
            raise TooLarge(f"The caption at line {caption.line} is far too long.")
        caption.words.append(data if self._spaces[-1] else re.sub(r"\s+", " ", data))

    def _root(self, space: str, local: str, attributes: dict[str, str]) -> None:
        if local != "tt" or space not in _NAMESPACES:
            raise Invalid("This is not a TTML file: its outermost element must be tt, of the TTML namespace.")
        self.found.language = attributes.get(f"{_XML} lang", "").strip()[:35] or None
        plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        if plain.get("timeBase", "media") != "media":
            raise Invalid(
                f"This TTML file counts time as “{plain['timeBase'][:20]}”. Export it with media time, beginning at 0."
            )
        rate = _number(plain.get("frameRate"), 30)
        above, _, below = plain.get("frameRateMultiplier", "1 1").replace(":", " ").partition(" ")
        self._rate = rate * _number(above, 1) / _number(below, 1)
        self._ticks = _number(plain.get("tickRate"), rate if "frameRate" in plain else 1)

    def _times(self, local: str, plain: dict[str, str], line: int) -> None:
        if plain.get("timeContainer") == "seq":
            raise Invalid(f"Line {line} of the TTML file plays its parts one after another; give each its own times.")
        outer, outer_end = self._begins[-1], self._ends[-1]
        begin, end, dur = (self._time(plain[key], line) if key in plain else None for key in ("begin", "end", "dur"))
        start = outer + (begin or 0)
        stop = outer + end if end is not None else outer_end
        if dur is not None:
            stop = min(start + dur, stop) if end is not None and stop is not None else start + dur
        self._begins.append(start)
        self._ends.append(stop)
        timed = begin is not None or end is not None or dur is not None
        within = self._caption
        if within is not None and timed and not within.own and not "".join(within.words).strip():
            within = None  # the parts of this one have times, and it has none of its own
        if within is not None:
            if timed:
                self.found.flag(line, "Words that appear one by one are shown with their whole caption.")
        elif local in ("p", "span") and (timed or (local == "p" and stop is not None)):
            self._caption = _Open(len(self._open) - 1, line, start, stop, plain.get("agent", ""), timed)

    def _time(self, text: str, line: int) -> Fraction:
        text = text.strip()[:40]
        clock = _CLOCK.fullmatch(text)
        if clock is not None:
            hours, minutes, seconds = (int(group) for group in clock.group(1, 2, 3))
            part = Fraction(f"0.{clock[4]}") if clock[4] else Fraction(int(clock[5] or 0)) / self._rate
            return hours * 3600 + minutes * 60 + seconds + part
        offset = _OFFSET.fullmatch(text)
        if offset is None:
            raise Invalid(f"Line {line} of the TTML file has no valid time; write 00:00:01.000 or 1.5s.")
        count = Fraction(offset[1])
        if offset[2] == "f":
            return count / self._rate
        return count / self._ticks if offset[2] == "t" else count * _PER_SECOND[offset[2]]

    def _finish(self, caption: _Open) -> None:
        words = "".join(caption.words)
        if not words.strip():
            return
        if caption.stop is None:
            raise Invalid(f"The caption at line {caption.line} does not say when it ends.")
        self.captions += 1
        ids = caption.agent.split()
        if len(ids) > 1:
            self.found.flag(caption.line, "Several people speak in this caption; give each a caption of their own.")
        speaker = self._agents.get(ids[0]) if len(ids) == 1 else None
        self.found.add(caption.line, _ms(caption.start), _ms(caption.stop), words, speaker)


def _number(text: str | None, otherwise: int | Fraction) -> Fraction:
    """A positive whole number of an attribute."""
    digits = (text or "").strip()
    if not digits:
        return Fraction(otherwise)
    if not re.fullmatch(r"[0-9]{1,9}", digits) or int(digits) == 0:
        raise Invalid("The TTML file states a frame or tick rate that is no whole number above 0.")
    return Fraction(int(digits))


def _ms(seconds: Fraction) -> int:
    return min(round(seconds * 1000), MAX_MS + 1)
