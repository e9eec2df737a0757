"""Fixity: whether storage holds what the database names, no less, no more and unaltered.

Answers are in object keys, which hold ids only. Nothing here trusts that the world stands still: work goes on
meanwhile, so whatever looks wrong is asked for a second time before it is called wrong.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from app import clock
from app.access import SYSTEM
from app.db.captions import CaptionTrack, CaptionVersion
from app.db.fixity import FixityFinding
from app.db.recordings import Artefact, RetiredObject, Upload, UploadState
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import audit, replacing
from app.domain.runs import UNFINISHED
from app.errors import NotFound, Unavailable
from app.pipeline.workflows import ERASE
from app.storage import keys
from app.storage.s3 import Storage

#: An object younger than this may be one whose row is still to come.
GRACE = timedelta(hours=1)
ROOT = "recordings/"

Sessions = Callable[[], AbstractContextManager[Session]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Named:
    """An object that a row names.

    `size` (bytes) is None and `sha256` (hexadecimal) is empty where the row does not know them. Without `needed` the
    object may rightly be gone: an older version of captions, a chunk of a run that failed.
    """

    key: str
    size: int | None
    sha256: str
    needed: bool


@dataclass
class Findings:
    """What `examine` found, as object keys; `checked` counts the objects that rows name and need."""

    checked: int = 0
    missing: list[str] = field(default_factory=list)
    orphan: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    filled: int = 0
    removed: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong. Orphans that were removed are not wrong any more."""
        return not (self.missing or self.altered or len(self.orphan) > self.removed)


def named(session: Session) -> dict[str, Named]:
    """Every object that rows name, by key. What is being erased is not among them."""
    erasing = select(Run.recording_id).where(Run.workflow == ERASE.name, Run.state.in_(UNFINISHED))
    found: dict[str, Named] = {}
    for key, size, sha256 in session.execute(
        select(Artefact.key, Artefact.size, Artefact.sha256).where(Artefact.recording_id.not_in(erasing))
    ):
        found[key] = Named(key, size, sha256, needed=True)
    for item in (
        *_chunks(session, erasing), *_staged(session, erasing), *_retired(session, erasing),
        *_caption_versions(session, erasing), *_open_uploads(session),
    ):  # fmt: skip
        found.setdefault(item.key, item)
    return found


def _chunks(session: Session, erasing: Select[uuid.UUID]) -> Iterator[Named]:
    """What stages have handed to later ones: needed while the run goes on, useful if it may be tried again."""
    query = (
        select(Run.state, StageRun.outputs["objects"])
        .join(Run, StageRun.run_id == Run.id)
        .where(
            Run.state != RunState.SUCCEEDED,
            Run.recording_id.not_in(erasing),
            StageRun.state == StageState.SUCCEEDED,
            StageRun.outputs.has_key("objects"),
        )
    )
    for state, objects in session.execute(query):
        for item in objects.values():
            yield Named(item["key"], None, item["sha256"], needed=state == RunState.RUNNING)


def _staged(session: Session, erasing: Select[uuid.UUID]) -> Iterator[Named]:
    """What runs have made that is to replace what is there: as with chunks."""
    query = (
        select(Run.state, StageRun)
        .join(Run, StageRun.run_id == Run.id)
        .where(
            Run.state != RunState.SUCCEEDED,
            Run.recording_id.not_in(erasing),
            StageRun.outputs.has_key(replacing.STAGED),
        )
    )
    for state, row in session.execute(query):
        for made in replacing.staged([row]):
            yield Named(made.key, made.size, made.sha256, needed=state == RunState.RUNNING)


def _retired(session: Session, erasing: Select[uuid.UUID]) -> Iterator[Named]:
    """What was replaced and is kept for those who are watching."""
    query = select(RetiredObject.key, RetiredObject.size, RetiredObject.sha256)
    for key, size, sha256 in session.execute(query.where(RetiredObject.recording_id.not_in(erasing))):
        yield Named(key, size, sha256, needed=False)


def _caption_versions(session: Session, erasing: Select[uuid.UUID]) -> Iterator[Named]:
    """The one that is shown is an artefact; the others are kept beside it."""
    query = select(CaptionTrack.recording_id, CaptionTrack.language, CaptionVersion.number).join(
        CaptionVersion, CaptionVersion.track_id == CaptionTrack.id
    )
    for recording_id, language, number in session.execute(query.where(CaptionTrack.recording_id.not_in(erasing))):
        yield Named(keys.caption_version(recording_id, language, number), None, "", needed=False)


def _open_uploads(session: Session) -> Iterator[Named]:
    """An upload whose parts were joined just before its transaction was lost is completed when it is asked again."""
    for key in session.scalars(select(Upload.key).where(Upload.state == UploadState.OPEN)):
        yield Named(key, None, "", needed=False)


