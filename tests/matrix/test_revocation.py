"""What is taken away is gone at the very next request, at every address."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from sqlalchemy import text

from tests.matrix.checker import Checker
from tests.matrix.table import ACTORS, SURFACES


@dataclass(frozen=True)
class Event:
    """Something that ends access: who loses it, what happens (SQL over {ids}), how it is undone for the next test."""

    name: str
    actor: str
    happens: str
    undone: str
    becomes: str = "hidden"
    state: str = "published"
    #: the materials and cases that they see otherwise (as makers) are left out
    acts: tuple[str, ...] = ("recording:view", "recording:evaluate", "case:view", "material:view", "frame")


VIEWER = "viewer of the granted region"
GRANTS = "UPDATE grants SET {} WHERE recording_id = :recording"
EVENTS = (
    Event("grant revoked", VIEWER, GRANTS.format("revoked_at = now()"), GRANTS.format("revoked_at = NULL")),
    Event("grant ended", VIEWER, GRANTS.format("ends_at = now()"), GRANTS.format("ends_at = NULL")),
    Event(
        "grant revoked, in a frame", "frame of the material", GRANTS.format("revoked_at = now()"),
        GRANTS.format("revoked_at = NULL"),
    ),
    Event(
        "grant by name revoked", "granted by name", GRANTS.format("revoked_at = now()"),
        GRANTS.format("revoked_at = NULL"),
    ),
    Event(
        "group membership ended", "member of a granted group", "UPDATE group_memberships SET ends_at = now()",
        "UPDATE group_memberships SET ends_at = NULL",
    ),
    Event(
        "group ended", "member of a granted group",
        "UPDATE groups SET ends_at = now() WHERE name = 'Spring cohort'",
        "UPDATE groups SET ends_at = NULL WHERE name = 'Spring cohort'",
    ),
    Event(
        "grant on the case revoked", VIEWER, "UPDATE grants SET revoked_at = now() WHERE case_id = :case",
        "UPDATE grants SET revoked_at = NULL WHERE case_id = :case", state="granted by its case",
    ),
    Event(
        "grant on the case ended, in a frame", "frame of the material",
        "UPDATE grants SET ends_at = now() WHERE case_id = :case",
        "UPDATE grants SET ends_at = NULL WHERE case_id = :case", state="granted by its case",
    ),
    Event(
        "approval refused after all", VIEWER,
        GRANTS.format("needs_approval = true, refused_at = now()"),
        GRANTS.format("needs_approval = false, refused_at = NULL"),
    ),
    Event(
        "left", VIEWER, "UPDATE people SET left_at = now() WHERE id = :person",
        "UPDATE people SET left_at = NULL WHERE id = :person", "sign-in",
    ),
    Event(
        "role ended", VIEWER, "UPDATE role_assignments SET ends_at = now() WHERE person_id = :person",
        "UPDATE role_assignments SET ends_at = NULL WHERE person_id = :person",
    ),
    Event(
        "maker's role ended", "facilitator of the place",
        "UPDATE role_assignments SET ends_at = now() WHERE person_id = :person",
        "UPDATE role_assignments SET ends_at = NULL WHERE person_id = :person",
        acts=("recording:manage", "recording:edit", "recording:publish", "case:edit", "material:edit"),
    ),
    Event(
        "suspended", VIEWER, "UPDATE people SET suspended_at = now() WHERE id = :person",
        "UPDATE people SET suspended_at = NULL WHERE id = :person", "sign-in",
    ),
    Event(
        "suspended, in a frame", "frame of the material", "UPDATE people SET suspended_at = now() WHERE id = :person",
        "UPDATE people SET suspended_at = NULL WHERE id = :person", "sign-in", acts=("recording:view",),
    ),
    Event(
        "withdrawn", VIEWER, "UPDATE recordings SET state = 'withdrawn' WHERE id = :recording",
        "UPDATE recordings SET state = 'ready' WHERE id = :recording",
    ),
    Event(
        "no longer published", VIEWER, "UPDATE recordings SET published_at = NULL WHERE id = :recording",
        "UPDATE recordings SET published_at = now() - interval '1 hour' WHERE id = :recording",
    ),
    Event(
        "case retired", VIEWER, "UPDATE cases SET status = 'retired' WHERE id = :case",
        "UPDATE cases SET status = 'live' WHERE id = :case",
    ),
    Event(
        "organisation moved to another region", "somebody who only belongs to that organisation",
        "UPDATE organisations SET area_id = (SELECT id FROM areas WHERE code = 'SW')",
        "UPDATE organisations SET area_id = (SELECT id FROM areas WHERE code = 'NEY')",
    ),
    Event(
        "no longer of the organisation", "somebody who only belongs to that organisation",
        "UPDATE people SET organisation_id = NULL WHERE id = :person",
        "UPDATE people SET organisation_id = (SELECT id FROM organisations) WHERE id = :person",
    ),
    Event(
        "token revoked", "token to read, of the viewer", "UPDATE api_tokens SET revoked_at = now()",
        "UPDATE api_tokens SET revoked_at = NULL", "sign-in",
        acts=("recording:view", "case:view", "material:view"),
    ),
    Event(
        "signed out elsewhere", VIEWER, "UPDATE web_sessions SET expires_at = now() WHERE person_id = :person",
        "UPDATE web_sessions SET expires_at = now() + interval '1 hour' WHERE person_id = :person", "sign-in",
    ),
)  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_the_next_request_is_refused_everywhere(checker: Checker, event: Event) -> None:
    actor = next(actor for actor in ACTORS if actor.name == event.actor)
    thing = checker.setting.things[event.state]
    ids = {
        "recording": thing.recording,
        "case": thing.case,
        "person": checker.setting.people[actor.person],
    }
    surfaces = [
        surface
        for surface in SURFACES
        if surface.act in event.acts
        and not surface.makers_only
        and checker.expected(actor, thing, surface, checker.path(surface, thing)) == "allow"
    ]
    assert len(surfaces) >= 3
    assert [mismatch for s in surfaces if (mismatch := checker.check(actor, thing, s))] == []
    _do(checker, event.happens, ids)
    try:
        got = {}
        for surface in surfaces:
            answer = checker.ask(actor, thing, surface)
            got[surface.name] = checker.verdict(actor, thing, surface, checker.path(surface, thing), answer)
        # a form that was open when the session ended is refused for its token already
        refused = {event.becomes, "no form token"} if event.name == "signed out elsewhere" else {event.becomes}
        assert set(got.values()) <= refused, got
    finally:
        _do(checker, event.undone, ids)
    assert [mismatch for s in surfaces if (mismatch := checker.check(actor, thing, s))] == []


def _do(checker: Checker, statement: str, ids: dict[str, object]) -> None:
    wanted = {name: value for name, value in ids.items() if f":{name}" in statement}
    changed = checker.session.execute(text(statement), wanted)
    assert changed.rowcount > 0, statement  # type: ignore[attr-defined]
    checker.session.commit()
    checker.look()
