"""The scheduled reading of stored objects, over the real S3: what is altered or missing is found, told, and taken off."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text, update

from app import clock
from app.core import Core
from app.db.audit import AuditEvent
from app.db.fixity import FindingKind, FixityFinding
from app.db.people import Role
from app.db.recordings import Artefact
from app.domain import fixity, rehash
from app.errors import Unavailable
from app.settings import Settings
from app.storage.s3 import Storage
from app.web import create_app
from tests.ops.conftest import Scene
from tests.support.world import Browser, World
from workers import periodic

DAYS = 90
OLD = timedelta(days=100)
#: So far apart that one pass has everything to read.
ALL = DAYS * 86400.0


def grow_old(core: Core) -> None:
    with core.session() as session:
        session.execute(update(Artefact).values(created_at=clock.now() - OLD))


def read(core: Core, every_seconds: float = ALL, **options: object) -> rehash.Pass:
    return rehash.read_some(core.session, core.storage, days=DAYS, every_seconds=every_seconds, **options)  # type: ignore[arg-type]


def alter(storage: Storage, key: str) -> bytes:
    """Change one byte of an object, and nothing else of it. Returns what it was."""
    body = storage.get_bytes(key)
    changed = bytearray(body)
    changed[len(body) // 2] ^= 1
    storage.put_bytes(key, bytes(changed), "video/mp4")
    return body


def findings(core: Core) -> dict[str, FindingKind]:
    with core.session() as session:
        return {row.key: row.kind for row in session.scalars(select(FixityFinding))}


def events(core: Core) -> list[str]:
    with core.session() as session:
        return list(session.scalars(select(AuditEvent.action).where(AuditEvent.action.startswith("storage:"))))


def test_one_altered_byte_is_found_and_told_once(core: Core, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    body = alter(core.storage, scene.rendition)
    assert read(core).objects == 0  # nothing is due yet
    grow_old(core)
    with caplog.at_level(logging.INFO):
        done = read(core)
    assert [(kind, item.key) for kind, item in done.found] == [(FindingKind.ALTERED, scene.rendition)]
    assert done.objects == 4  # two sources, the rendition, the captions
    assert findings(core) == {scene.rendition: FindingKind.ALTERED}
    assert events(core) == ["storage:altered"]
    assert read(core).objects == 0
    # a day later it is looked at again, and is no news; put right, it is taken off
    for wrong in (True, False):
        with core.session() as session:
            session.execute(text("UPDATE fixity_findings SET seen_at = seen_at - interval '25 hours'"))
        if not wrong:
            core.storage.put_bytes(scene.rendition, body, "video/mp4")
        again = read(core)
        assert (again.objects, again.found) == (1, [])
        assert bool(findings(core)) is wrong
    assert events(core) == ["storage:altered"]


def test_a_missing_object_is_found(core: Core, scene: Scene) -> None:
    core.storage.delete(scene.source)
    grow_old(core)
    read(core)
    assert findings(core) == {scene.source: FindingKind.MISSING}
    with core.session() as session:
        session.execute(text("DELETE FROM artefacts WHERE key = :key"), {"key": scene.source})
    read(core)
    assert findings(core) == {}  # no row names it any more


def test_it_reads_the_longest_unread_first_and_no_more_than_its_share(core: Core, scene: Scene) -> None:
    grow_old(core)
    with core.session() as session:
        oldest = session.scalars(select(Artefact).where(Artefact.key == scene.captions)).one()
        oldest.created_at -= timedelta(days=1)
        total = sum(session.scalars(select(Artefact.size)))
    assert read(core, 1.0).objects == 1
    assert verified(core) == {scene.captions}
    # passes that come every ten days have twice a ninth of the bytes to read, and end above it by one object at most
    done = read(core, 10 * 86400.0)
    assert done.bytes - 20_000 <= total * 2 / 9 < done.bytes
    assert read(core).objects == 3 - done.objects


def verified(core: Core) -> set[str]:
    with core.session() as session:
        return set(session.scalars(select(Artefact.key).where(Artefact.verified_at.is_not(None))))


def test_a_worker_that_ends_in_the_middle_is_gone_on_from(core: Core, scene: Scene) -> None:
    grow_old(core)
    asked = iter([False, False, False, True])
    assert read(core, stopping=lambda: next(asked)).objects < 4
    before = verified(core)
    assert rehash.read_some(core.session, core.storage, days=0, every_seconds=ALL).objects == 0  # switched off
    rest = read(core)
    assert rest.objects == 4 - len(before)
    assert len(verified(core)) == 4
    with core.session() as session:  # what the row did not know was filled in
        assert (
            session.scalar(select(Artefact.sha256).where(Artefact.key == scene.source)) == scene.digests[scene.source]
        )


def test_an_object_that_is_replaced_meanwhile_is_not_accused(core: Core, scene: Scene) -> None:
    item = rehash.Item(scene.rendition, "0" * 64, 1, scene.upload_id, "rendition 480p")  # as the row was before
    with core.session() as session:
        assert not rehash.note(session, item, FindingKind.ALTERED, "1" * 64)
        # and what was stored anew begins its days anew, though its row was read before
        row = session.scalars(select(Artefact).where(Artefact.key == scene.rendition)).one()
        row.verified_at, row.created_at = clock.now() - OLD, clock.now()
        session.flush()
        assert rehash.standing(session, DAYS).due == 0
    assert findings(core) == {}


def test_storage_that_is_away_accuses_nobody(core: Core, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    grow_old(core)

    def away(self: Storage, *arguments: object) -> None:
        raise Unavailable("Storage does not answer.")

    for name in ("stream", "check"):
        monkeypatch.setattr(Storage, name, away)
    with pytest.raises(Unavailable):
        read(core)
    assert (findings(core), verified(core)) == ({}, set())


def test_reading_everything_by_hand_counts_too(core: Core, scene: Scene) -> None:
    alter(core.storage, scene.rendition)
    grow_old(core)
    read(core)
    core.storage.put_bytes(scene.rendition, b"480p" * 5000, "video/mp4")
    assert fixity.examine(core.session, core.storage, deep=True, grace=timedelta(0)).ok
    assert findings(core) == {}


def test_it_is_shown_on_the_page_in_figures_and_in_the_log(
    core: Core, settings: Settings, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    alter(core.storage, scene.rendition)
    grow_old(core)
    with caplog.at_level(logging.INFO):
        periodic.rehash(core, ALL, lambda: False)
    assert "a stored object is altered" in caplog.text
    app: Flask = create_app(settings)
    with core.session() as session:
        chief = World(session).person("chief@example.org", Role.ADMIN).id
    browser = Browser(app)
    browser.sign_in(chief)
    page = browser.get("/work").text
    assert "Rendition 480p" in page
    assert scene.rendition in page
    assert "Of 4 objects 4 have been read" in page
    found = browser.get("/api/v1/work").json["fixity"]
    assert [(item["kind"], item["what"]) for item in found["findings"]] == [("altered", "rendition 480p")]
    assert 'vignette_fixity_findings{kind="altered"} 1.0' in app.test_client().get("/metrics").text
