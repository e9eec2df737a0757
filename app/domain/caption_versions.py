"""Versions of a caption track: kept one after another, each whole, none ever changed once others rest on it."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.captions import webvtt
from app.captions.cues import Cue
from app.db.captions import CaptionOrigin, CaptionTrack, CaptionVersion
from app.db.captions import Cue as Row
from app.db.people import Person
from app.db.recordings import Artefact, ArtefactKind
from app.errors import Invalid, NotFound, TooLarge
from app.storage import keys
from app.storage.s3 import Storage

VTT = "text/vtt"
UNCHECKED = "Automatic captions. Nobody has checked them yet."
MOST_NOTE = 200
MOST_SPEAKER = 60
#: Characters that would change how a line reads without being seen.
_HIDDEN = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Kept:
    """A version in a list. `checked` of its `cues` a person has compared with the sound; `by` is empty for a machine's."""

    number: int
    origin: CaptionOrigin
    parent: int | None
    note: str
    by: str
    created_at: datetime
    updated_at: datetime
    cues: int
    checked: int


# -- tracks ------------------------------------------------------------------------------------------------------------


def locked_track(session: Session, recording_id: uuid.UUID, language: str) -> CaptionTrack:
    """The recording's track in a language, made when there is none, and locked: versions get their numbers in turn."""
    identity = {"recording_id": recording_id, "language": language}
    session.execute(
        insert(CaptionTrack).values(id=uuid.uuid4(), **identity).on_conflict_do_nothing(index_elements=list(identity))
    )
    return track(session, recording_id, language, lock=True)


def track(session: Session, recording_id: uuid.UUID, language: str, *, lock: bool = False) -> CaptionTrack:
    """The recording's track in a language: one query.

    Raises:
        NotFound: there is none.
    """
    query = select(CaptionTrack).filter_by(recording_id=recording_id, language=language)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = session.scalar(query)
    if found is None:
        raise NotFound
    return found


def tracks(session: Session, recording_id: uuid.UUID) -> list[CaptionTrack]:
    """The tracks of a recording that have a version, English first: one query."""
    query = select(CaptionTrack).where(CaptionTrack.recording_id == recording_id, CaptionTrack.current_version > 0)
    return list(session.scalars(query.order_by(CaptionTrack.language != "en", CaptionTrack.language)))


# -- versions ----------------------------------------------------------------------------------------------------------


def version(session: Session, track: CaptionTrack, number: int) -> CaptionVersion:
    """One version: one query.

    Raises:
        NotFound: the track has no such version.
    """
    query = select(CaptionVersion).where(CaptionVersion.track_id == track.id, CaptionVersion.number == number)
    found = session.scalar(query.options(joinedload(CaptionVersion.created_by)))
    if found is None:
        raise NotFound
    return found


def add(
    session: Session, track: CaptionTrack, cues: Sequence[Cue], origin: CaptionOrigin, *, parent: int | None = None,
    by: uuid.UUID | None = None, note: str = "", engine: str = "", model: str = "",
) -> CaptionVersion:  # fmt: skip
    """A new version with the next number. The track must be locked; what is current stays so."""
    last = session.scalar(select(func.max(CaptionVersion.number)).where(CaptionVersion.track_id == track.id)) or 0
    now = clock.now()
    made = CaptionVersion(
        id=uuid.uuid4(), track_id=track.id, number=last + 1, origin=origin, parent=parent, created_by_id=by,
        note=note.strip()[:MOST_NOTE], engine=engine[:100], model=model[:100], created_at=now, updated_at=now,
    )  # fmt: skip
    session.add(made)
    session.flush()
    write_cues(session, made, cues)
    return made


def write_cues(session: Session, version: CaptionVersion, cues: Sequence[Cue]) -> None:
    """Make these the cues of a version that has none."""
    if cues:
        session.execute(insert(Row), [_values(version.id, position, cue) for position, cue in enumerate(cues)])


def clear_cues(session: Session, version: CaptionVersion) -> None:
    """Take the cues from a version, to write others."""
    session.execute(delete(Row).where(Row.version_id == version.id))
    session.expire(version, ["cues"])


def become_current(track: CaptionTrack, version: CaptionVersion) -> None:
    """Make a version the one that people work on. Whoever began from what was current before will be told so."""
    track.current_version = version.number
    track.revision += 1
    version.revision = track.revision


def cues_of(session: Session, track: CaptionTrack, number: int) -> list[Cue]:
    """The cues of one version, in order: one query."""
    query = (
        select(Row)
        .join(CaptionVersion, CaptionVersion.id == Row.version_id)
        .where(CaptionVersion.track_id == track.id, CaptionVersion.number == number)
        .order_by(Row.position)
    )
    return [built(row) for row in session.scalars(query)]


