"""`vignette fsck` finds each kind of damage, and accuses nothing that is in order."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core import Core
from app.db.recordings import Artefact
from app.domain import fixity
from app.errors import Unavailable
from app.settings import Settings
from app.storage import keys
from app.storage.s3 import Storage
from tests.ops.conftest import Command, Scene

NOW = timedelta(0)


def examine(core: Core, **options: object) -> fixity.Findings:
    return fixity.examine(core.session, core.storage, grace=NOW, **options)  # type: ignore[arg-type]


def test_nothing_is_wrong_with_an_instance_at_work(core: Core, scene: Scene) -> None:
    found = examine(core, deep=True)
    assert found.ok
    assert (found.missing, found.orphan, found.altered) == ([], [], [])
    assert found.checked == 5  # two sources, a rendition, the captions that are shown, a chunk of an unfinished run


@pytest.mark.parametrize("what", ["source", "rendition", "captions", "chunk"])
def test_a_deleted_object_is_missing(core: Core, scene: Scene, what: str) -> None:
    core.storage.delete(getattr(scene, what))
    assert examine(core).missing == [getattr(scene, what)]


def test_an_object_of_the_wrong_size_is_missing(core: Core, scene: Scene) -> None:
    core.storage.put_bytes(scene.rendition, b"short", "video/mp4")
    found = examine(core, deep=True)
    assert (found.missing, found.altered, found.ok) == ([scene.rendition], [], False)


def test_an_older_version_of_captions_may_be_gone(core: Core, scene: Scene) -> None:
    core.storage.delete(scene.older_captions)
    assert examine(core).ok


def test_an_altered_object_is_found_by_reading(core: Core, scene: Scene) -> None:
    core.storage.put_bytes(scene.rendition, b"360p" * 5000, "video/mp4")
    assert examine(core).ok
    assert examine(core, deep=True).altered == [scene.rendition]


def test_reading_fills_in_what_a_row_did_not_know(core: Core, scene: Scene) -> None:
    assert examine(core, deep=True).filled == 2
    with core.session() as session:
        known = session.scalar(select(Artefact.sha256).where(Artefact.key == scene.source))
    assert known == scene.digests[scene.source]
    core.storage.put_bytes(scene.source, b"As uploaded" * 1000, "video/mp4")
    assert examine(core, deep=True).altered == [scene.source]


def test_an_object_without_a_row_is_an_orphan_when_it_is_old(core: Core, scene: Scene) -> None:
    lost = keys.source(uuid.uuid4(), uuid.uuid4())
    core.storage.put_bytes(lost, b"?", "video/mp4")
    assert fixity.examine(core.session, core.storage).ok
    assert examine(core).orphan == [lost]
    found = examine(core, remove_orphans=True)
    assert (found.orphan, found.removed, found.ok) == ([lost], 1, True)
    assert examine(core).orphan == []
    assert {key for key, _ in core.storage.objects("")} == scene.digests.keys()


def test_work_in_progress_is_no_orphan(core: Core, scene: Scene) -> None:
    run_prefix = scene.chunk.partition("chunks/")[0]
    core.storage.put_bytes(f"{run_prefix}chunks/00001/1/480p.mp4", b"of an attempt that goes on", "video/mp4")
    core.storage.put_bytes(f"{run_prefix.replace('/runs/', '/made/')}1/480p.mp4", b"not yet a row", "video/mp4")
    assert examine(core).orphan == []


def test_what_is_removed_meanwhile_is_not_missing(core: Core, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row goes with the object, after the rows were read."""
    listing = Storage.objects

    def late(storage: Storage, prefix: str) -> list[tuple[str, int]]:
        found = list(listing(storage, prefix))
        core.storage.delete(scene.rendition)
        return [item for item in found if item[0] != scene.rendition]

    def size(storage: Storage, key: str) -> int:
        with core.session() as session:
            session.delete(session.scalars(select(Artefact).where(Artefact.key == key)).one())
        return real(storage, key)

    real = Storage.size
    monkeypatch.setattr(Storage, "objects", late)
    monkeypatch.setattr(Storage, "size", size)
    assert examine(core).ok


def test_one_object_that_cannot_be_read_is_altered(core: Core, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Storage.stream

    def stream(storage: Storage, key: str, byte_range: tuple[int, int] | None = None) -> object:
        if key == scene.rendition:
            raise Unavailable("Storage refused get_object (500).")
        return real(storage, key, byte_range)

    monkeypatch.setattr(Storage, "stream", stream)
    assert examine(core, deep=True).altered == [scene.rendition]


def test_the_command_tells_people_and_machines(command: Command, settings: Settings, scene: Scene) -> None:
    good = command("fsck", "--deep")
    assert good.status == 0
    assert good.told == {
        "ok": True, "missing": [], "orphan": [], "altered": [], "checked": 5, "filled": 2, "removed": 0,
    }  # fmt: skip
    storage = Storage(settings)
    storage.delete(scene.captions)
    storage.put_bytes(scene.rendition, b"360p" * 5000, "video/mp4")
    lost = keys.source(uuid.uuid4(), uuid.uuid4())
    storage.put_bytes(lost, b"?", "video/mp4")
    bad = command("fsck", "--deep", "--grace", "0")
    assert bad.status == 1
    assert (bad.told["missing"], bad.told["altered"], bad.told["orphan"]) == (
        [scene.captions],
        [scene.rendition],
        [lost],
    )
    assert "A title" not in bad.said + str(bad.told)
