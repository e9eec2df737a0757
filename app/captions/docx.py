"""Word documents: captions as a table that comes back, transcripts as paragraphs, and a bounded reader of both.

Written and read are the few elements of WordprocessingML (ECMA-376) that words need, with the standard library's zip and
XML. Read is `word/document.xml` alone. Nothing in a document is followed: macros and what it would fetch from elsewhere
refuse it, an address behind a link is dropped and its words stay. Deleted words of tracked changes are left out.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.captions import xml
from app.captions.cues import Cue
from app.captions.tracks import MAX_CUES, Collector, Track, check_size, checked, plain, timestamp
from app.errors import Invalid, TooLarge

MAX_ENTRIES = 2_000
MAX_PART_BYTES = 24 * 1024 * 1024
MAX_CELL = 20_000

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_BODY = "word/document.xml"
_RELATIONS = "word/_rels/document.xml.rels"
_TIME = re.compile(r"(?:(\d{1,3}):)?([0-5]?\d):([0-5]\d)(?:[.,](\d{1,3}))?")
#: The elements that are looked at.
_READ = {f"{_W} {name}": name for name in ("document", "p", "t", "br", "cr", "tab", "tr", "tc", "del", "moveFrom")}
_COLUMNS = ("start", "end", "speaker", "text")
NOT_DOCX = "This is not a Word document (.docx). In a word processor choose: save as Word document (.docx)."


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph to write: `style` is Title, Heading1, Normal or Notice; `bold` stands before the words."""

    text: str
    style: str = "Normal"
    bold: str = ""


# -- writing -------------------------------------------------------------------------------------------------------


def write(cues: Iterable[Cue], *, language: str, title: str = "", note: str = "") -> bytes:
    """The captions as a table of number, start, end, speaker and text, which `parse` reads again.

    Raises:
        Invalid: cues that no parser would take; see `tracks.checked`.
    """
    head = [Paragraph(title or "Captions", "Title"), *(Paragraph(line, "Notice") for line in note.split("\n") if line)]
    head.append(
        Paragraph(
            "Change words, speakers and times in the table and import this document again. Keep the columns as they are.",
            "Notice",
        )
    )
    widths = (700, 1500, 1500, 1700, 4300)
    grid = "".join(f'<w:gridCol w:w="{width}"/>' for width in widths)
    rows = [_row(("Number", "Start", "End", "Speaker", "Text"), header=True)]
    for number, cue in enumerate(checked(cues), start=1):
        times = timestamp(cue.start_ms), timestamp(cue.end_ms)
        rows.append(_row((str(number), *times, cue.speaker or "", "\n".join(cue.lines))))
    borders = "".join(
        f'<w:{side} w:val="single" w:sz="4" w:color="768692"/>'
        for side in ("top", "left", "bottom", "right", "insideH", "insideV")
    )
    table = (
        f'<w:tbl><w:tblPr><w:tblW w:w="{sum(widths)}" w:type="dxa"/><w:tblBorders>{borders}</w:tblBorders>'
        f'<w:tblLayout w:type="fixed"/></w:tblPr><w:tblGrid>{grid}</w:tblGrid>{"".join(rows)}</w:tbl>'
    )
    return _document("".join(map(_paragraph, head)) + table + "<w:p/>", language, title)


def write_paragraphs(paragraphs: Iterable[Paragraph], *, language: str, title: str) -> bytes:
    """A document of paragraphs, for reading and printing."""
    return _document("".join(map(_paragraph, paragraphs)), language, title)


def _row(cells: Sequence[str], *, header: bool = False) -> str:
    marks = "<w:trPr><w:cantSplit/>" + ("<w:tblHeader/>" if header else "") + "</w:trPr>"
    bold = "<w:rPr><w:b/></w:rPr>" if header else ""
    return (
        f"<w:tr>{marks}"
        + "".join(f"<w:tc><w:p><w:r>{bold}{_text(cell)}</w:r></w:p></w:tc>" for cell in cells)
        + "</w:tr>"
    )


def _paragraph(paragraph: Paragraph) -> str:
    style = f'<w:pPr><w:pStyle w:val="{paragraph.style}"/></w:pPr>' if paragraph.style != "Normal" else ""
    bold = f"<w:r><w:rPr><w:b/></w:rPr>{_text(paragraph.bold + ' ')}</w:r>" if paragraph.bold else ""
    return f"<w:p>{style}{bold}<w:r>{_text(paragraph.text)}</w:r></w:p>"