def examine(
    sessions: Sessions,
    storage: Storage,
    *,
    deep: bool = False,
    remove_orphans: bool = False,
    grace: timedelta = GRACE,
    say: Say = lambda _: None,
) -> Findings:
    """Compare rows and objects.

    Args:
        deep: also read every object and compare its SHA-256. A row that does not know one yet is given it.
        remove_orphans: remove the objects that no row names.
        grace: objects younger than this are no orphans yet.

    Raises:
        Unavailable: storage does not answer.
    """
    stored = dict(storage.objects(ROOT))
    with sessions() as session:
        rows = named(session)
        working = _prefixes_in_work(session)
    found = Findings(checked=sum(item.needed for item in rows.values()))
    found.missing = _missing(sessions, storage, rows, stored)
    found.orphan = _orphans(sessions, storage, [key for key in sorted(stored) if key not in rows], working, grace)
    if deep:
        gone = set(found.missing)
        there = [item for key, item in sorted(rows.items()) if key in stored and key not in gone]
        _read_all(sessions, storage, there, found, say)
    if remove_orphans and found.orphan:
        for key in found.orphan:
            storage.delete(key)
            found.removed += 1
        with sessions() as session:
            audit.record(session, SYSTEM, "storage:remove-orphans", "instance", count=found.removed)
    return found


def still_needed(sessions: Sessions, suspects: Sequence[str]) -> list[str]:
    """Those of these keys that rows name and need now."""
    if not suspects:
        return []
    with sessions() as session:
        now = named(session)
    return [key for key in suspects if key in now and now[key].needed]


def _missing(sessions: Sessions, storage: Storage, rows: dict[str, Named], stored: dict[str, int]) -> list[str]:
    """Objects that are needed and absent or of the wrong size. The listing is older than the rows, so each is asked
    for again, and then its row."""
    suspects = []
    for key, item in sorted(rows.items()):
        if item.needed and (key not in stored or item.size not in (None, stored[key])):
            size = _size(storage, key)
            if size is None or item.size not in (None, size):
                suspects.append(key)
    return still_needed(sessions, suspects)


def _size(storage: Storage, key: str) -> int | None:
    try:
        return storage.size(key)
    except NotFound:
        return None


def _prefixes_in_work(session: Session) -> tuple[str, ...]:
    """Where unfinished runs put things: what an attempt has stored counts only when it ends, and each run tidies up."""
    runs = session.execute(select(Run.recording_id, Run.id).where(Run.state.in_(UNFINISHED)))
    return tuple(
        prefix
        for recording_id, run_id in runs
        for prefix in (keys.scratch_prefix(recording_id, run_id), keys.made_prefix(recording_id, run_id))
    )


def _orphans(
    sessions: Sessions, storage: Storage, suspects: list[str], working: tuple[str, ...], grace: timedelta
) -> list[str]:
    limit = clock.now() - grace
    old = []
    for key in suspects:
        if key.startswith(working):
            continue
        try:
            if storage.modified(key) <= limit:
                old.append(key)
        except NotFound:
            continue  # removed since it was listed
    if not old:
        return []
    with sessions() as session:
        now = named(session)
    return [key for key in old if key not in now]


def _read_all(sessions: Sessions, storage: Storage, items: list[Named], found: Findings, say: Say) -> None:
    suspects = []
    for number, item in enumerate(items, 1):
        if number % 100 == 0:
            say(f"Read {number} of {len(items)} objects.")
        try:
            found_digest = digest(storage, item.key)
        except NotFound:
            continue  # removed since it was listed
        except Unavailable:
            storage.check()  # raises where the whole store is away, and not just this object
            suspects.append(item.key)
            continue
        if item.sha256 and found_digest != item.sha256:
            suspects.append(item.key)
        elif item.size is not None:  # an artefact: it is right, and when it was read is written down
            with sessions() as session:
                same = update(Artefact).where(Artefact.key == item.key, Artefact.sha256 == item.sha256)
                values = {"sha256": found_digest, "verified_at": clock.now()}
                changed = session.execute(same.values(**values)).rowcount  # type: ignore[attr-defined]
                session.execute(delete(FixityFinding).where(FixityFinding.key == item.key))
            found.filled += changed if not item.sha256 else 0
    if suspects:
        with sessions() as session:
            now = named(session)
        found.altered = [key for key in suspects if key in now]


def digest(storage: Storage, key: str, check: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of an object as storage gives it now, in hexadecimal. `check` is called between blocks and may raise.

    Raises:
        NotFound: there is no such object.
        Unavailable: storage does not give it whole.
    """
    found = hashlib.sha256()
    for block in storage.stream(key)[0]:
        check()
        found.update(block)
    return found.hexdigest()