def listing(session: Session, track: CaptionTrack) -> list[Kept]:
    """All versions, the newest first: one query."""
    counts = (
        select(Row.version_id, func.count().label("cues"), func.count().filter(Row.checked).label("checked"))
        .join(CaptionVersion, CaptionVersion.id == Row.version_id)
        .where(CaptionVersion.track_id == track.id)
        .group_by(Row.version_id)
        .subquery()
    )
    rows = session.execute(
        select(CaptionVersion, Person.name, func.coalesce(counts.c.cues, 0), func.coalesce(counts.c.checked, 0))
        .outerjoin(counts, counts.c.version_id == CaptionVersion.id)
        .outerjoin(Person, Person.id == CaptionVersion.created_by_id)
        .where(CaptionVersion.track_id == track.id)
        .order_by(CaptionVersion.number.desc())
    )
    return [
        Kept(row.number, row.origin, row.parent, row.note, by or "", row.created_at, row.updated_at, cues, checked)
        for row, by, cues, checked in rows
    ]


def lineage(session: Session, track: CaptionTrack, number: int | None) -> list[CaptionVersion]:
    """A version and those it was made from, the nearest first: one query."""
    rows = session.scalars(select(CaptionVersion).where(CaptionVersion.track_id == track.id))
    by_number = {row.number: row for row in rows}
    found: list[CaptionVersion] = []
    while number is not None and number in by_number:
        found.append(by_number.pop(number))
        number = found[-1].parent
    return found


# -- cues --------------------------------------------------------------------------------------------------------------


def built(row: Row) -> Cue:
    """A stored cue as the caption modules know it."""
    return Cue(
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        lines=tuple(line for line in row.text.split("\n") if line),
        confidence=1.0 if row.confidence is None else row.confidence,
        speaker=row.speaker or None,
        checked=row.checked,
        doubtful=tuple(row.doubtful),
    )


def _values(version_id: uuid.UUID, position: int, cue: Cue) -> dict[str, object]:
    return {
        "version_id": version_id,
        "position": position,
        "start_ms": cue.start_ms,
        "end_ms": cue.end_ms,
        "text": "\n".join(cue.lines),
        "speaker": cue.speaker or "",
        "confidence": cue.confidence,
        "checked": cue.checked,
        "doubtful": list(cue.doubtful),
    }


def fit_to_keep(cues: Sequence[Cue]) -> list[Cue]:
    """What people send, as it can be kept: lines without outer or doubled spaces and without characters that are not
    seen. A caption without text is kept, because somebody may be about to write it.

    Raises:
        TooLarge: more captions than a track can have, or a caption that is too long.
        Invalid: times that make no sense; the sentence names the caption.
    """
    if len(cues) > webvtt.MAX_CUES:
        raise TooLarge(f"A caption track can have at most {webvtt.MAX_CUES} captions.")
    kept: list[Cue] = []
    before = 0
    for number, cue in enumerate(cues, start=1):
        if not 0 <= cue.start_ms < cue.end_ms <= webvtt.MAX_MS:
            raise Invalid(f"Caption {number} must end after it begins, within 100 hours.")
        if cue.start_ms < before:
            raise Invalid(f"Caption {number} begins before the one in front of it.")
        before = cue.start_ms
        lines = tuple(line for line in map(_plain, cue.lines) if line)
        if sum(map(len, lines)) > webvtt.MAX_CUE_CHARS:
            raise TooLarge(f"Caption {number} is longer than {webvtt.MAX_CUE_CHARS} characters.")
        speaker = _plain(cue.speaker or "")[:MOST_SPEAKER].strip() or None
        kept.append(
            Cue(cue.start_ms, cue.end_ms, lines, min(1.0, max(0.0, cue.confidence)), speaker, cue.checked,
                tuple(word[:100] for word in cue.doubtful[:50]))
        )  # fmt: skip
    return kept


def _plain(text: str) -> str:
    seen = (" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text if c not in _HIDDEN)
    return " ".join("".join(seen).split())


# -- files -------------------------------------------------------------------------------------------------------------


def as_file(language: str, cues: Sequence[Cue], *, checked: bool) -> str:
    """Captions as WebVTT; those that nobody has checked say so. A caption that is still without text is left out."""
    return webvtt.write([cue for cue in cues if cue.lines], language=language, note="" if checked else UNCHECKED)


def store_file(
    session: Session, storage: Storage, track: CaptionTrack, number: int, cues: Sequence[Cue], *, checked: bool = False,
    show: bool,
) -> None:  # fmt: skip
    """Put the WebVTT of a version into storage. With `show` it becomes the recording's captions in this language.

    No object is ever written over: a version is stored once as it came, and once for each time that it was `checked`.

    Raises:
        Unavailable: storage did not take the file.
    """
    key = keys.caption_version(track.recording_id, track.language, number)
    if checked:
        key = keys.published_captions(track.recording_id, track.language, number, track.revision)
    stored = storage.put_bytes(key, as_file(track.language, cues, checked=checked).encode(), VTT)
    if not show:
        return
    values = {
        "key": key, "media_type": VTT, "size": stored.size, "sha256": stored.sha256, "created_at": clock.now(),
    }  # fmt: skip
    identity = {"recording_id": track.recording_id, "kind": ArtefactKind.CAPTIONS, "name": track.language}
    session.execute(
        insert(Artefact)
        .values(id=uuid.uuid4(), **identity, **values)
        .on_conflict_do_update(index_elements=list(identity), set_=values)
    )
