"""The chain: whole after concurrent work, recomputed independently, and every way of tampering found."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable
from datetime import UTC
from typing import Any

import psycopg
import pytest
from sqlalchemy.orm import Session

from app.access import SYSTEM
from app.core import Core
from app.domain import audit, audit_chain
from app.errors import Invalid
from app.settings import Settings
from tests.support.services import Services

Tamper = Callable[..., None]
WORDS = ["plain", 'quotes " and \\ and /', "line\nbreak\ttab \x01\x1f", "Zoë 🩺 日本", "", "\u2028", "<&>'"]


def write(core: Core, count: int = 5) -> None:
    """Events with every kind of value, each in a transaction of its own."""
    for number in range(count):
        with core.session() as session:
            word = WORDS[number % len(WORDS)]
            audit.request_is(session, f"request-{number}", "127.0.0.1" if number % 2 else "")
            audit.record(
                session, SYSTEM, "case:edit", "case", uuid.uuid4() if number % 3 else None, reason=word,
                word=word, number=number * 1.5, none=None, nested={"b": [1, {"a": word}], "a": True},
            )  # fmt: skip


def recomputed(url: str) -> list[tuple[int, int, bytes]]:
    """The chain made anew from the events as they stand, without any function of the database's."""
    made = []
    last = b""
    with psycopg.connect(url) as connection:
        query = (
            "SELECT c.number, e.id, e.at, e.person_id, e.actor_kind, e.action, e.subject_kind, e.subject_id, "
            "e.request_id, e.address, e.reason, e.detail::text FROM audit_chain c JOIN audit_events e "
            "ON e.id = c.event_id ORDER BY c.number"
        )
        for number, event_id, at, person, *words, subject, request, address, reason, detail in connection.execute(
            query
        ):
            moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
            ids = [None if value is None else str(value) for value in (person, subject)]
            values = [event_id, moment, ids[0], *words, ids[1], request, address, reason]
            text = ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
            last = hashlib.sha256(last + f"[{text}, {detail}]".encode()).digest()
            made.append((number, event_id, last))
    return made


