"""Backup: a consistent copy of a running instance. Restore: an instance as the backup knew it.

The database comes first, in one snapshot; then every object that the rows of that snapshot name. Objects are never
rewritten under their key, so copying them after the snapshot copies what the snapshot meant. Work goes on meanwhile and
may remove an object: where rows stopped naming it too, the copy starts again from a new snapshot, and what was copied
already stays.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from app import clock, logs
from app.access import SYSTEM
from app.db.cases import Case
from app.db.people import Person
from app.db.recordings import Recording, Upload, UploadPart, UploadState
from app.domain import audit
from app.domain.backup_folder import BackupFolder, Entry, Manifest, digest_of
from app.domain.fixity import Named, Say, Sessions, named, still_needed
from app.domain.uploads import SOURCE_TYPE
from app.embedded import dump
from app.errors import Conflict, Invalid, NotFound, Unavailable
from app.storage.s3 import Storage

log = logging.getLogger(__name__)

#: Rows of these are never kept: a restore ends every browser session, link and pending answer.
FORGOTTEN = ("web_sessions", "one_time_links", "idempotency_keys", "login_failures")
ROUNDS = 5
_SAY_SECONDS = 10.0


@dataclass(frozen=True)
class Instance:
    """What is copied or replaced: database sessions, the database's address as its owner for PostgreSQL's programs,
    storage. `role` is the application's, where the owner is another."""

    sessions: Sessions
    database_url: str
    storage: Storage
    role: str = ""


@dataclass
class Made:
    """What a backup did. `missing` and `altered` are keys of objects that storage had lost or changed."""

    objects: int = 0
    copied: int = 0
    copied_bytes: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Snapshot:
    database: Entry
    revision: str
    client: dump.Client
    server_major: int
    objects: Mapping[str, Named]


# -- backup --------------------------------------------------------------------------------------------------------------


def make(instance: Instance, path: Path, *, verify: bool = False, say: Say = lambda _: None) -> Made:
    """Back the instance up into a folder, which may hold an earlier backup: only what is new is then copied.

    Args:
        verify: read the objects that are there already, and copy again those that are not as they were.

    Raises:
        Invalid, Conflict: the folder cannot be used.
        Misconfigured: no `pg_dump` fits the server.
        Unavailable: the database or storage does not answer, or the folder cannot be written.
    """
    folder = BackupFolder(path)
    try:
        with folder.locked(make=True):
            return _make(instance, folder, verify, say)
    except OSError as error:
        raise Unavailable(f"The backup could not be written: {error.strerror} ({error.filename or path}).") from error


def _make(instance: Instance, folder: BackupFolder, verify: bool, say: Say) -> Made:
    folder.clear_unfinished()
    known = _known(folder, say)
    if verify:
        known = {key: entry for key, entry in known.items() if digest_of(folder.file_of(key)) == entry.sha256}
    made = Made()
    for turn in range(1, ROUNDS + 1):
        say("Copying the database.")
        snapshot = _copy_database(instance, folder)
        copy = _Copy(instance.storage, folder, known, made, say)
        copy.all(snapshot.objects)
        known = copy.entries
        if turn == ROUNDS or len(still_needed(instance.sessions, copy.gone)) == len(copy.gone):
            break
        say("Work went on meanwhile; taking up what is new.")
    made.missing, made.altered, made.objects = copy.gone, copy.altered, len(copy.entries)
    manifest = Manifest(
        made_at=clock.now().isoformat(timespec="seconds"),
        revision=snapshot.revision,
        server_major=snapshot.server_major,
        client_major=snapshot.client.major,
        database=snapshot.database,
        objects=tuple(copy.entries[key] for key in sorted(copy.entries)),
        missing=tuple(made.missing),
        altered=tuple(made.altered),
    )
    made.bytes = manifest.bytes
    folder.publish(manifest)
    with instance.sessions() as session:
        audit.record(session, SYSTEM, "instance:backup", "instance", objects=made.objects, copied=made.copied)
    logs.event(log, "backup made", count=made.objects, bytes=made.bytes)
    return made


def _known(folder: BackupFolder, say: Say) -> dict[str, Entry]:
    """What the backup before this one holds. One that is damaged helps nobody, so it counts as none."""
    try:
        before = folder.manifest()
    except Invalid as error:
        say(f"{error} Everything is compared anew.")
        before = None
    return {entry.name: entry for entry in before.objects} if before else {}


def _copy_database(instance: Instance, folder: BackupFolder) -> _Snapshot:
    """Dump the database and read which objects it names, both as of one moment."""
    major = dump.server_major(instance.database_url)
    client = dump.client_for(major, dump.clients())
    file = folder.new_dump()
    with instance.sessions() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        snapshot = session.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        revision = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        objects = named(session)
        dump.dump(client, instance.database_url, snapshot, file, without_rows=FORGOTTEN)
    with file.open("rb") as written:
        os.fsync(written.fileno())
    return _Snapshot(Entry(file.name, file.stat().st_size, digest_of(file)), revision, client, major, objects)


