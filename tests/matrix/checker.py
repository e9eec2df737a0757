"""Asks every cell of the matrix and says which answers are not what the reference expects."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, orm, select, text
from sqlalchemy.orm import Session
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app.db import db
from app.db.audit import AuditEvent
from app.domain import sign_in
from app.storage.s3 import Storage
from app.web.errors import CSRF_SENTENCE
from tests.access.reference import Reference
from tests.matrix import facts
from tests.matrix.table import ACTORS, EMBED, SCOPES, Actor, Surface
from tests.matrix.world import Setting, Thing
from tests.support.routes import UNSAFE
from tests.support.world import Browser

#: Tables that reading changes (`Checker.written_down` watches the audit's), or that hold nothing of the world.
NOT_WATCHED = (
    "web_sessions", "api_tokens", "alembic_version", "terms", "framework_domains", "frameworks", "areas", "audit_chain",
    "audit_events", "viewings",
)  # fmt: skip
#: What the audit says of requests that change nothing.
LOOKS = frozenset({"recording:look", "sharing:look", "recording:watch", "recording:watched"})
#: Headers that differ between any two answers.
VARYING = frozenset({"Date", "X-Request-Id"})
#: MATRIX=whole asks every cell; by default those that `Checker.run` chooses.
WHOLE = os.environ.get("MATRIX") == "whole"
#: The form token in a page is signed with the second that it is made in.
_FORM_TOKEN = re.compile(r'<meta name="csrf-token"[^>]*>|name="csrf_token" value="[^"]*"')
#: Surfaces that are asked whole besides those that the table calls core: what plays, and what programs read.
ASKED_WHOLE = frozenset(
    f"playback.{name}"
    for name in (
        "master",
        "media_playlist",
        "media",
        "video",
        "captions",
        "chapters",
        "poster",
        "storyboard_image",
        "embed_master",
        "embed_media",
        "embed_video",
        "embed_captions",
    )
) | {"api_recordings.show", "api_positions.save"}
#: In how many states a core surface is asked at least by those who do not ask it in all.
LEAST = 4
#: An id that no row has.
NOTHING = "00000000-0000-4000-8000-000000000007"


@dataclass(frozen=True)
class Mismatch:
    """One cell that answered otherwise than it should."""

    actor: str
    state: str
    surface: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.actor} | {self.state} | {self.surface}: expected {self.expected}, got {self.got}"


class Checker:
    """Browsers of all actors over one application and one world."""

    def __init__(self, app: Flask, session: Session, setting: Setting) -> None:
        self.app, self.session, self.setting = app, session, setting
        self.rules = _rules(app)
        self.cells = self.core_cells = 0
        self._clients: dict[tuple[str, str], Browser] = {}
        self._form_tokens: dict[int, str] = {}
        self._random: dict[tuple[str, str], TestResponse] = {}
        self._paths: dict[tuple[str, str], str] = {}
        self._answers: dict[tuple[uuid.UUID, str, str], bool] = {}
        self.look()

    def look(self) -> None:
        """Read the world anew: after every change of it. Menus change with roles, so 404s are fetched anew too."""
        self._random.clear()
        self._answers.clear()
        self.reference = Reference(facts.read(self.session))

    # -- what should be ------------------------------------------------------------------------------------------------

    def stands_for(self, actor: Actor, surface_path: str) -> uuid.UUID | None:
        """The person as whom the actor counts at an address; None: as nobody."""
        counts = {
            "visitor": False,
            "session": not surface_path.startswith("/embed/"),
            "token": True,
            "embed": surface_path.startswith("/embed/"),
        }[actor.kind]
        person = self.setting.people[actor.person] if counts else None
        return person if person is not None and self.reference.active(person) else None

    def permits(self, actor: Actor, person: uuid.UUID, action: str, thing: Thing) -> bool:
        """Whether the reference lets the actor do an action to the state's recording, case or material."""
        if actor.kind == "token" and action not in SCOPES[actor.scope]:
            return False
        if actor.kind == "embed":
            material = self.setting.things[actor.material_of].material if actor.material_of else thing.material
            if action not in EMBED:
                return False
            if action == "material:view" and thing.material != material:
                return False
            if thing.recording not in self.reference.facts.materials[material]["recordings"]:
                return False
        key = (person, action, thing.state.name)
        if key not in self._answers:
            kind, _, act = action.partition(":")
            if kind == "captions":  # those of a recording: the reference knows one answer for all acts on them
                kind, act = "recording", "captions"
            asked: Any = getattr(self.reference, kind)
            self._answers[key] = bool(asked(person, getattr(thing, kind), act))
        return self._answers[key]

    def expected(self, actor: Actor, thing: Thing, surface: Surface, path: str) -> str:
        """The verdict for a cell: allow, absent, forbidden, hidden, sign-in or invitation."""
        person = self.stands_for(actor, path)
        if surface.act == "code":
            return "hidden"
        if person is None:
            if surface.act == "frame":
                return "invitation"
            return "sign-in"
        if surface.makers_only and not self._makes(actor, person):
            return "forbidden"
        if surface.act == "work":
            return "allow" if self.keeps_work(actor, person) else "forbidden"
        if surface.act == "upload":
            own = self.reference.facts.recordings[thing.recording]["owner"] == person
            return "allow" if own and self.permits(actor, person, "recording:edit", thing) else "hidden"
        action = "material:view" if surface.act == "frame" else surface.act
        if self.permits(actor, person, action, thing):
            if surface.endpoint == "embed.allow_frame" and actor.kind == "token":
                return "forbidden"  # a frame's session would outlive the token
            return "absent" if surface.needs and surface.needs not in thing.has else "allow"
        first = action.partition(":")[0].replace("captions", "recording") + ":view"
        return "forbidden" if self.permits(actor, person, first, thing) else "hidden"

    def _makes(self, actor: Actor, person: uuid.UUID) -> bool:
        """Whether somebody may bring recordings at all."""
        narrowed = actor.kind == "token" and "recording:create" not in SCOPES[actor.scope]
        return not narrowed and self.reference.has_anywhere(person, {"facilitator", "admin"})

    def keeps_work(self, actor: Actor, person: uuid.UUID) -> bool:
        """Whether somebody may see the work of all places: in a session of their own, as an admin of everywhere."""
        roles = self.reference.held(person)
        return actor.kind == "session" and any(
            role["role"] == "admin" and role["place"] == (None, None) for role in roles
        )

    # -- what is -------------------------------------------------------------------------------------------------------

    def browser(self, actor: Actor, thing: Thing) -> Browser:
        """The actor's browser; a frame has one for each material."""
        frame = actor.material_of or thing.state.name if actor.kind == "embed" else ""
        if (actor.name, frame) not in self._clients:
            browser = Browser(self.app)
            if actor.kind == "session":
                browser.sign_in(self.setting.people[actor.person])
            elif actor.kind == "token":
                secret = self.setting.tokens[actor.person, actor.scope]
                browser.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
            elif actor.kind == "embed":
                with self.app.app_context():
                    _, token = sign_in.open_session(
                        db.session(),
                        self.setting.people[actor.person],
                        "frame",
                        timedelta(hours=1),
                        embed_material_id=self.setting.things[frame].material,
                    )
                    db.session.commit()
                browser.client.set_cookie(self.app.session_interface.embed_cookie, token)  # type: ignore[attr-defined]
            self._clients[actor.name, frame] = browser
        return self._clients[actor.name, frame]

    def open_browsers(self, actors: Iterable[Actor], things: Iterable[Thing]) -> None:
        """Open everybody's browsers and forms now: what is asked under `undone` opens none that last."""
        for actor in actors:
            for thing in things:
                browser = self.browser(actor, thing)
                if actor.kind != "token":
                    self._form_token(browser)

    def path(self, surface: Surface, thing: Thing | None) -> str:
        """The address of a surface for a state's rows; None: for ids that nothing has."""
        key = surface.name, thing.state.name if thing is not None else ""
        if key not in self._paths:
            nothing = uuid.UUID(NOTHING)
            values: dict[str, Any] = {"recording_id": nothing, "case_id": nothing, "material_id": nothing}
            if thing is not None:
                values = {"recording_id": thing.recording, "case_id": thing.case, "material_id": thing.material}
            for name, value in surface.values.items():
                if value.startswith("{"):
                    values[name] = uuid.UUID(filled(value, thing))
                else:
                    values[name] = int(value) if value.isdigit() else value
            rule = self.rules[surface.endpoint, surface.method]
            built = rule.build({name: values[name] for name in rule.arguments}, append_unknown=False)
            assert built is not None, surface
            self._paths[key] = built[1] + filled(surface.query, thing)
        return self._paths[key]

    def ask(self, actor: Actor, thing: Thing, surface: Surface, *, random: bool = False) -> TestResponse:
        """Send the request as this actor's browser or program would: about the state's rows, or about no row."""
        browser = self.browser(actor, thing)
        about = None if random else thing
        path = self.path(surface, about)
        headers = dict(surface.headers)
        if surface.method in UNSAFE and actor.kind != "token":
            headers["X-CSRF-Token"] = self._form_token(browser)
        options: dict[str, Any] = {"data": surface.form}
        if surface.json is not None:
            options = {"data": filled(json.dumps(surface.json), about), "content_type": "application/json"}
        return browser.client.open(path, method=surface.method, headers=headers, **options)

    def _form_token(self, browser: Browser) -> str:
        if id(browser) not in self._form_tokens:
            page = browser.client.get("/account")
            self._form_tokens[id(browser)] = (
                browser.form_token() if page.status_code == 200 else Browser.form_token(_Visitor(browser))
            )
        return self._form_tokens[id(browser)]

    def check(self, actor: Actor, thing: Thing, surface: Surface) -> Mismatch | None:
        """Ask one cell. What an allowed request does is undone, so that cells do not meet."""
        self.cells += 1
        self.core_cells += is_core(surface)
        path = self.path(surface, thing)
        expected = self.expected(actor, thing, surface, path)
        if expected in ("allow", "absent") and surface.method in UNSAFE:
            with undone():
                answer = self.ask(actor, thing, surface)
        else:
            answer = self.ask(actor, thing, surface)
        got = self.verdict(actor, thing, surface, path, answer)
        if got == expected or (expected == "absent" and got == "hidden"):
            return None
        return Mismatch(actor.name, thing.state.name, surface.name, expected, f"{got} ({answer.status})")

    def verdict(self, actor: Actor, thing: Thing, surface: Surface, path: str, answer: TestResponse) -> str:
        """What an answer amounts to."""
        status, location = answer.status_code, answer.headers.get("Location", "")
        if surface.act == "frame" and self.stands_for(actor, path) is None:
            random = self.random(actor, thing, surface)
            same = _FORM_TOKEN.sub("", answer.text.replace(str(thing.material), NOTHING)) == _FORM_TOKEN.sub(
                "", random.text
            )
            return "invitation" if status == 200 and same else "something else than the invitation"
        if status == 401 or (status == 302 and location.startswith("/sign-in")):
            return "sign-in"
        if status == 404:
            if path.startswith("/embed/") and self.stands_for(actor, path) is None and surface.act != "code":
                return "sign-in"  # a frame is never sent to another page
            random = self.random(actor, thing, surface)
            if (answer.status_code, answer.data) != (random.status_code, random.data):
                return "a 404 that differs from that of a random id in its body"
            if _headers(answer) != _headers(random):
                return "a 404 that differs from that of a random id in its headers"
            return "hidden"
        if status == 403:
            random = self.random(actor, thing, surface)
            return "forbidden" if random.status_code in (403, 404) else "a 403 where a random id has none"
        if status == 400 and (CSRF_SENTENCE in answer.text or '"csrf"' in answer.text):
            return "no form token"
        if status < 400 or (surface.method in UNSAFE and status in (400, 409)):
            return "allow"
        return "an error"

    def random(self, actor: Actor, thing: Thing, surface: Surface) -> TestResponse:
        """The answer to the same request about ids that nothing has."""
        key = (actor.name, surface.name)
        if key not in self._random:
            self._random[key] = self.ask(actor, thing, surface, random=True)
        return self._random[key]

    # -- many cells ----------------------------------------------------------------------------------------------------

    def run(
        self, actors: Iterable[Actor], things: Sequence[Thing], surfaces: Sequence[Surface], *, whole: bool = WHOLE
    ) -> Iterator[Mismatch]:
        """The cells of these.

        Core surfaces are asked in every state by the actors that the table calls whole. Otherwise each actor asks a state
        for every verdict that they should get there, and at least `LEAST` at core surfaces, turning from surface to surface
        and actor to actor. Where an actor counts as nobody no state can matter, and just as many are asked. `whole` leaves
        nothing out.
        """
        for actor in actors:
            for number, surface in enumerate(surfaces):
                turn = (number + ACTORS.index(actor) * 3) % len(things)
                turned = [*things[turn:], *things[:turn]]
                for thing in things if whole else self._enough(actor, surface, turned):
                    found = self.check(actor, thing, surface)
                    if found is not None:
                        yield found

    def _enough(self, actor: Actor, surface: Surface, things: Sequence[Thing]) -> Sequence[Thing]:
        if is_core(surface) and actor.whole:
            return things
        least = LEAST if is_core(surface) else 1
        if self.stands_for(actor, self.path(surface, things[0])) is None:
            return things[:least]
        chosen: dict[str, Thing] = {}
        for thing in things:
            chosen.setdefault(self.expected(actor, thing, surface, self.path(surface, thing)), thing)
        rest = [thing for thing in things if thing not in chosen.values()]
        return [*chosen.values(), *rest[: max(0, least - len(chosen))]]

    def last_event(self) -> int:
        """The number of the audit's latest event."""
        found = self.session.scalar(select(func.coalesce(func.max(AuditEvent.id), 0)))
        self.session.commit()
        return found or 0

    def written_amiss(self, actor: Actor, since: int) -> list[str]:
        """Events of the audit after number `since` that are no look or viewing, by this actor, of a recording that they may
        see. What is undone leaves none, and what is refused must leave none."""
        person = self.setting.people[actor.person] if actor.person else None
        things = {thing.recording: thing for thing in self.setting.things.values()}
        found = [
            f"{event.action} of {event.subject_kind} {event.subject_id} by {event.person_id}"
            for event in self.session.scalars(select(AuditEvent).where(AuditEvent.id > since))
            if event.action not in LOOKS
            or person is None
            or event.person_id != person
            or event.subject_id not in things
            or not self.permits(actor, person, "recording:view", things[event.subject_id])
        ]
        self.session.commit()
        return found

    def fingerprint(self) -> list[Any]:
        """Which version of which row there is, in every table that tells of the world."""
        tables = self.session.scalars(
            text(
                "SELECT quote_ident(relname) FROM pg_stat_user_tables "
                "WHERE schemaname = 'public' AND relname <> ALL(:names) ORDER BY relname"
            ),
            {"names": list(NOT_WATCHED)},
        ).all()
        each = [
            f"SELECT '{table}', coalesce(md5(string_agg(ctid::text || xmin::text, ',' ORDER BY ctid)), '') FROM {table}"  # noqa: S608 - names come from the catalogue
            for table in tables
        ]
        rows = [tuple(row) for row in self.session.execute(text(" UNION ALL ".join(each)))]
        self.session.commit()
        return rows


