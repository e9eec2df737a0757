"""Captions as a plain form, for where scripts do not run: a page of them, with times as people write them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.captions.cues import Cue
from app.errors import Invalid
from app.web import cue_shapes

PAGE = 25
_TIME = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,3}):)?(\d{1,5})(?:[.,](\d{1,3}))?")


def written(ms: int) -> str:
    """Milliseconds as 1:23.450 or 1:02:03.450."""
    seconds, thousandths = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{start}:{seconds:02}.{thousandths:03}"


def read_time(text: str) -> int | None:
    """What somebody typed, in milliseconds, or None when it is no time."""
    found = _TIME.fullmatch(text.strip())
    if found is None or (found[2] is not None and int(found[3]) > 59):
        return None
    hours, minutes, seconds = (int(found[n] or 0) for n in (1, 2, 3))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + int((found[4] or "").ljust(3, "0"))


@dataclass(frozen=True)
class Row:
    """One caption in the form. `number` counts from 1 over the whole track."""

    number: int
    start: str
    end: str
    text: str
    speaker: str
    checked: bool
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """One page of the form. `base` is what it was made from, so that a save can tell whether somebody else was there."""

    number: int
    pages: int
    rows: Sequence[Row]
    base: str
    errors: Mapping[str, str] = field(default_factory=dict)


def page_of(cues: Sequence[Cue], number: int, notes: Mapping[int, Sequence[str]]) -> Page:
    """A page of a track's captions, the nearest there is to the one asked for."""
    pages = max(1, -(-len(cues) // PAGE))
    number = min(max(1, number), pages)
    first = (number - 1) * PAGE
    shown = cues[first : first + PAGE]
    rows = [
        Row(
            first + n + 1, written(cue.start_ms), written(cue.end_ms), "\n".join(cue.lines), cue.speaker or "", cue.checked,
            notes.get(first + n, ()),
        )
        for n, cue in enumerate(shown)
    ]  # fmt: skip
    return Page(number, pages, rows, json.dumps([cue_shapes.shape(cue) for cue in shown]))


def read(form: Mapping[str, str]) -> tuple[list[Cue], list[Cue], list[Row]]:
    """The captions that a page was made from, those that were sent, and the rows as typed. A caption whose text was emptied
    is taken out.

    Raises:
        Invalid: times that cannot be read, named by their fields; or a form that is none of ours.
    """
    try:
        base = cue_shapes.read(json.loads(form.get("base", "")), "base")
        first = int(form.get("first", ""))
    except ValueError:
        raise Invalid("This form is not complete. Go back, reload the page and try again.") from None
    sent: list[Cue] = []
    rows: list[Row] = []
    faults: dict[str, str] = {}
    for n, before in enumerate(base):
        number = first + n
        typed = {name: form.get(f"{name}-{number}", "") for name in ("start", "end", "text", "speaker")}
        row = Row(number, **typed, checked=f"checked-{number}" in form)
        rows.append(row)
        start, end = read_time(row.start), read_time(row.end)
        for name, value in (("start", start), ("end", end)):
            if value is None:
                faults[f"{name}-{number}"] = f"Caption {number}: write the time like 1:23.450"
        if start is None or end is None:
            continue
        if end <= start:
            faults[f"end-{number}"] = f"Caption {number} must end after it begins"
            continue
        lines = tuple(line.strip() for line in row.text.splitlines() if line.strip())
        if not lines:
            continue
        same = (start, end, lines, row.speaker) == (before.start_ms, before.end_ms, before.lines, before.speaker or "")
        touched = not same and row.checked == before.checked
        sent.append(
            Cue(start, end, lines, before.confidence, row.speaker.strip() or None, row.checked and not touched,
                before.doubtful)
        )  # fmt: skip
    if faults:
        error = Invalid("; ".join(faults.values()), fields=faults)
        error.rows = rows  # type: ignore[attr-defined]
        raise error
    return base, sent, rows


def put_in_place(cues: Sequence[Cue], base: Sequence[Cue], sent: Sequence[Cue]) -> list[Cue] | None:
    """The whole track with what was sent where its base stands; None where the base is not there any more, because
    somebody has changed these very captions."""
    size = len(base)
    for at in range(len(cues) - size + 1):
        if list(cues[at : at + size]) == list(base):
            return sorted([*cues[:at], *sent, *cues[at + size :]], key=lambda cue: cue.start_ms)
    return None
