"""Viewings: opened, counted by the server's clock, closed, and both ends in the audit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.core import Core
from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.recordings import ArtefactKind, Recording
from app.db.viewings import Viewing
from app.domain import audit_chain, viewings
from app.storage.s3 import Storage
from tests.support.world import Browser, World
from workers.periodic import upkeep


@dataclass(frozen=True)
class Scene:
    """A published recording with a small file, somebody who watches, and somebody who keeps it."""

    world: World
    recording: Recording
    viewer: Person
    maker: Person


@pytest.fixture
def scene(session: Session, storage: Storage) -> Scene:
    world = World(session)
    recording = world.recording(published=True, title="Watched")
    world.grant(recording, area="NEY")
    world.artefact(storage, recording, ArtefactKind.DOWNLOAD, b"0" * 1000, media_type="video/mp4")
    made = Scene(
        world,
        recording,
        world.person("viewer@example.org", Role.VIEWER, "NEY"),
        world.person("maker@example.org", Role.FACILITATOR, "NEY"),
    )
    session.commit()
    return made


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass."""
    real, ahead = clock.now, [timedelta(0)]
    monkeypatch.setattr(clock, "now", lambda: real() + ahead[0])

    def pass_(seconds: float) -> None:
        ahead[0] += timedelta(seconds=seconds)

    return pass_


def said(session: Session) -> list[tuple[str, Any]]:
    session.rollback()
    query = select(AuditEvent).where(AuditEvent.action.like("recording:watch%")).order_by(AuditEvent.id)
    return [(event.action, event.detail.get("seconds")) for event in session.scalars(query)]


def kept(session: Session) -> list[Viewing]:
    session.rollback()
    session.expire_all()
    return list(session.scalars(select(Viewing).order_by(Viewing.started_at)))


def tell(browser: Browser, scene: Scene, second: float, **more: Any) -> None:
    answer = browser.send("POST", f"/api/v1/recordings/{scene.recording.id}/position", {"seconds": second, **more})
    assert answer.status_code == 204


def test_a_sitting(app: Flask, scene: Scene, later: Callable[[float], None]) -> None:
    session, browser = scene.world.session, Browser(app, scene.viewer)
    tell(browser, scene, 0)
    for second in (15, 30):
        later(15)
        tell(browser, scene, second)
    later(120)  # a pause
    tell(browser, scene, 31)
    later(10)  # a jump ahead
    tell(browser, scene, 44)
    later(4)
    tell(browser, scene, 2)  # and one back
    later(3)
    tell(browser, scene, 5, ended=True)
    tell(browser, scene, 5)  # sent before the last word, and come after it
    (viewing,) = kept(session)
    assert viewing.ended_at == viewing.last_at
    assert viewing.seconds == pytest.approx(15 + 15 + 1 + 10 + 4 + 3, abs=1.5)
    assert [action for action, _ in said(session)] == ["recording:watch", "recording:watched"]
    start, stop = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(2)).all()[::-1]
    assert (start.person_id, start.subject_id, start.address) == (scene.viewer.id, scene.recording.id, "127.0.0.1")
    assert stop.detail["start"] == viewing.started_at.isoformat(timespec="seconds")
    assert stop.detail["stop"] == viewing.last_at.isoformat(timespec="seconds")
    assert stop.detail["seconds"] == round(viewing.seconds, 1)
    assert audit_chain.verify(session).ok
    later(10)
    tell(browser, scene, 6)
    assert len(kept(session)) == 2, "a new sitting"


@given(
    passed=st.floats(0, 1e6),
    before=st.none() | st.integers(0, 10**7),
    second=st.floats(0, 1e4),
)
def test_never_more_than_passed(passed: float, before: int | None, second: float) -> None:
    assert 0 <= viewings.played(passed, before, second) <= passed
    assert viewings.played(passed, before, second) <= max(viewings.STEP_SECONDS, second)


