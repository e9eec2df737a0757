"""Reading the audit: searching and exporting what the actor may read of it, with names for display only."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.orm import Session

from app import clock
from app.access import Actor, oversight
from app.db.audit import AuditEvent
from app.db.people import Person
from app.db.places import Organisation
from app.domain import audit, days
from app.domain.audit_sentences import sentence
from app.errors import Invalid

PAGE = 50
#: Rows that an export holds in memory at once.
BLOCK = 500
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
COLUMNS = (
    *("event", "at", "person_id", "person", "actor", "action", "subject_kind", "subject_id", "subject"),
    *("request_id", "address", "reason", "detail"),
)
_BIGGEST = 2**63 - 1


@dataclass(frozen=True)
class Filters:
    """What a list of events is narrowed to; what is empty narrows nothing.

    `person` is an e-mail address, `subject` KIND or KIND:ID, `id` a request's, event's, person's or subject's id. Days
    are those of the United Kingdom; both count whole.
    """

    person: str = ""
    action: str = ""
    subject: str = ""
    id: str = ""
    from_day: date | None = None
    until_day: date | None = None


@dataclass(frozen=True)
class Line:
    """An event as people read it. `subject` is empty where it has no name, is gone, or is not the actor's to read."""

    event: AuditEvent
    person: str
    subject: str

    @property
    def sentence(self) -> str:
        """What was done."""
        return sentence(self.event.action)


@dataclass(frozen=True)
class Page:
    """Lines, the latest first, and the numbers from which the pages beside it go on; None where there is none."""

    lines: Sequence[Line]
    newer: int | None = None
    older: int | None = None


def search(
    session: Session,
    actor: Actor,
    filters: Filters,
    *,
    older: int | None = None,
    newer: int | None = None,
    size: int = PAGE,
) -> Page:
    """A page of the events that the actor may read: five queries at most.

    Args:
        older: only events before this one; newer: only events after it, of which the nearest.
    Raises:
        Invalid: a filter or a number cannot be one.
    """
    for number in (older, newer):
        if number is not None and not 0 <= number <= _BIGGEST:
            raise Invalid("This page of the list does not exist. Go back to its first page.")
    query = _select(actor, filters)
    if newer is not None:
        query = query.where(AuditEvent.id > newer).order_by(AuditEvent.id)
    elif older is not None:
        query = query.where(AuditEvent.id < older).order_by(AuditEvent.id.desc())
    else:
        query = query.order_by(AuditEvent.id.desc())
    found = list(session.scalars(query.limit(size + 1)))
    more, found = len(found) > size, found[:size]
    if newer is not None:
        found.reverse()
    if not found:
        return Page([])
    backwards = newer is not None
    return Page(
        _lines(session, actor, found),
        newer=found[0].id if (more if backwards else older is not None) else None,
        older=found[-1].id if (backwards or more) else None,
    )


def look(session: Session, actor: Actor, filters: Filters) -> None:
    """Write down that somebody looked at the audit, and by what they narrowed it."""
    audit.record(session, actor, "audit:look", "instance", filters=_names(filters))


def export(session: Session, actor: Actor, filters: Filters, kind: str, *, reason: str = "") -> Iterator[str]:
    """The events in the order of their numbers, as CSV with a heading or as one JSON object a line. That it was
    exported is written down at once, in this transaction; rows are read as they are asked for.

    Raises:
        Invalid: no such format, or a filter cannot be one.
    """
    if kind not in FORMATS:
        raise Invalid(f"The format must be {' or '.join(FORMATS)}.")
    query = _select(actor, filters)
    last = session.scalar(select(func.max(AuditEvent.id))) or 0
    audit.record(
        session, actor, "audit:export", "instance", reason=reason, format=kind, filters=_names(filters), up_to=last
    )
    return _write(session, actor, query.where(AuditEvent.id <= last), kind)


def _write(session: Session, actor: Actor, query: Select[Any], kind: str) -> Iterator[str]:
    if kind == "csv":
        yield _csv(COLUMNS)
    after = 0
    while found := list(session.scalars(query.where(AuditEvent.id > after).order_by(AuditEvent.id).limit(BLOCK))):
        after = found[-1].id
        rows = [as_json(line) for line in _lines(session, actor, found)]
        session.expunge_all()  # what was written out is not kept
        for row in rows:
            yield (
                _csv([_cell(row[name]) for name in COLUMNS])
                if kind == "csv"
                else json.dumps(row, ensure_ascii=False) + "\n"
            )


