"""Recordings as their makers handle them: details, where they stand, withdrawing, restoring, deleting."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from app import clock
from app.access import Action, Actor, policy
from app.captions import spoken
from app.db.cases import Case
from app.db.materials import Material, MaterialItem
from app.db.recordings import Recording, RecordingState
from app.db.runs import Run, RunState
from app.db.vocabulary import Term, TermKind
from app.domain import audit, paging, runs
from app.domain.paging import Page, Sorting
from app.errors import Conflict, Invalid
from app.media.damage import Damage
from app.pipeline.workflows import INGEST
from app.storage import keys
from app.storage.s3 import Storage

MOST_TITLE = 200
MOST_FILENAME = 400
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")

SORTINGS = (
    Sorting("newest", "Newest first", Recording.created_at, descending=True),
    Sorting("oldest", "Oldest first", Recording.created_at),
    Sorting("title", "Title", func.lower(Recording.title)),
)
#: What a maker's list can be narrowed to; "published" is a question beside the state.
STANDINGS = {
    "uploading": "Uploading",
    "processing": "Processing",
    "ready": "Ready, not published",
    "published": "Published",
    "rejected": "Not accepted",
    "failed": "Failed",
    "withdrawn": "Withdrawn",
}


@dataclass(frozen=True, kw_only=True)
class Edited:
    """What a person may change of a recording. `language` is a choice of `app.captions.spoken`; None leaves it."""

    title: str
    description: str = ""
    recorded_on: date | None = None
    themes: Sequence[Term] = ()
    language: str | None = None


def standing(recording: Recording) -> str:
    """One word for pages: the state, or `published` for what is watchable by its audience; one of `STANDINGS`."""
    if recording.published_at is not None and recording.state is RecordingState.READY:
        return "published"
    return recording.state.value


def checked_title(title: str) -> str:
    """A title without outer spaces.

    Raises:
        Invalid: empty or too long.
    """
    title = title.strip()
    if title and len(title) <= MOST_TITLE:
        return title
    sentence = f"Title must be {MOST_TITLE} characters or fewer" if title else "Enter a title"
    raise Invalid(sentence, fields={"title": sentence})


def checked_filename(name: str) -> str:
    """What the uploader calls the file, fit to be shown: characters that would change how it reads are taken out. It is
    never a path and never part of a key."""
    return _CONTROL.sub("", name).strip()[:MOST_FILENAME] or "file"


def themes_from_case(case: Case) -> list[Term]:
    """The themes with which a new recording of a case begins."""
    return [term for term in case.terms if term.kind is TermKind.THEME]


# -- changing ------------------------------------------------------------------------------------------------------------


def edit(session: Session, actor: Actor, recording: Recording, edited: Edited) -> None:
    """Change what is written of a recording. The caller has checked that the actor may edit it.

    Raises:
        Invalid: no title, no theme, or a language that captions cannot be made in.
    """
    title = checked_title(edited.title)
    if not edited.themes:
        raise Invalid("Select at least one theme", fields={"themes": "Select at least one theme"})
    new = {"title": title, "description": edited.description.strip(), "recorded_on": edited.recorded_on}
    if edited.language is not None:
        new["spoken_language"] = spoken.checked(edited.language)
    changed = [name for name, value in new.items() if getattr(recording, name) != value]
    for name in changed:
        setattr(recording, name, new[name])
    if {term.id for term in recording.terms} != {term.id for term in edited.themes}:
        recording.terms = list(edited.themes)
        changed.append("themes")
    session.flush()
    if changed:
        audit.record(session, actor, "recording:edit", "recording", recording.id, fields=sorted(changed))


def withdraw(session: Session, actor: Actor, recording: Recording) -> None:
    """Take a recording from everybody but its makers and custodians, at once. It can be undone.

    Raises:
        Conflict: it cannot be watched yet, so there is nothing to take back.
    """
    if recording.state is RecordingState.WITHDRAWN:
        return
    if recording.watchable_at is None:
        raise Conflict("This recording cannot be watched yet. Cancel or delete it instead.")
    recording.state, recording.withdrawn_at = RecordingState.WITHDRAWN, clock.now()
    audit.record(session, actor, "recording:withdraw", "recording", recording.id)


def restore(session: Session, actor: Actor, recording: Recording) -> None:
    """Undo a withdrawal: the same people can watch it as before.

    Raises:
        Conflict: it is not withdrawn.
    """
    if recording.state is not RecordingState.WITHDRAWN:
        raise Conflict("This recording is not withdrawn.")
    run = runs.latest(session, recording.id, INGEST.name)  # other runs say nothing about what there is to watch
    if run is not None and run.replaces:
        recording.state = RecordingState.READY  # it was when the run began, and the run takes nothing away
    elif run is not None and run.state in runs.UNFINISHED:
        recording.state = RecordingState.PROCESSING
    elif run is not None and run.state is not RunState.SUCCEEDED:
        recording.state, recording.reason, recording.reason_code = RecordingState.FAILED, run.reason, run.reason_code
    else:
        recording.state = RecordingState.READY
    recording.withdrawn_at = None
    audit.record(session, actor, "recording:restore", "recording", recording.id)


def why_not_deletable(session: Session, recording: Recording) -> str:
    """What stands against deleting a recording, as a sentence; empty when nothing does."""
    if recording.published_at is not None:
        return "It has been published. Withdraw it instead, so that its history is kept."
    if unfinished_run(session, recording) is not None:
        return "It is being processed. Cancel that first."
    used = session.scalar(
        select(Material.title)
        .join(MaterialItem, MaterialItem.material_id == Material.id)
        .where(MaterialItem.recording_id == recording.id)
        .limit(1)
    )
    return "It is used in a training material. Take it out there first." if used is not None else ""


def delete_draft(session: Session, storage: Storage, actor: Actor, recording: Recording) -> None:
    """Delete a recording that was never published, with all its objects. It cannot be undone.

    Raises:
        Conflict: it is published, being processed, or used in a material.
    """
    if reason := why_not_deletable(session, recording):
        raise Conflict(f"This recording cannot be deleted. {reason}")
    audit.record(session, actor, "recording:delete", "recording", recording.id)
    erase(session, storage, recording)


def erase(session: Session, storage: Storage, recording: Recording) -> None:
    """Remove a recording, everything in the database that hangs on it, and every object under its prefix."""
    recording_id = recording.id
    session.flush()
    session.expunge(recording)
    session.execute(delete(Recording).where(Recording.id == recording_id))
    storage.delete_prefix(keys.recording_prefix(recording_id))


# -- finding -------------------------------------------------------------------------------------------------------------


def mine(
    session: Session, actor: Actor, standings: Sequence[str], sorting: Sorting, *, after: str = "", before: str = ""
) -> Page[Recording]:
    """A page of the recordings that the actor uploaded and may still manage, with their cases."""
    query = (
        policy.visible(actor, Action.RECORDING_MANAGE, clock.now())
        .where(Recording.owner_id == actor.person_id)
        .options(joinedload(Recording.case), joinedload(Recording.area), joinedload(Recording.organisation))
    )
    conditions: list[ColumnElement[bool]] = []
    for word in standings:
        if word == "published":
            conditions.append((Recording.state == RecordingState.READY) & Recording.published_at.is_not(None))
        elif word == "ready":
            conditions.append((Recording.state == RecordingState.READY) & Recording.published_at.is_(None))
        elif word in STANDINGS:
            conditions.append(Recording.state == RecordingState(word))
    if conditions:
        query = query.where(or_(*conditions))
    return paging.read(session, query, Recording, sorting, after=after, before=before)


def listing(
    session: Session, actor: Actor, sorting: Sorting, *, case_id: uuid.UUID | None = None,
    state: RecordingState | None = None, after: str = "", before: str = "", size: int = paging.PAGE,
) -> Page[Recording]:  # fmt: skip
    """A page of the recordings that the actor may watch."""
    query = (
        policy.visible(actor, Action.RECORDING_VIEW, clock.now())
        .join(Recording.case)
        .options(contains_eager(Recording.case))
    )
    if case_id is not None:
        query = query.where(Case.id == case_id)
    if state is not None:
        query = query.where(Recording.state == state)
    return paging.read(session, query, Recording, sorting, after=after, before=before, size=size)


def unfinished_run(session: Session, recording: Recording) -> Run | None:
    """The run that is going on, if one is."""
    run = runs.latest(session, recording.id)
    return run if run is not None and run.state in runs.UNFINISHED else None


def damage(recording: Recording) -> list[Damage]:
    """What of the uploaded file is missing, in order of time."""
    return [Damage.from_json(part) for part in recording.damage]
