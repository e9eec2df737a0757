"""What access rules cost: pages and single checks over 50,000 people, 5,000 recordings and 100,000 grants.

    python bench/access.py [--people N --recordings N --grants N --runs N --only WORD]

The application answers in this process, over a PostgreSQL of its own. Each page is asked for as it is and then with every
predicate of the policy replaced by `true` (here only), in turns, as different people. Who asks is loaded either way, and
without rules a page has more to list, not less: the figures are those of whole requests as people wait for them. Also
measured: one check and one page's query by themselves. Left out: network, the web server, browsers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from access_world import Size, build
from flask import Flask
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Action, policy
from app.cli import bring_up_to_date
from app.db import db
from app.db.people import Person, Role, RoleAssignment
from app.db.recordings import Recording
from app.domain import sign_in
from app.embedded.instance import running
from app.settings import Settings
from app.web import create_app

LIMIT = 1.5
Ask = Callable[[], Any]


@contextmanager
def without_rules() -> Iterator[None]:
    """Every predicate of the policy is true."""
    sound = policy.where
    policy.where = lambda actor, action, now: sa.true()
    try:
        yield
    finally:
        policy.where = sound


@dataclass
class Pair:
    """Seconds of the same request with and without rules."""

    name: str
    queries: int
    with_rules: list[float]
    without: list[float]

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return statistics.median(self.with_rules) / statistics.median(self.without)


class Count:
    """Statements sent to the database."""

    def __init__(self, app: Flask) -> None:
        self.statements = 0
        with app.app_context():
            sa.event.listen(db.engine, "before_cursor_execute", self._one)

    def _one(self, *_: Any) -> None:
        self.statements += 1


def timed(ask: Ask) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    ask()
    return time.perf_counter() - begun


def compare(name: str, ask: Ask, count: Count, runs: int) -> Pair:
    """Both ways in turns, after both were warmed up."""
    for _ in range(2):
        ask()
        with without_rules():
            ask()
    before = count.statements
    ask()
    pair = Pair(name, count.statements - before, [], [])
    for number in range(runs):
        for plain in (False, True) if number % 2 else (True, False):
            if plain:
                with without_rules():
                    pair.without.append(timed(ask))
            else:
                pair.with_rules.append(timed(ask))
    return pair


def askers(session: Session) -> dict[str, uuid.UUID]:
    """People who stand differently, by what they are called in the table."""

    def holder(role: Role, over: Any) -> uuid.UUID:
        found = session.scalar(
            sa.select(RoleAssignment.person_id)
            .join(Person, Person.id == RoleAssignment.person_id)
            .where(RoleAssignment.role == role, over.is_not(None))
            .order_by(Person.email)
            .limit(1)
        )
        assert found is not None
        return found

    everywhere = Person(email="everywhere@example.org", name="Admin of everywhere")
    session.add(everywhere)
    session.flush()
    session.add(RoleAssignment(person_id=everywhere.id, role=Role.ADMIN))
    session.commit()
    return {
        "viewer": holder(Role.VIEWER, RoleAssignment.organisation_id),
        "facilitator of a region": holder(Role.FACILITATOR, RoleAssignment.area_id),
        "admin of a region": holder(Role.ADMIN, RoleAssignment.area_id),
        "admin of everywhere": everywhere.id,
    }


def requests(app: Flask, people: dict[str, uuid.UUID], recordings: dict[str, uuid.UUID]) -> dict[str, Ask]:
    """What is asked for, as whom."""
    made: dict[str, Ask] = {}

    def ask(client: Any, path: str) -> Ask:
        def go() -> None:
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.status, answer.headers.get("Location"))

        return go

    for who, person_id in people.items():
        with app.app_context():
            _, token = sign_in.open_session(db.session(), person_id, "bench", timedelta(hours=1), proved=True)
            db.session.commit()
        client = app.test_client()
        client.set_cookie(app.session_interface.cookie, token)  # type: ignore[attr-defined]
        made[f"library page, {who}"] = ask(client, "/library")
        made[f"library search, {who}"] = ask(client, "/library?q=breaking+news")
        made[f"API list, {who}"] = ask(client, "/api/v1/recordings?limit=25")
        made[f"one recording, {who}"] = ask(client, f"/api/v1/recordings/{recordings[who]}")
        if "admin" in who:
            made[f"people list, {who}"] = ask(client, "/people/")
            made[f"people search, {who}"] = ask(client, "/people/?q=person-4")
    return made


def main() -> None:
    """Build, measure, print a table, and last one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--only", default="", help="measure only what has this word in its name")
    given = parser.parse_args()
    size = Size(given.people, given.recordings, given.grants)
    with tempfile.TemporaryDirectory(prefix="vignette-bench-") as folder:
        Path(folder).chmod(0o711)
        with running(Settings(data=Path(folder) / "data", log_level="ERROR")) as settings:
            bring_up_to_date(settings)
            counts = build(settings.owner_libpq_url, size)
            pairs, checks = measure(settings, given.runs, given.only)
    report(counts, pairs, checks, given.runs)


def measure(settings: Settings, runs: int, only: str) -> tuple[list[Pair], list[Pair]]:
    """All requests, and single checks without the request around them."""
    app = create_app(settings)
    count = Count(app)
    with app.app_context():
        session = db.session()
        people = askers(session)
        seen = {}
        for who, person_id in people.items():
            actor = access.load(session, person_id, clock.now())
            page = policy.visible(actor, Action.RECORDING_VIEW, clock.now()).order_by(Recording.created_at).limit(1)
            seen[who] = session.scalars(page).one().id
        session.commit()
    pairs = [compare(name, ask, count, runs) for name, ask in requests(app, people, seen).items() if only in name]
    checks = []
    with app.app_context():
        session = db.session()
        for who, person_id in people.items():
            actor = access.load(session, person_id, clock.now())

            def check(actor: access.Actor = actor, row: uuid.UUID = seen[who]) -> None:
                assert policy.allows(session, actor, Action.RECORDING_VIEW, row, clock.now())

            checks.append(compare(f"single check, {who}", check, count, runs * 20))
        db.session.remove()
        db.engine.dispose()
    return pairs, checks


def report(counts: dict[str, int], pairs: list[Pair], checks: list[Pair], runs: int) -> None:
    """The table and the line."""
    print(", ".join(f"{number:,} {name}" for name, number in counts.items()))
    print(f"{'':44}{'queries':>9}{'with rules':>12}{'without':>10}{'ratio':>8}   (medians, ms)")
    for pair in [*pairs, *checks]:
        ours, bare = (statistics.median(times) * 1000 for times in (pair.with_rules, pair.without))
        print(f"{pair.name:44}{pair.queries:>9}{ours:>12.2f}{bare:>10.2f}{pair.ratio:>8.2f}")
    worst = max([pair for pair in pairs if pair.name.startswith("library page")] or pairs, key=lambda pair: pair.ratio)
    print(
        json.dumps(
            {
                "name": "access",
                "ratio": round(worst.ratio, 2),
                "limit": LIMIT,
                "of": worst.name,
                "world": counts,
                "subject": {p.name: round(statistics.median(p.with_rules) * 1000, 2) for p in [*pairs, *checks]},
                "reference": {p.name: round(statistics.median(p.without) * 1000, 2) for p in [*pairs, *checks]},
                "runs": runs,
            }
        )
    )
    sys.exit(worst.ratio > LIMIT)


if __name__ == "__main__":
    main()
