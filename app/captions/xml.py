"""Reading XML that somebody brings: no document type, so no entities; nothing is fetched; depth and number are bounded.

Expat of the standard library is used directly: with document types refused there is nothing left to expand. Names come as
"namespace local", or "local" where there is none.
"""

from __future__ import annotations

from typing import NoReturn, Protocol
from xml.parsers import expat

from app.errors import Invalid, TooLarge

MAX_DEPTH = 60
MAX_ELEMENTS = 800_000


class Handler(Protocol):
    """Takes the document as it is read. `line` counts from 1."""

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, data: str) -> None:
        """Characters inside the element that is open."""


def read(data: bytes, handler: Handler, *, what: str) -> None:
    """Walk UTF-8 `data`, whatever encoding it declares. `what` names the kind of file in refusals.

    Raises:
        Invalid: not well-formed, or it has a document type; the sentence names the line.
        TooLarge: deeper than MAX_DEPTH or more than MAX_ELEMENTS.
    """
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    depth = elements = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1
        if depth > MAX_DEPTH:
            raise TooLarge(f"Line {parser.CurrentLineNumber} of the {what} is nested too deeply.")
        if elements > MAX_ELEMENTS:
            raise TooLarge(f"The {what} has too many parts.")
        handler.start(name, attributes, parser.CurrentLineNumber)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(name)

    def refuse(*arguments: object) -> NoReturn:
        raise Invalid(
            f"Line {parser.CurrentLineNumber} of the {what} declares a document type. Remove it: caption files need none."
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Invalid(f"Line {error.lineno} of the {what} is not well-formed XML. Save it again and retry.") from None


def escape(text: str) -> str:
    """Text as it may stand between tags and in quoted attributes; what XML cannot hold becomes a replacement mark."""
    for mark, reference in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(mark, reference)
    return text.translate({0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD})
