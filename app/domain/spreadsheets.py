"""Tables as CSV: reading what spreadsheet programs save, and writing what they can open without running it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from app.errors import Invalid

DELIMITERS = (",", ";", "\t")
#: What makes a spreadsheet program read a cell as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def decode(data: bytes) -> str:
    """The text of a file: UTF-8 with or without its mark, or else Windows-1252, in which older Excel saves.

    Raises:
        Invalid: it is neither, or holds what no text holds.
    """
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
        break
    raise Invalid("The selected file must be a CSV file. In a spreadsheet program choose: save as CSV UTF-8.")


def read(text: str, known: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table with the line on which each begins, counted from 1. The delimiter is the one that parts the
    first row into the most of the known words. Rows without anything in them are left out.

    Raises:
        Invalid: the quotes do not match, or a cell is far too long.
    """
    words = set(known)
    begun = 0

    def score(delimiter: str) -> int:
        first = next(iter(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)), [])
        return len({cell.strip().lower() for cell in first} & words)

    try:
        delimiter = max(DELIMITERS, key=score)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for row in reader:
            line, begun = begun + 1, reader.line_num
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield line, cells
    except csv.Error:
        raise Invalid(
            f"Line {begun + 1} of the file cannot be read. Check its quotation marks, or save the file as CSV again."
        ) from None


def guarded(cell: object) -> str:
    """A cell that no spreadsheet program takes for a formula: an apostrophe goes before what could be one."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def write(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as CSV in UTF-8 with its mark, so that Excel reads the letters right."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")