def as_json(line: Line) -> dict[str, Any]:
    """A line as the API and exports give it."""
    event = line.event
    return {
        "event": event.id,
        "at": event.at.isoformat(),
        "person_id": str(event.person_id) if event.person_id else None,
        "person": line.person,
        "actor": event.actor_kind,
        "action": event.action,
        "subject_kind": event.subject_kind,
        "subject_id": str(event.subject_id) if event.subject_id else None,
        "subject": line.subject,
        "request_id": event.request_id,
        "address": event.address,
        "reason": event.reason,
        "detail": event.detail,
    }


# -- inside ----------------------------------------------------------------------------------------------------------------


def _select(actor: Actor, filters: Filters) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [oversight.events(actor, clock.now())]
    if filters.person:
        address = filters.person.strip().lower()
        # within the events that the actor may read: an address that is nobody's gives what an unseen one gives
        conditions.append(AuditEvent.person_id.in_(select(Person.id).where(func.lower(Person.email) == address)))
    if filters.action:
        conditions.append(AuditEvent.action == filters.action)
    if filters.subject:
        kind, _, subject_id = filters.subject.strip().partition(":")
        conditions.append(AuditEvent.subject_kind == kind)
        if subject_id:
            conditions.append(AuditEvent.subject_id == _uuid(subject_id))
    if filters.id:
        conditions.append(_by_id(filters.id.strip()))
    if filters.from_day is not None:
        conditions.append(AuditEvent.at >= days.start_of(filters.from_day))
    if filters.until_day is not None:
        conditions.append(AuditEvent.at < days.end_of(filters.until_day))
    return select(AuditEvent).where(and_(*conditions))


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        sentence = "A thing is named by its kind, or by kind and id with a colon between, like recording:0b1c..."
        raise Invalid(sentence, fields={"subject": sentence}) from None


def _by_id(text: str) -> ColumnElement[bool]:
    if "\x00" in text:
        return false()
    if text.isascii() and text.isdigit() and int(text) <= _BIGGEST:
        return AuditEvent.id == int(text)
    try:
        known = uuid.UUID(text)
    except ValueError:
        return AuditEvent.request_id == text
    return or_(AuditEvent.person_id == known, AuditEvent.subject_id == known, AuditEvent.request_id == text)


def _lines(session: Session, actor: Actor, events: Sequence[AuditEvent]) -> list[Line]:
    people = {event.person_id for event in events if event.person_id}
    names: dict[tuple[str, uuid.UUID], str] = {
        ("actor", row.id): row.name or row.email
        for row in session.execute(select(Person.id, Person.name, Person.email).where(Person.id.in_(people)))
    }
    now = clock.now()
    for kind in sorted({event.subject_kind for event in events if event.subject_id}):
        names |= _subjects(session, actor, kind, {e.subject_id for e in events if e.subject_kind == kind}, now)
    return [
        Line(
            event,
            names.get(("actor", event.person_id), "somebody who is gone") if event.person_id else event.actor_kind,
            names.get((event.subject_kind, event.subject_id), "") if event.subject_id else "",
        )
        for event in events
    ]


def _subjects(
    session: Session, actor: Actor, kind: str, ids: set[uuid.UUID | None], now: datetime
) -> dict[tuple[str, uuid.UUID], str]:
    """The names of things of one kind, of those that the actor may read."""
    tables: dict[str, Any] = {"person": Person, "organisation": Organisation, **oversight.PLACED}
    if kind not in tables:
        return {}
    table = tables[kind]
    if kind == "person":
        called: Any = func.coalesce(func.nullif(Person.name, ""), Person.email)
    else:
        called = table.title if hasattr(table, "title") else table.name
    rows = session.execute(select(table.id, called).where(table.id.in_(ids), oversight.named(actor, kind, now)))
    return {(kind, row[0]): row[1] for row in rows}


def _names(filters: Filters) -> list[str]:
    """Which filters were used: their names, never what was typed."""
    return [name for name, value in vars(filters).items() if value]


def _csv(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