def stored(url: str) -> list[tuple[int, int, bytes]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT number, event_id, hash FROM audit_chain ORDER BY number").fetchall()  # type: ignore[return-value]


def test_the_chain_is_what_anybody_computes(core: Core, settings: Settings, session: Session) -> None:
    write(core, 2 * len(WORDS))
    made = recomputed(settings.libpq_url)
    assert made == stored(settings.libpq_url)
    assert [number for number, _, _ in made] == list(range(1, 2 * len(WORDS) + 1))
    for block in (1, 3, 10_000):
        verdict = audit_chain.verify(session, block=block)
        assert (verdict.ok, verdict.links) == (True, len(made))
        assert verdict.seal == f"{made[-1][0]}:{made[-1][2].hex()}"


def test_an_empty_audit_is_whole(session: Session) -> None:
    verdict = audit_chain.verify(session)
    assert (verdict.ok, verdict.links, verdict.seal) == (True, 0, "")


def test_a_chain_kept_earlier_is_the_beginning(core: Core, session: Session) -> None:
    write(core, 3)
    seal = audit_chain.verify(session).seal
    session.rollback()
    write(core, 3)
    assert audit_chain.verify(session, seal).expected is True
    number, _, rest = seal.partition(":")
    for other in (f"{number}:{'0' * 64}", f"2:{rest}", f"99:{rest}"):
        verdict = audit_chain.verify(session, other)
        assert (verdict.ok, verdict.expected) == (False, False)
    for rubbish in ("1", "1:ab", "0:" + "a" * 64, "x:" + "a" * 64):
        with pytest.raises(Invalid):
            audit_chain.verify(session, rubbish)


def test_what_rolls_back_leaves_no_gap(core: Core, session: Session) -> None:
    write(core, 1)
    with pytest.raises(ZeroDivisionError), core.session() as other:
        audit.record(other, SYSTEM, "case:edit", "case")
        other.flush()
        raise ZeroDivisionError
    write(core, 1)
    verdict = audit_chain.verify(session)
    assert (verdict.ok, verdict.links) == (True, 2)


def test_concurrent_work_neither_waits_for_ever_nor_leaves_gaps(
    core: Core, settings: Settings, session: Session
) -> None:
    """Threads take the same two rows' locks and write events before, between and after: with a lock on the chain taken
    when an event is written, and not when its transaction ends, these would lock each other."""
    threads, turns = 8, 12
    with core.session() as setting:
        audit.record(setting, SYSTEM, "demo:create", "instance")
    start = threading.Barrier(threads)
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            with psycopg.connect(settings.libpq_url) as connection:
                connection.execute("SET lock_timeout = '20s'")
                start.wait()
                for turn in range(turns):
                    with connection.transaction():
                        if (name + turn) % 2:
                            _event(connection)
                        connection.execute("UPDATE areas SET name = name WHERE code = 'NEY'")
                        _event(connection)
                        if turn % 3 == 0:
                            _event(connection)
                    if turn % 4 == 0:
                        with connection.transaction(force_rollback=True):
                            _event(connection)
        except BaseException as error:
            failures.append(error)

    running = [threading.Thread(target=work, args=(name,)) for name in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(timeout=60)
    assert not failures
    expected = 1 + sum(1 + (name + turn) % 2 + (turn % 3 == 0) for name in range(threads) for turn in range(turns))
    verdict = audit_chain.verify(session)
    assert (verdict.ok, verdict.links) == (True, expected)
    assert [number for number, _, _ in stored(settings.libpq_url)] == list(range(1, expected + 1))


def _event(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "INSERT INTO audit_events (actor_kind, action, subject_kind) VALUES ('system', 'case:edit', 'case')"
    )


# -- tampering -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tamper(services: Services, settings: Settings) -> Tamper:
    """Change rows as the superuser, past all triggers and foreign keys."""

    def run(*statements: str) -> None:
        with psycopg.connect(services.admin_url(settings.database_url)) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                assert connection.execute(statement).rowcount > 0, statement

    return run


@pytest.mark.parametrize(
    ("statements", "link"),
    [
        (["UPDATE audit_events SET action = 'case:retire' WHERE id = 4"], 4),
        (["UPDATE audit_events SET at = at + interval '1 microsecond' WHERE id = 6"], 6),
        (["UPDATE audit_events SET reason = 'another' WHERE id = 1"], 1),
        (["UPDATE audit_events SET detail = detail || '{\"more\": 1}' WHERE id = 2"], 2),
        (["UPDATE audit_events SET address = '127.0.0.9' WHERE id = 5"], 5),
        (["UPDATE audit_events SET person_id = gen_random_uuid() WHERE id = 3"], 3),
        (["DELETE FROM audit_events WHERE id = 3"], 3),
        (["DELETE FROM audit_events WHERE id = 3", "DELETE FROM audit_chain WHERE number = 3"], 4),
        (["DELETE FROM audit_events WHERE id = 1", "DELETE FROM audit_chain WHERE number = 1"], 2),
        (
            [
                "DELETE FROM audit_events WHERE id = 3",
                "DELETE FROM audit_chain WHERE number = 3",
                "UPDATE audit_chain SET number = -number WHERE number > 3",
                "UPDATE audit_chain SET number = -number - 1 WHERE number < 0",
            ],
            3,
        ),
        (  # two links change places
            [
                "UPDATE audit_chain SET number = 100 WHERE number = 2",
                "UPDATE audit_chain SET number = 2 WHERE number = 3",
                "UPDATE audit_chain SET number = 3 WHERE number = 100",
            ],
            2,
        ),
        (  # two events change places
            [
                "UPDATE audit_chain SET event_id = -event_id WHERE number IN (2, 3)",
                "UPDATE audit_chain SET event_id = CASE number WHEN 2 THEN 3 ELSE 2 END WHERE number IN (2, 3)",
            ],
            2,
        ),
        (  # one is put in between
            [
                "INSERT INTO audit_events (id, actor_kind, action, subject_kind) OVERRIDING SYSTEM VALUE "
                "VALUES (900, 'person', 'case:edit', 'case')",
                "UPDATE audit_chain SET number = -number WHERE number > 2",
                "UPDATE audit_chain SET number = -number + 1 WHERE number < 0",
                "INSERT INTO audit_chain SELECT 3, 900, audit_hash(c.hash, e) FROM audit_chain c, audit_events e "
                "WHERE c.number = 2 AND e.id = 900",
            ],
            4,
        ),
        (["UPDATE audit_chain SET hash = sha256('x') WHERE number = 5"], 5),
    ],
)
@pytest.mark.parametrize("block", [2, 10_000])
def test_tampering_is_found_at_its_link(
    core: Core, session: Session, tamper: Tamper, statements: list[str], link: int, block: int
) -> None:
    write(core, 7)
    tamper(*statements)
    verdict = audit_chain.verify(session, block=block)
    assert (verdict.ok, verdict.broken_at) == (False, link)
    assert verdict.links < link
    assert str(link) in verdict.sentences[0]


def test_an_event_outside_the_chain_is_found(core: Core, session: Session, tamper: Tamper) -> None:
    write(core, 3)
    tamper("INSERT INTO audit_events (actor_kind, action, subject_kind) VALUES ('person', 'case:edit', 'case')")
    verdict = audit_chain.verify(session)
    assert (verdict.ok, verdict.broken_at, verdict.missing, verdict.first_missing) == (False, None, 1, 4)


def test_a_chain_written_anew_is_found_by_what_was_kept(core: Core, session: Session, tamper: Tamper) -> None:
    """Who may do all can make a chain that is right in itself, or cut its end off; the seal kept elsewhere tells."""
    write(core, 5)
    seal = audit_chain.verify(session).seal
    session.rollback()
    tamper(
        "UPDATE audit_events SET reason = 'never so' WHERE id = 4",
        "UPDATE audit_chain c SET hash = audit_hash(b.hash, e) FROM audit_chain b, audit_events e "
        "WHERE c.number = 4 AND b.number = 3 AND e.id = 4",
        "UPDATE audit_chain c SET hash = audit_hash(b.hash, e) FROM audit_chain b, audit_events e "
        "WHERE c.number = 5 AND b.number = 4 AND e.id = 5",
    )
    assert audit_chain.verify(session).ok
    assert audit_chain.verify(session, seal).expected is False
    session.rollback()
    tamper("DELETE FROM audit_chain WHERE number > 2", "DELETE FROM audit_events WHERE id > 2")
    assert audit_chain.verify(session).ok
    assert audit_chain.verify(session, seal).ok is False