def _text(text: str) -> str:
    lines = plain(text).split("\n")
    return "<w:br/>".join(f'<w:t xml:space="preserve">{xml.escape(line)}</w:t>' for line in lines)


_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"


def _styles(language: str) -> str:
    def style(name: str, size: int, marks: str, before: int, after: int, base: str = "") -> str:
        return (
            f'<w:style w:type="paragraph"{base} w:styleId="{name}"><w:name w:val="{name.replace("1", " 1")}"/>'
            f'<w:pPr><w:spacing w:before="{before}" w:after="{after}"/></w:pPr>'
            f'<w:rPr>{marks}<w:sz w:val="{size}"/></w:rPr></w:style>'
        )

    return (
        f'{_HEAD}<w:styles xmlns:w="{_W}"><w:docDefaults><w:rPrDefault><w:rPr>'
        '<w:rFonts w:ascii="Arial" w:hAnsi="Arial" w:cs="Arial"/><w:sz w:val="22"/>'
        f'<w:lang w:val="{language}"/></w:rPr></w:rPrDefault></w:docDefaults>'
        + style("Normal", 22, "", 0, 140, ' w:default="1"')
        + style("Title", 36, "<w:b/>", 0, 200)
        + style("Heading1", 28, "<w:b/>", 200, 120)
        + style("Notice", 20, "<w:i/>", 0, 100)
        + "</w:styles>"
    )


def _document(body: str, language: str, title: str) -> bytes:
    language, title = xml.escape(plain(language)), xml.escape(plain(title).replace("\n", " "))
    parts = {
        "[Content_Types].xml": f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/{_BODY}" ContentType="{_TYPE}.document.main+xml"/>'
        f'<Override PartName="/word/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
        '<Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>'
        "</Types>",
        "_rels/.rels": f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{_OFFICE}/relationships/officeDocument" Target="{_BODY}"/>'
        f'<Relationship Id="r2" Type="{_PACKAGE}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
        "</Relationships>",
        _RELATIONS: f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{_OFFICE}/relationships/styles" Target="styles.xml"/></Relationships>',
        "docProps/core.xml": f'{_HEAD}<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{title}</dc:title><dc:language>{language}</dc:language></cp:coreProperties>",
        "word/styles.xml": _styles(language),
        _BODY: f'{_HEAD}<w:document xmlns:w="{_W}"><w:body>{body}<w:sectPr><w:pgSz w:w="11906" w:h="16838"/>'
        '<w:pgMar w:top="1100" w:right="1100" w:bottom="1100" w:left="1100" w:header="600" w:footer="600" w:gutter="0"/>'
        "</w:sectPr></w:body></w:document>",
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as package:
        for name, part in parts.items():
            # a fixed date, so that the same captions give the same bytes
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            package.writestr(entry, part.encode(), zipfile.ZIP_DEFLATED)
    return target.getvalue()


# -- reading -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Content:
    """What a document says: paragraphs outside tables, and the rows of its tables as texts of cells."""

    paragraphs: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def parse(data: bytes) -> Track | str:
    """The captions of a document with such a table as `write` makes; its text where it has none.

    Raises:
        TooLarge: more than the limits allow.
        Invalid: no Word document, one with macros or with parts from elsewhere, or a row that cannot be read.
    """
    content = read(data)
    places, begin = _columns(content.rows)
    if not places:
        words = [*content.paragraphs, *(" ".join(filter(None, row)) for row in content.rows)]
        return "\n\n".join(word for word in words if word.strip())
    found = Collector("row")
    for number, row in enumerate(content.rows[begin:], start=1):
        cells = {name: row[place] if place < len(row) else "" for name, place in places.items()}
        if not any(cell.strip() for cell in cells.values()):
            continue
        start, end = (_ms(cells[name], number, name) for name in ("start", "end"))
        found.add(number, start, end, cells["text"], cells.get("speaker"))
    if not content.rows[begin:]:
        raise Invalid("The table in this document has no captions under its headings.")
    return found.track()


def _columns(rows: Sequence[Sequence[str]]) -> tuple[dict[str, int], int]:
    """Which column is which, by the first row with Start, End and Text in it; and the number of the row after it."""
    for number, row in enumerate(rows[:50]):
        names = [" ".join(cell.split()).lower() for cell in row]
        places = {name: names.index(name) for name in _COLUMNS if name in names}
        if {"start", "end", "text"} <= places.keys():
            return places, number + 1
    return {}, 0


def _ms(text: str, row: int, name: str) -> int:
    match = _TIME.fullmatch(text.strip()[:40])
    if match is None:
        raise Invalid(f"Row {row} of the table has no valid {name}; write it as 00:00:01.000.")
    seconds = int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])
    return seconds * 1000 + int((match[4] or "0").ljust(3, "0"))


