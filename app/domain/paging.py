"""Keyset paging: the page after or before a row, without counting or skipping what lies outside it.

A cursor is the sort value and the id of the row at the page's edge, so a page stays right while rows come and go, and
the last page costs as much as the first.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, literal, tuple_
from sqlalchemy.orm import Session

from app.errors import Invalid

Row = TypeVar("Row")
PAGE = 25


@dataclass(frozen=True)
class Sorting:
    """One way to sort a list: the word in the address, what people read, the expression (never null), the way."""

    name: str
    label: str
    by: Any
    descending: bool = False


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows in order, and the cursors of the pages beside them; empty where there is none."""

    rows: Sequence[Row]
    before: str = ""
    after: str = ""


def choose(sortings: Sequence[Sorting], name: str | None) -> Sorting:
    """The sorting of this name, or the first."""
    return next((sorting for sorting in sortings if sorting.name == name), sortings[0])


def read(
    session: Session,
    query: Select[Any],
    table: Any,
    sorting: Sorting,
    *,
    after: str = "",
    before: str = "",
    size: int = PAGE,
) -> Page[Any]:
    """One page of a select of rows of `table`: one query, and those of the query's loader options.

    Raises:
        Invalid: the cursor was not made by this function for this sorting.
    """
    backwards = bool(before) and not after
    descending = sorting.descending != backwards
    place = tuple_(sorting.by, table.id)
    cursor = before if backwards else after
    if cursor:
        value, row_id = _decode(cursor, sorting)
        edge = tuple_(literal(value, sorting.by.type), literal(row_id, table.id.type))
        query = query.where(place < edge if descending else place > edge)
    order = (sorting.by.desc(), table.id.desc()) if descending else (sorting.by.asc(), table.id.asc())
    found = session.execute(query.add_columns(sorting.by).order_by(*order).limit(size + 1)).all()
    more, found = len(found) > size, found[:size]
    if backwards:
        found = found[::-1]
    if not found:
        return Page([])
    first, last = (_encode(sorting, row[-1], row[0].id) for row in (found[0], found[-1]))
    return Page(
        [row[0] for row in found],
        before=first if (more if backwards else bool(cursor)) else "",
        after=last if (backwards or more) else "",
    )


def _encode(sorting: Sorting, value: Any, row_id: uuid.UUID) -> str:
    text = value.isoformat() if isinstance(value, date) else value
    return base64.urlsafe_b64encode(json.dumps([sorting.name, text, str(row_id)]).encode()).decode().rstrip("=")


def _decode(cursor: str, sorting: Sorting) -> tuple[Any, uuid.UUID]:
    try:
        name, text, row_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        kind = sorting.by.type.python_type
        value = kind.fromisoformat(text) if kind in (date, datetime) else text
        if name != sorting.name or not isinstance(value, kind) or "\x00" in str(value):
            raise ValueError
        return value, uuid.UUID(row_id)
    except (ValueError, TypeError, AttributeError):
        raise Invalid("This page of the list does not exist. Go back to its first page.") from None
