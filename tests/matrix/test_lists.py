"""What lists, searches and the start page hold: exactly what their reader may see, and no word of anything else."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask import Flask

from app.web import guard
from tests.matrix.checker import Checker
from tests.matrix.table import ABOUT, ACTORS, SCOPES, STATES, Actor
from tests.matrix.world import WORD, Thing
from tests.support.routes import routes

Belongs = Callable[[Checker, Actor, uuid.UUID, Thing], bool]


def _views(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    return checker.permits(actor, person, "recording:view", thing)


def _on_show(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    facts = checker.reference.facts
    recording = facts.recordings[thing.recording]
    shown = (
        recording["published_at"] is not None
        and recording["published_at"] <= facts.now
        and recording["watchable"]
        and recording["state"] in ("processing", "ready")
        and facts.cases[thing.case]["status"] == "live"
    )
    return shown and _views(checker, actor, person, thing)


def _shown_or_draft(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    facts = checker.reference.facts
    recording = facts.recordings[thing.recording]
    unpublished = recording["published_at"] is None or recording["published_at"] > facts.now
    draft = unpublished and checker.permits(actor, person, "recording:manage", thing)
    makes = checker.reference.has_anywhere(person, {"facilitator", "admin"})
    return _on_show(checker, actor, person, thing) or (makes and draft)


def _found(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    withdrawn = checker.reference.facts.recordings[thing.recording]["state"] == "withdrawn"
    return _views(checker, actor, person, thing) and not withdrawn


def _heard(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    return "captions" in thing.has and _found(checker, actor, person, thing)


def _own(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    own = checker.reference.facts.recordings[thing.recording]["owner"] == person
    return own and checker.permits(actor, person, "recording:manage", thing)


def _case(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    return checker.permits(actor, person, "case:view", thing)


def _material(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    return checker.permits(actor, person, "material:view", thing)


def _ending(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    return thing.state.download and checker.permits(actor, person, "recording:publish", thing)


def _asked_for(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    return checker.permits(actor, person, "recording:publish", thing)


def _works(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    return checker.keeps_work(actor, person) and _views(checker, actor, person, thing)


def _approves(checker: Checker, actor: Actor, person: uuid.UUID, thing: Thing) -> bool:
    return checker.reference.grant(person, uuid.UUID(thing.values["grant"]), "approve")


@dataclass(frozen=True)
class Listing:
    """An address that lists things. `word` is the thing's word that shows it, `exact` whether all that may be there must
    be there; `action` what a token needs."""

    endpoint: str
    path: str
    belongs: Belongs
    word: str = "title_word"
    exact: bool = True
    action: str = ""
    #: only people with this role somewhere get there
    makers_only: bool = False
    #: only admins of everywhere get there
    work: bool = False


LISTINGS: tuple[Listing, ...] = (
    Listing("home.index", "/", _views, exact=False),
    Listing("library.index", "/library", _on_show, action="recording:view"),
    Listing("library.index", "/library?drafts=yes", _shown_or_draft, action="recording:view"),
    Listing("library.index", f"/library?q={WORD}", _on_show, action="recording:view"),
    Listing("recordings.mine", "/recordings/mine", _own, action="recording:create", makers_only=True),
    Listing("cases.index", "/cases/", _case, "case_word", action="account:own"),
    Listing("cases.index", "/cases/?sort=title&q=case", _case, "case_word", action="account:own"),
    Listing("materials.index", "/materials/", _material, "material_word", action="account:own"),
    Listing("api_recordings.index", "/api/v1/recordings?limit=100", _views, action="recording:view"),
    Listing("api_search.find", f"/api/v1/search?q={WORD}&limit=100", _found, action="recording:view"),
    Listing("api_search.find", f"/api/v1/search?q={WORD}&limit=100", _heard, "speech_word", action="recording:view"),
    Listing("expiring.index", "/grants/expiring", _ending, action="grant:keep"),
    Listing("requests.index", "/requests", _asked_for, action="request:answer"),
    Listing("approvals.index", "/approvals", _approves, action="grant:approve"),
    Listing("api_requests.index", "/api/v1/requests", _asked_for, action="request:answer"),
    Listing("api_approvals.index", "/api/v1/approvals", _approves, action="grant:approve"),
    Listing("api_cases.index", "/api/v1/cases?limit=100", _case, "case_word", action="case:view"),
    Listing("work.index", "/work", _works, work=True),
    Listing("work.index", "/work?recording=title&sort=oldest", _works, work=True),
    Listing("api_work.index_runs", "/api/v1/work/runs?limit=100", _works, work=True),
    Listing("api_uploads.index", "/api/v1/uploads", _own, exact=False, action="recording:create", makers_only=True),
)
#: Pages without an id in their address that hold nothing of recordings, cases or materials.
NO_LISTS = {
    "api_audit.index", "api_session.show", "audit.index", "devices.index", "dormant.index", "links.ask_reset",
    "links.ask_sign_in", "links.enter", "links.invitation", "openid.linked", "recertify.index",
    "api_description.openapi", "api_work.index", "auth.account", "auth.first_admin", "auth.set_password", "auth.sign_in",
    "cases.new", "demo.start", "factors.add_passkey", "factors.index", "factors.prove",
    "api_tokens.index", "tokens.index", "health.live", "health.metrics", "health.ready", "help.accessibility_statement",
    "help.cookies", "help.help", "help.privacy", "materials.new", "requests.ask", "people.index", "people.new", "groups.index",
    "areas.index", "imports.check", "places.organisations", "static", "upload.new",
}  # fmt: skip


def test_every_list_is_here(app: Flask) -> None:
    found = {
        rule.endpoint
        for rule, method in routes(app)
        if method == "GET" and not rule.arguments - {"secret", "filename"} and not ABOUT & rule.arguments
    }
    listed = {listing.endpoint for listing in LISTINGS}
    assert listed <= found
    assert found - listed - NO_LISTS == set(), "put these into LISTINGS, or into NO_LISTS when they list nothing"
    rows = {r.endpoint for r, _ in routes(app) if _declares_rows(app, r.endpoint)}
    assert rows <= listed, "these declare that they list rows"


def _declares_rows(app: Flask, endpoint: str) -> bool:
    declared = guard.declaration_of(app.view_functions[endpoint])
    return declared is not None and declared.kind == "rows"


@pytest.mark.parametrize("actor", ACTORS, ids=lambda actor: actor.name)
def test_lists_hold_exactly_what_their_reader_may_see(checker: Checker, actor: Actor) -> None:
    things = [checker.setting.things[state.name] for state in STATES]
    wrong, seen = [], 0
    for listing in LISTINGS:
        path = listing.path.partition("?")[0]
        answer = checker.browser(actor, things[0]).get(listing.path)
        person = checker.stands_for(actor, path)
        if person is None:
            assert answer.status_code == 401 or answer.location.startswith("/sign-in"), listing
            continue
        makes = checker.reference.has_anywhere(person, {"facilitator", "admin"})
        kept_out = listing.work and not checker.keeps_work(actor, person)
        if kept_out or (listing.makers_only and not makes) or not _token_may(actor, listing):
            assert answer.status_code == 403, listing
            continue
        assert answer.status_code == 200, listing
        for thing in things:
            there = str(getattr(thing, listing.word)) in answer.text
            may = listing.belongs(checker, actor, person, thing)
            seen += there
            if (there and not may) or (listing.exact and may and not there):
                wrong.append(f"{listing.path} {thing.state.name}: {'there' if there else 'missing'}")
            if not _views(checker, actor, person, thing):
                for word in (thing.title_word, thing.speech_word):
                    if word in answer.text:
                        wrong.append(f"{listing.path} {thing.state.name}: says {word}")
    assert not wrong, "\n".join(wrong)
    if actor.name == "admin of everywhere":
        assert seen > len(things) * 5


def _token_may(actor: Actor, listing: Listing) -> bool:
    return actor.kind != "token" or not listing.action or listing.action in SCOPES[actor.scope]


def test_how_far_the_work_is_is_for_those_who_manage_it(checker: Checker) -> None:
    thing = checker.setting.things["published while processing"]
    for name, told in (("viewer of the granted region", False), ("facilitator of the place", True)):
        actor = next(actor for actor in ACTORS if actor.name == name)
        answer = checker.browser(actor, thing).get(f"/api/v1/recordings/{thing.recording}")
        assert answer.status_code == 200
        assert ("stages" in answer.json, "seconds_left" in answer.json) == (told, told)
