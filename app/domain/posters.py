"""The still that stands for a recording: the machine's choice, its other candidates, and what a person chose instead.

A person's choice is an artefact beside the machine's, so processing the recording again loses neither.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app import clock
from app.access import Actor
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.db.runs import Run
from app.domain import audit, replacing, runs
from app.errors import Conflict, Invalid, NotFound
from app.pipeline.workflows import POSTER

#: Names of posters: that of the machine's is empty.
CHOSEN = "chosen"
_CANDIDATE = "candidate-"
#: A rendition near to this short edge is good enough for a still.
SHORT_EDGE = 480
_TIME = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,3}):)?(\d{1,5})(?:[.,](\d{1,3}))?")


def candidate(number: int) -> str:
    """The name of a candidate, from 0."""
    return f"{_CANDIDATE}{number}"


def current(session: Session, recording_id: uuid.UUID) -> Artefact:
    """The still that is shown: one query.

    Raises:
        NotFound: there is none (yet).
    """
    # by name, the chosen one comes after the machine's
    query = _named(recording_id, ("", CHOSEN)).order_by(Artefact.name.desc()).limit(1)
    found = session.scalar(query)
    if found is None:
        raise NotFound
    return found


def candidates(session: Session, recording_id: uuid.UUID) -> list[Artefact]:
    """What a person can choose from, in order of time."""
    query = select(Artefact).where(
        Artefact.recording_id == recording_id,
        Artefact.kind == ArtefactKind.POSTER,
        Artefact.name.startswith(_CANDIDATE),
    )
    return list(session.scalars(query.order_by(Artefact.name)))


def number_of(row: Artefact) -> int:
    """The number of a candidate."""
    return int(row.name.removeprefix(_CANDIDATE))


def second_of(row: Artefact) -> float:
    """The second of the recording at which a still stands."""
    return float(row.detail.get("second", 0.0))


def read_second(text: str, duration_ms: int | None) -> float:
    """A time as people write it, "75", "1:15" or "0:01:15.5", in seconds.

    Raises:
        Invalid: it is none, or lies after the end of the recording.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None or (match[2] is not None and int(match[3]) > 59):
        raise Invalid("Enter a time like 1:15", fields={"second": "Enter a time like 1:15"})
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    found = (hours * 60 + minutes) * 60 + seconds + float(f"0.{match[4] or 0}")
    if duration_ms is not None and found * 1000 >= duration_ms:
        sentence = "Enter a time before the end of the recording"
        raise Invalid(sentence, fields={"second": sentence})
    return found


def choose(session: Session, actor: Actor, recording: Recording, second: float) -> Run:
    """Have a still made of the frame at a second; a worker does it, and then it is shown.

    Raises:
        Conflict: the recording cannot be watched yet, or is being processed.
    """
    if recording.state not in runs.KEPT_STATES:
        raise Conflict("The poster can be chosen once the recording is ready.")
    run = runs.start(session, recording, POSTER.name, actor.person_id, plan=_plan(session, recording, second))
    audit.record(session, actor, "poster:choose", "recording", recording.id, second=round(second, 3))
    return run


def forget(session: Session, actor: Actor, recording: Recording) -> None:
    """Show the machine's choice again."""
    row = session.scalar(_named(recording.id, (CHOSEN,)))
    if row is None:
        return
    replacing.retire(session, row, clock.now() + replacing.KEPT_LONGER)
    session.delete(row)
    audit.record(session, actor, "poster:forget", "recording", recording.id)


def _plan(session: Session, recording: Recording, second: float) -> dict[str, object]:
    """What the worker needs to know: the rendition, and a second at which it has a frame."""
    query = select(Artefact.name, Artefact.detail["width"], Artefact.detail["height"], Artefact.detail["codecs"]).where(
        Artefact.recording_id == recording.id, Artefact.kind == ArtefactKind.RENDITION
    )
    rows = [row for row in session.execute(query) if str(row[3]).startswith("avc")]
    if not rows:
        raise Conflict("There is no picture to choose from.")
    name = min(rows, key=lambda row: (abs(min(row[1], row[2]) - SHORT_EDGE), row[0]))[0]
    last = max(0.0, (recording.duration_ms or 0) / 1000 - 0.5)  # the slowest recordings have a frame each half second
    return {"second": min(second, last), "rendition": name}


def _named(recording_id: uuid.UUID, names: Sequence[str]) -> Select[Artefact]:
    return select(Artefact).where(
        Artefact.recording_id == recording_id, Artefact.kind == ArtefactKind.POSTER, Artefact.name.in_(names)
    )
