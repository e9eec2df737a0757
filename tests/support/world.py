"""A small made-up world for tests: places, people of each role, cases and recordings, and browsers signed in."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app import clock
from app.access import SYSTEM
from app.db import db
from app.db.cases import Case
from app.db.grants import Grant
from app.db.people import Group, GroupMembership, Person, Role, RoleAssignment
from app.db.places import Area, Organisation
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.domain import sign_in
from app.storage import keys
from app.storage.s3 import Storage

PASSWORD = "three random words"


class World:
    """Makes rows with sensible defaults. Everything is flushed; commit when another connection must see it."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def area(self, code: str) -> Area:
        """A seeded area by code: ENG, NEY, SW ..."""
        return self.session.scalars(select(Area).where(Area.code == code)).one()

    def organisation(self, name: str = "Test Trust", area: str = "NEY") -> Organisation:
        """An organisation in an area."""
        return self._add(Organisation(name=name, area_id=self.area(area).id))

    def person(
        self,
        email: str = "",
        role: Role | None = None,
        area: str | None = None,
        organisation: Organisation | None = None,
        **columns: Any,
    ) -> Person:
        """A person, with a role over an area's code, an organisation, or everywhere when both are None."""
        columns.setdefault("name", email.partition("@")[0] or "Somebody")
        person = self._add(Person(email=email or f"{uuid.uuid4().hex[:12]}@example.org", **columns))
        if role is not None:
            self.role(person, role, area, organisation)
        return person

    def role(
        self,
        person: Person,
        role: Role,
        area: str | None = None,
        organisation: Organisation | None = None,
        ends_at: datetime | None = None,
    ) -> RoleAssignment:
        """Give a role, past all rules."""
        return self._add(
            RoleAssignment(
                person=person,
                role=role,
                area_id=self.area(area).id if area else None,
                organisation_id=organisation.id if organisation else None,
                ends_at=ends_at,
            )
        )

    def group(self, name: str = "Cohort", area: str = "NEY", members: tuple[Person, ...] = ()) -> Group:
        """A group with members."""
        group = self._add(Group(name=name, area_id=self.area(area).id))
        for person in members:
            self._add(GroupMembership(group_id=group.id, person_id=person.id))
        return group

    def case(self, title: str = "A test case", area: str | None = "NEY", **columns: Any) -> Case:
        """A live case of an area."""
        columns.setdefault("summary", "What happened, made up for a test.")
        return self._add(Case(title=title, area_id=self.area(area).id if area else None, **columns))

    def recording(
        self,
        case: Case | None = None,
        *,
        title: str = "A test recording",
        area: str | None = "NEY",
        state: RecordingState = RecordingState.READY,
        published: bool = False,
        **columns: Any,
    ) -> Recording:
        """A recording of a case; READY ones are watchable. It has no objects: see `artefact`."""
        now = clock.now()
        if state in (RecordingState.READY, RecordingState.WITHDRAWN):
            columns.setdefault("watchable_at", now)
            columns.setdefault("duration_ms", 45_000)
        if published:
            columns.setdefault("published_at", now)
        return self._add(
            Recording(
                case=case or self.case(),
                title=title,
                state=state,
                area_id=self.area(area).id if area and "organisation_id" not in columns else None,
                **columns,
            )
        )

    def artefact(
        self, storage: Storage, recording: Recording, kind: ArtefactKind, body: bytes, name: str = "", **columns: Any
    ) -> Artefact:
        """A stored object of a recording."""
        key = keys.artefact(recording.id, uuid.uuid4(), f"{kind.value}-{name or 'x'}", 1)
        columns.setdefault("media_type", "application/octet-stream")
        stored = storage.put_bytes(key, body, columns["media_type"])
        return self._add(
            Artefact(
                recording_id=recording.id,
                kind=kind,
                name=name,
                key=key,
                size=stored.size,
                sha256=stored.sha256,
                **columns,
            )
        )

    def grant(self, recording: Recording, *, area: str | None = None, **columns: Any) -> Grant:
        """A grant in force to an area's code, or to whatever the columns name."""
        columns.setdefault("starts_at", clock.now() - timedelta(minutes=1))
        return self._add(Grant(recording_id=recording.id, area_id=self.area(area).id if area else None, **columns))

    def token(self, person: Person, *scopes: str) -> str:
        """An API token."""
        return sign_in.make_token(self.session, SYSTEM, person, "test", scopes or ("all",))

    def _add(self, row: Any) -> Any:
        self.session.add(row)
        self.session.flush()
        return row


class Browser:
    """A test client that sends the form token as a page's form would."""

    def __init__(self, app: Flask, person: Person | None = None) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()
        if person is not None:
            self.sign_in(person.id)

    def sign_in(self, person_id: uuid.UUID) -> None:
        """Open a session without the form."""
        with self.app.app_context():
            _, token = sign_in.open_session(db.session(), person_id, "test browser", timedelta(hours=1), proved=True)
            db.session.commit()
        self.client.set_cookie(self.app.session_interface.cookie, token)  # type: ignore[attr-defined]

    def get(self, path: str, **options: Any) -> TestResponse:
        """GET."""
        return self.client.get(path, **options)

    def form_token(self) -> str:
        """The form token of this browser's session."""
        page = (
            self.client.get("/account", follow_redirects=True).text
            if self.signed_in
            else self.client.get("/sign-in").text
        )
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        if found is None:
            raise AssertionError("the page has no form token")
        return found[1]

    @property
    def signed_in(self) -> bool:
        """Whether the browser holds a session cookie."""
        return self.client.get_cookie(self.app.session_interface.cookie) is not None  # type: ignore[attr-defined]

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        """POST a form with its token."""
        return self.client.post(path, data={"csrf_token": self.form_token(), **(data or {})}, **options)

    def send(self, method: str, path: str, json: Any = None, **options: Any) -> TestResponse:
        """Send JSON as a page's script would."""
        headers = {"X-CSRF-Token": self.form_token(), **options.pop("headers", {})}
        return self.client.open(path, method=method, json=json, headers=headers, **options)