class _Copy:
    """One turn of copying objects. `entries` are those that are here, `gone` the needed ones that storage has not,
    `altered` those that are not what their rows say."""

    def __init__(
        self, storage: Storage, folder: BackupFolder, known: Mapping[str, Entry], made: Made, say: Say
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self.gone: list[str] = []
        self.altered: list[str] = []
        self._storage, self._folder, self._known, self._made, self._say = storage, folder, known, made, say

    def all(self, objects: Mapping[str, Named]) -> None:
        """Copy what is not here yet."""
        wanted = []
        for key, item in sorted(objects.items()):
            if (entry := self._have(item)) is not None:
                self.entries[key] = entry
            else:
                wanted.append(item)
        self._check_room(sum(item.size or 0 for item in wanted))
        self._say(f"{len(self.entries)} objects are here already, {len(wanted)} are to be copied.")
        said = time.monotonic()
        for number, item in enumerate(wanted):
            if time.monotonic() > said + _SAY_SECONDS:
                self._say(f"Copied {number} of {len(wanted)} objects.")
                said = time.monotonic()
            self._copy(item)

    def _have(self, item: Named) -> Entry | None:
        """The object as it is here, if it is and is right as far as its row knows."""
        file = self._folder.file_of(item.key)
        if not file.exists():
            return None
        entry = self._known.get(item.key)
        if entry is None:  # left by a backup that was interrupted: only its row can vouch for it
            entry = Entry(item.key, file.stat().st_size, digest_of(file) if item.sha256 else "")
            right = item.sha256 == entry.sha256 != ""
        else:
            right = file.stat().st_size == entry.size and item.sha256 in ("", entry.sha256)
        return entry if right and item.size in (None, entry.size) else None

    def _copy(self, item: Named) -> None:
        try:
            blocks, _ = self._storage.stream(item.key)
            entry = self._folder.write(item.key, blocks)
        except NotFound:
            if item.needed:
                self.gone.append(item.key)
            return
        self.entries[item.key] = entry
        self._made.copied += 1
        self._made.copied_bytes += entry.size
        if item.size not in (None, entry.size) or (item.sha256 and item.sha256 != entry.sha256):
            self.altered.append(item.key)

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self._folder.path).free
        if size > free:
            raise Unavailable(
                f"There is not enough room in {self._folder.path}: {size / 1024**3:.1f} GB are needed, "
                f"{free / 1024**3:.1f} GB are free."
            )


# -- restore -------------------------------------------------------------------------------------------------------------


def check(path: Path, say: Say = lambda _: None) -> Manifest:
    """The manifest of a backup of which every byte is as it was written.

    Raises:
        Invalid: it is damaged, or no backup.
        Conflict: another command is using it.
    """
    folder = BackupFolder(path)
    with folder.locked():
        return folder.verified(say)


def restore(
    instance: Instance, path: Path, manifest: Manifest, *, force: bool = False, say: Say = lambda _: None
) -> None:
    """Put a checked backup in place of what the instance has. The caller brings the database up to date afterwards, and
    then calls `take_up`.

    Objects come first, under keys that no row names yet; then the database, in one transaction. Until that is through,
    the instance is as it was.

    Raises:
        Conflict: the instance is not empty and `force` is not given, or the backup's database is newer than the server.
        Invalid: the backup was changed since it was checked.
        Misconfigured: no `pg_restore` fits, or the role may not replace the schema.
        Unavailable: the database or storage does not answer; nothing was replaced.
    """
    server = dump.server_major(instance.database_url)
    if server < manifest.server_major:
        raise Conflict(
            f"The backup comes from PostgreSQL {manifest.server_major}, this server is {server}. "
            f"Restore it into PostgreSQL {manifest.server_major} or newer."
        )
    client = dump.client_for(max(server, manifest.client_major), dump.clients())
    if not force:
        check_empty(instance)
    folder = BackupFolder(path)
    with folder.locked():
        if digest_of(folder.path / manifest.database.name) != manifest.database.sha256:
            raise Invalid(f"The backup was changed meanwhile: {manifest.database.name}.")
        instance.storage.ensure_bucket()
        say(f"Putting {len(manifest.objects)} objects back.")
        for entry in manifest.objects:
            stored = instance.storage.put_file(entry.name, folder.file_of(entry.name), _type_of(entry.name))
            if stored.sha256 != entry.sha256:
                raise Invalid(f"The backup was changed meanwhile: {entry.name}.")
        say("Putting the database back.")
        dump.load(client, instance.database_url, folder.path / manifest.database.name, role=instance.role)


def check_empty(instance: Instance) -> None:
    """Stop when there is somebody or something in the instance.

    Raises:
        Conflict: there is.
    """
    with instance.sessions() as session:
        if session.execute(text("SELECT to_regclass('public.people')")).scalar_one() is None:
            return
        if any(session.scalar(select(func.count()).select_from(table)) for table in (Person, Case, Recording)):
            raise Conflict(
                "This instance is not empty, and restoring replaces all that it has. Restore into an empty one, or "
                "add --force."
            )


def take_up(instance: Instance, manifest: Manifest) -> int:
    """Make a restored database fit to go on from. Returns how many unfinished uploads begin anew.

    Runs need nothing: their jobs are in the database, and workers sweep those that nobody holds any more.
    """
    with instance.sessions() as session:
        uploads = _reopen_uploads(session, instance.storage)
        audit.record(session, SYSTEM, "instance:restore", "instance", made_at=manifest.made_at)
    logs.event(log, "backup restored", count=len(manifest.objects))
    return uploads


def _reopen_uploads(session: Session, storage: Storage) -> int:
    """Parts are not kept, so whoever was sending a file sends all of it again: the upload itself stays theirs."""
    count = 0
    for upload in session.scalars(select(Upload).where(Upload.state == UploadState.OPEN)):
        session.execute(delete(UploadPart).where(UploadPart.upload_id == upload.id))
        upload.storage_upload_id = storage.begin_multipart(upload.key, SOURCE_TYPE)
        count += 1
    return count


def _type_of(key: str) -> str:
    """What storage notes as media type; answers to browsers take theirs from the row."""
    endings = {"mp4": "video/mp4", "jpg": "image/jpeg", "vtt": "text/vtt; charset=utf-8", "json": "application/json"}
    return endings.get(key.rpartition(".")[2], "application/octet-stream")