def read(data: bytes) -> Content:
    """The words of a document.

    Raises:
        TooLarge, Invalid: as `parse`.
    """
    check_size(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            names = package.namelist()
            _check_package(package, names)
            body = _part(package, _BODY)
            relations = _part(package, _RELATIONS) if _RELATIONS in names else b""
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError, RuntimeError, OverflowError):
        # zipfile's own errors for an unknown compression and for a name that cannot be read are kinds of these
        raise Invalid(NOT_DOCX) from None
    if relations:
        xml.read(relations, _Relations(), what="Word document")
    reader = _Reader()
    xml.read(body, reader, what="Word document")
    if not reader.is_word:
        raise Invalid(NOT_DOCX)
    return reader.content


def _check_package(package: zipfile.ZipFile, names: Sequence[str]) -> None:
    if len(names) > MAX_ENTRIES or len(set(names)) < len(names):
        raise Invalid(NOT_DOCX)
    if any(name.lower().endswith((".bin", ".exe", ".dll")) for name in names):
        raise Invalid(
            "This document holds macros or embedded programs. Save it as a Word document without them (.docx)."
        )
    if "[Content_Types].xml" not in names or _BODY not in names:
        raise Invalid(NOT_DOCX)
    if b"macroEnabled" in _part(package, "[Content_Types].xml"):
        raise Invalid("This document can hold macros. Save it as a Word document without them (.docx).")


def _part(package: zipfile.ZipFile, name: str) -> bytes:
    with package.open(name) as part:
        found = part.read(MAX_PART_BYTES + 1)
    if len(found) > MAX_PART_BYTES:
        raise TooLarge(
            "This document is far larger inside than any caption file. Save only the captions and try again."
        )
    return found


class _Relations:
    """Refuses what a document would fetch from elsewhere; where a link leads is nothing that is fetched."""

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        outside = attributes.get("TargetMode", "").strip().lower() == "external"
        if outside and not attributes.get("Type", "").endswith("/hyperlink"):
            raise Invalid(
                "This document takes parts from another place, such as a template or a linked picture. Remove them, or "
                "copy its text into a new document."
            )

    def end(self, name: str) -> None:
        """Nothing to do."""

    def text(self, data: str) -> None:
        """Nothing to keep."""


class _Reader:
    """Takes the elements of `word/document.xml` in turn."""

    def __init__(self) -> None:
        self.content = Content()
        self.is_word = False
        self._words: list[str] = []
        self._length = 0
        self._in_text = 0
        self._left_out = 0
        self._cells: list[list[str]] = []

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        local = _READ.get(name)
        if local is None:
            return
        self.is_word = self.is_word or local == "document"
        if local in ("del", "moveFrom"):
            self._left_out += 1
        elif local == "tr":
            if self._cells:
                raise Invalid("A table within a table cannot be read. Keep the captions in one plain table.")
            self._cells.append([])
        elif local == "t":
            self._in_text += 1
        elif local in ("br", "cr"):
            self.text_of("\n")
        elif local == "tab":
            self.text_of(" ")

    def end(self, name: str) -> None:
        local = _READ.get(name)
        if local in ("del", "moveFrom"):
            self._left_out -= 1
        elif local == "t":
            self._in_text -= 1
        elif local == "p":
            if self._cells:
                self.text_of("\n")
            else:
                self.content.paragraphs.append(self._taken())
        elif local == "tc" and self._cells:
            self._cells[0].append(self._taken())
        elif local == "tr" and self._cells:
            self.content.rows.append(self._cells.pop())
            if len(self.content.rows) > MAX_CUES + 50:
                raise TooLarge(f"A caption file can have at most {MAX_CUES:,} captions.")

    def text(self, data: str) -> None:
        if self._in_text:
            self.text_of(data)

    def text_of(self, data: str) -> None:
        """Keep characters of the paragraph or cell that is open."""
        if self._left_out:
            return
        self._length += len(data)
        if self._length > MAX_CELL:
            raise TooLarge(f"A paragraph or cell of this document has more than {MAX_CELL:,} characters.")
        self._words.append(data)

    def _taken(self) -> str:
        words, self._words, self._length = "".join(self._words).strip(), [], 0
        return words