class _Visitor(Browser):
    """Reads the form token off the sign-in page, with another browser's cookies."""

    def __init__(self, browser: Browser) -> None:
        self.app, self.client = browser.app, browser.client

    @property
    def signed_in(self) -> bool:
        """Never."""
        return False


def is_core(surface: Surface) -> bool:
    """Whether everybody asks this in every state."""
    return surface.core or (surface.endpoint in ASKED_WHOLE and surface.method != "HEAD" and not surface.headers)


def _rules(app: Flask) -> dict[tuple[str, str], Rule]:
    app.url_map.update()
    return {(rule.endpoint, method): rule for rule in app.url_map.iter_rules() for method in rule.methods or ()}


def filled(text_: str, thing: Thing | None) -> str:
    """Text with its {placeholders} filled from a state's rows, or with an id that nothing has."""
    return re.sub(r"\{(\w+)\}", lambda found: thing.values[found[1]] if thing is not None else NOTHING, text_)


def _headers(answer: TestResponse) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in answer.headers if name not in VARYING)


@contextmanager
def undone() -> Iterator[None]:
    """Let requests run to their end, but keep nothing: a commit writes all and takes it back; storage deletes nothing."""

    def commit(self: orm.Session) -> None:
        self.flush()
        self.rollback()

    def nothing(self: Storage, *arguments: Any, **options: Any) -> None:
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orm.Session, "commit", commit)
        for name in ("delete_prefix", "abort_multipart", "delete"):
            if hasattr(Storage, name):
                patch.setattr(Storage, name, nothing)
        yield
