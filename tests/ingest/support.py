"""What the tests of this area share: a facilitator with a case, and an API client."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app.db import db
from app.db.cases import Case
from app.db.people import Person, Role
from app.db.vocabulary import TermKind
from app.domain import vocabulary
from tests.support.world import World

MIB = 1024 * 1024


def sha(body: bytes) -> str:
    """Base64 SHA-256 of a part."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@dataclass
class Makers:
    """A facilitator of NEY with a case there, committed."""

    world: World
    person: Person
    case: Case


def makers(session: Session) -> Makers:
    """The world that most tests start from."""
    world = World(session)
    person = world.person("maker@example.org", Role.FACILITATOR, "NEY")
    case = world.case("Handover at night", terms=vocabulary.terms_of(session, TermKind.THEME)[:2])
    session.commit()
    return Makers(world, person, case)


class Api:
    """A program with a token."""

    def __init__(self, app: Flask, token: str) -> None:
        self.client: FlaskClient = app.test_client()
        self.headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, json: Any = None, **options: Any) -> TestResponse:
        """One request under /api/v1."""
        headers = {**self.headers, **options.pop("headers", {})}
        return self.client.open(f"/api/v1{path}", method=method, json=json, headers=headers, **options)

    def upload(self, case: Case, body: bytes, **fields: Any) -> dict[str, Any]:
        """Open an upload of these bytes."""
        wanted = {"case_id": str(case.id), "title": "Night shift", "filename": "call.mp4", "size": len(body), **fields}
        answer = self.call("POST", "/uploads", wanted)
        assert answer.status_code == 201, answer.text
        return answer.json

    def part(self, upload: dict[str, Any], number: int, body: bytes, digest: str = "") -> TestResponse:
        """Send one part through the proxied door."""
        headers = {"X-Part-Sha256": digest or sha(body), "Content-Type": "application/octet-stream"}
        return self.call("PUT", f"/uploads/{upload['id']}/parts/{number}", data=body, headers=headers)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.h1 = 0
        self.title = ""
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.h1 += tag == "h1"
        self._in_title = tag == "title" and not self.title
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data


def check_page(answer: TestResponse, title: str, status: int = 200) -> str:
    """A page is right: its status, title and one h1, and no id twice. Returns its text."""
    assert answer.status_code == status, answer.text[:2000]
    reader = _Reader()
    reader.feed(answer.text)
    assert reader.title.strip().endswith(" - Vignette")
    assert title in reader.title
    assert reader.title.startswith("Error: ") == (status == 400)
    assert reader.h1 == 1
    assert len(reader.ids) == len(set(reader.ids)), [i for i in reader.ids if reader.ids.count(i) > 1]
    assert ('class="nhsuk-error-summary"' in answer.text) == (status == 400)
    return answer.text


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """The statements that the application sends in the block."""
    with app.app_context():
        engine = db.engine
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