def test_signing_out_closes(app: Flask, scene: Scene, later: Callable[[float], None]) -> None:
    browser = Browser(app, scene.viewer)
    tell(browser, scene, 0)
    later(8)
    tell(browser, scene, 8)
    assert browser.post("/sign-out").status_code == 302
    (viewing,) = kept(scene.world.session)
    assert viewing.ended_at is not None
    assert said(scene.world.session)[-1] == ("recording:watched", pytest.approx(8, abs=1))


def test_silence_closes(app: Flask, core: Core, scene: Scene, later: Callable[[float], None]) -> None:
    browser = Browser(app, scene.viewer)
    tell(browser, scene, 0)
    later(10)
    tell(browser, scene, 10)
    later(4 * 60)
    upkeep(core)
    assert kept(scene.world.session)[0].ended_at is None
    later(2 * 60)
    upkeep(core)
    upkeep(core)
    (viewing,) = kept(scene.world.session)
    assert viewing.ended_at == viewing.last_at
    assert said(scene.world.session) == [("recording:watch", None), ("recording:watched", pytest.approx(10, abs=1))]


def test_after_silence_a_new_sitting_begins(app: Flask, scene: Scene, later: Callable[[float], None]) -> None:
    browser = Browser(app, scene.viewer)
    tell(browser, scene, 0)
    later(20 * 60)
    tell(browser, scene, 30)
    first, second = kept(scene.world.session)
    assert (first.ended_at, first.seconds, second.ended_at) == (first.last_at, 0, None)
    assert second.seconds == 0
    assert [action for action, _ in said(scene.world.session)] == [
        "recording:watch", "recording:watched", "recording:watch",
    ]  # fmt: skip


@pytest.mark.parametrize("by", ["person", "token"])
def test_the_file_alone_tells(app: Flask, scene: Scene, later: Callable[[float], None], by: str) -> None:
    """Pages without scripts and programs send no positions: that they ask for the file's parts has to do."""
    session = scene.world.session
    headers = {"Range": "bytes=0-9"}
    if by == "token":
        headers["Authorization"] = f"Bearer {scene.world.token(scene.viewer, 'read')}"
        session.commit()
        client: Any = app.test_client()
    else:
        client = Browser(app, scene.viewer)
    for seconds in (0, 1, 6, 2, 8, 100):
        later(seconds)
        assert client.get(f"/recordings/{scene.recording.id}/video.mp4", headers=headers).status_code in (206, 302)
    (viewing,) = kept(session)
    assert viewing.actor_kind == by
    assert viewing.seconds == pytest.approx(7 + 10 + viewings.STEP_SECONDS, abs=2)
    assert [action for action, _ in said(session)] == ["recording:watch"]


def test_several_requests_at_once_open_one(core: Core, scene: Scene) -> None:
    person_id, recording_id = scene.viewer.id, scene.recording.id
    start, failures = threading.Barrier(6), []

    def ask() -> None:
        try:
            with core.session() as session:
                actor = access.load(session, person_id, clock.now())
                recording = session.get_one(Recording, recording_id)
                start.wait()
                viewings.opened(session, actor, recording)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not failures
    assert len(kept(scene.world.session)) == 1
    assert audit_chain.verify(scene.world.session).ok


def test_makers_see_how_many_and_not_who(app: Flask, scene: Scene, later: Callable[[float], None]) -> None:
    maker = Browser(app, scene.maker)
    path = f"/recordings/{scene.recording.id}/manage"
    assert "Nobody yet" in maker.get(path).text
    browser = Browser(app, scene.viewer)
    tell(browser, scene, 0)
    later(12)
    tell(browser, scene, 12)
    page = maker.get(path).text
    assert "1 person, 1" in page
    assert "seconds in all" in page
    assert scene.viewer.display_name not in page
    assert f"/audit?subject=recording:{scene.recording.id}" not in page
    admin = scene.world.person("admin@example.org", Role.ADMIN, "NEY")
    scene.world.session.commit()
    page = Browser(app, admin).get(path).text
    assert f"/audit?subject=recording:{scene.recording.id}" in page.replace("%3A", ":")
