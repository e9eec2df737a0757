"""The number of statements does not grow with the world, and a denied request asks just what one about nothing asks."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.orm import Session

from app import clock
from app.access import Action, load, policy
from app.core import Core
from app.db import db
from app.db.people import Role
from tests.matrix.checker import Checker
from tests.matrix.table import ACTORS, SURFACES, Actor, Surface
from tests.matrix.world import Thing
from tests.support.world import Browser, World

#: Values that stand in a statement's text: lists of ids are of the length that the asker has, which is the same for both.
_NUMBERED = re.compile(r"%\(\w+\)s|\$\d+")


@contextmanager
def asked(app: Flask, storage: Any = None) -> Iterator[list[str]]:
    """The statements that the database is sent, and the operations that S3 is asked for, in their order."""
    seen: list[str] = []

    def statement(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        seen.append(_NUMBERED.sub("?", text))

    def operation(model: Any, **_: Any) -> None:
        seen.append(f"S3 {model.name}")

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", statement)
    events = storage._client.meta.events if storage is not None else None
    if events is not None:
        events.register("before-call.s3", operation)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", statement)
        if events is not None:
            events.unregister("before-call.s3", operation)


def _denied(checker: Checker) -> Iterator[tuple[Actor, Surface, Thing]]:
    """Cells that must look like nothing: each surface for people and a token, the states in turn."""
    names = ("viewer of another region", "facilitator of another region", "token to read, of the viewer")
    states = ("draft", "grant revoked", "uploading")
    for first, actor in enumerate(actor for actor in ACTORS if actor.name in names):
        for number, surface in enumerate(SURFACES):
            thing = checker.setting.things[states[(first + number) % len(states)]]
            if checker.expected(actor, thing, surface, checker.path(surface, thing)) == "hidden":
                yield actor, surface, thing


def test_a_denied_request_does_what_one_about_nothing_does(checker: Checker) -> None:
    """Same statements, same calls of S3, in the same order: nothing is left for a clock to measure but the rows."""
    storage, compared, wrong = checker.app.extensions["vignette"].storage, 0, []
    for actor, surface, thing in _denied(checker):
        checker.open_browsers([actor], [thing])
        both = []
        for random in (False, True):
            with asked(checker.app, storage) as seen:
                answer = checker.ask(actor, thing, surface, random=random)
            assert answer.status_code == 404
            both.append(seen)
        compared += 1
        if both[0] != both[1]:
            wrong.append((actor.name, thing.state.name, surface.name, len(both[0]), len(both[1])))
    assert compared > 100
    assert wrong == []


def _more(world: World, viewer: Any, number: int) -> uuid.UUID:
    """That many recordings which the viewer may watch, and as many which they may not, with people, cases and grants."""
    seen = None
    for _ in range(number):
        case = world.case()
        seen = world.recording(case, published=True)
        world.grant(seen, area="NEY")
        world.grant(seen, person_id=viewer.id)
        world.grant(seen, person_id=world.person().id)
        world.grant(world.recording(published=True, area="SW"), area="SW")
        world.group(members=(viewer,))
    world.session.commit()
    assert seen is not None
    return seen.id


PAGES = ("/library", "/library?q=recording", "/library?drafts=yes", "/api/v1/recordings", "/api/v1/search?q=test")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.FACILITATOR])
def test_pages_ask_as_many_questions_of_a_small_world_as_of_a_large_one(
    app: Flask, session: Session, role: Role
) -> None:
    world = World(session)
    viewer = world.person("viewer@example.org", role, "NEY")
    counts: dict[str, list[int]] = {}
    first = _more(world, viewer, 2)
    browser = Browser(app, viewer)
    for number in (1, 25):
        one = _more(world, viewer, number)
        for path in (*PAGES, f"/api/v1/recordings/{first}", f"/api/v1/recordings/{one}"):
            browser.get(path)
            with asked(app) as seen:
                assert browser.get(path).status_code == 200, path
            counts.setdefault(path if path in PAGES else "one recording", []).append(len(seen))
    assert all(len(set(each)) == 1 for each in counts.values()), counts
    assert counts["one recording"][0] <= 16
    assert counts["/library"][0] <= 20


def test_a_single_check_is_one_query_and_who_asks_is_five(core: Core, session: Session) -> None:
    world = World(session)
    viewer = world.person("viewer@example.org", Role.VIEWER, "NEY")
    found = []
    for number in (1, 20):
        seen_id = _more(world, viewer, number)
        with asked(core.app) as loading:
            actor = load(session, viewer.id, clock.now())
        with asked(core.app) as checking:
            assert policy.allows(session, actor, Action.RECORDING_VIEW, seen_id, clock.now())
        with asked(core.app) as refusing:
            assert not policy.allows(session, actor, Action.RECORDING_VIEW, uuid.uuid4(), clock.now())
        found.append((len(loading), len(checking), len(refusing)))
    assert found == [(5, 1, 1), (5, 1, 1)]


def test_the_comparison_can_fail(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view that looks the row up before it asks the policy is noticed."""
    thing = checker.setting.things["draft"]
    surface = next(surface for surface in SURFACES if surface.endpoint == "api_recordings.show")
    actor = next(actor for actor in ACTORS if actor.name == "viewer of another region")
    sound: Callable[..., Any] = policy.require

    def leaky(session: Session, who: Any, action: Action, kind: Any, row_id: uuid.UUID, *rest: Any, **more: Any) -> Any:
        if session.get(kind, row_id) is not None:
            session.get(kind, uuid.uuid4())
        return sound(session, who, action, kind, row_id, *rest, **more)

    monkeypatch.setattr(policy, "require", leaky)
    counts = []
    for random in (False, True):
        with asked(checker.app) as seen:
            checker.ask(actor, thing, surface, random=random)
        counts.append(len(seen))
    assert counts[0] > counts[1]
