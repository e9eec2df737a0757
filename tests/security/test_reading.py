"""Reading changes nothing: neither a row nor an object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.routing import Rule

from app.web import guard
from tests.matrix.checker import NOTHING, Checker
from tests.matrix.table import ACTORS, SURFACES
from tests.support.routes import path_of, routes
from tests.support.world import Browser

#: What reading writes: that it was read, and when a session or token was last seen.
WRITTEN_BY_READING = ("audit_events", "audit_chain", "viewings")
LAST_SEEN = {"web_sessions": "seen_at", "api_tokens": "last_used_at"}


def snapshot(checker: Checker) -> dict[str, Any]:
    """For each table how many rows there are, and a sum over every version of each."""
    session = checker.session
    tables = session.scalars(
        text("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname")
    ).all()
    assert {*WRITTEN_BY_READING, *LAST_SEEN, "recordings", "one_time_links", "login_failures"} <= set(tables)
    found: dict[str, Any] = {}
    for table in sorted(set(tables) - set(WRITTEN_BY_READING)):
        row = f"(to_jsonb(t) - '{LAST_SEEN[table]}')::text" if table in LAST_SEEN else "ctid::text || xmin::text"
        found[table] = tuple(
            session.execute(
                text(f"SELECT count(*), md5(string_agg({row}, ',' ORDER BY {row})) FROM \"{table}\" t")  # noqa: S608 - names come from the catalogue
            ).one()
        )
    session.commit()
    return found


@pytest.fixture
def asked_of_storage(checker: Checker) -> Iterator[list[str]]:
    """The operations that S3 is asked for."""
    storage = core_of(checker).storage
    seen: list[str] = []

    def note(model: Any, **_: Any) -> None:
        seen.append(model.name)

    events = storage._client.meta.events
    events.register("before-call.s3", note)
    yield seen
    events.unregister("before-call.s3", note)


def core_of(checker: Checker) -> Any:
    """The core of the application that is asked."""
    with checker.app.app_context():
        return guard.core()


def test_every_get_leaves_everything_as_it_was(
    checker: Checker, admin: Browser, viewer: Browser, real_path: Callable[[Rule], str], asked_of_storage: list[str]
) -> None:
    reading = [rule for rule, method in routes(checker.app) if method == "GET"]
    before, statuses = snapshot(checker), {}
    for browser in (admin, viewer, Browser(checker.app)):
        for rule in reading:
            for method in ("GET", "HEAD"):
                with browser.client.open(real_path(rule), method=method) as answer:
                    answer.get_data()
                assert answer.status_code < 500, (rule.rule, answer.status)
                statuses[browser, method, rule.endpoint] = answer.status_code
        after = snapshot(checker)
        assert after == before, [name for name in after if after[name] != before[name]]
    opened = [key for key, status in statuses.items() if key[0] is admin and key[1] == "GET" and status in (200, 302)]
    assert len(opened) > len(reading) * 0.7, "most pages must be really shown"
    assert set(asked_of_storage) <= {"GetObject", "HeadObject", "ListObjectsV2", "ListParts", "HeadBucket"}
    assert "GetObject" in asked_of_storage


def test_a_token_leaves_everything_as_it_was(checker: Checker, real_path: Callable[[Rule], str]) -> None:
    actor = next(actor for actor in ACTORS if actor.name == "token to publish, of the custodian")
    browser = checker.browser(actor, checker.setting.things["published"])
    before = snapshot(checker)
    for rule, method in routes(checker.app):
        if method == "GET":
            assert browser.get(real_path(rule)).status_code < 500
    assert snapshot(checker) == before


def test_what_writes_is_noticed(checker: Checker) -> None:
    before = snapshot(checker)
    checker.session.execute(text("UPDATE cases SET title = title"))
    assert snapshot(checker) != before


def test_options_and_odd_methods_tell_nothing(checker: Checker) -> None:
    """A closed address answers like one of nothing to HEAD, OPTIONS, TRACE, CONNECT and methods that it does not know."""
    thing = checker.setting.things["draft"]
    actors = [a for a in ACTORS if a.name in ("anonymous", "viewer of another region", "token to read, of the viewer")]
    for actor in actors:
        browser = checker.browser(actor, thing)
        for surface in SURFACES:
            if surface.act == "frame":
                continue  # its invitation repeats the address
            for method in ("HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
                if checker.expected(actor, thing, surface, checker.path(surface, thing)) not in ("hidden", "sign-in"):
                    continue
                there, nothing = (
                    browser.client.open(path.partition("?")[0], method=method)
                    for path in (checker.path(surface, thing), checker.path(surface, None))
                )
                told = [_told(answer, thing.values.values()) for answer in (there, nothing)]
                assert told[0] == told[1], (actor.name, surface.name, method)
                assert there.status_code in (200, 302, 401, 403, 404, 405), (surface.name, method, there.status)
                if there.status_code == 200:
                    assert method == "OPTIONS" and there.data == b"", (surface.name, method)


def _told(answer: Any, ids: Any) -> tuple[Any, ...]:
    """An answer without what differs between any two, and without the address that was asked."""

    def plain(value: str) -> str:
        for known in ids:
            value = value.replace(known, NOTHING)
        return value

    headers = sorted(
        (name, plain(value)) for name, value in answer.headers if name not in ("Date", "X-Request-Id", "Set-Cookie")
    )
    return answer.status_code, answer.data, headers


def test_there_are_no_other_methods(checker: Checker) -> None:
    """Nothing answers TRACE, and no rule takes a method that the tests of forms and of reading leave out."""
    for rule in checker.app.url_map.iter_rules():
        assert (rule.methods or set()) <= {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}, rule
        assert checker.app.test_client().open(path_of(checker.app, rule), method="TRACE").status_code in (404, 405)
