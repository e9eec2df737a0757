"""Two worlds that differ in nothing but what somebody may not see look alike to them, byte for byte: lists, searches,
counts of facets, totals, what is beside what, and every page that they can open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import delete, select

from app import clock
from app.db.cases import Case
from app.db.grants import Grant
from app.db.materials import Material, MaterialItem, MaterialItemKind
from app.db.people import Group, Person, Role
from app.db.places import Organisation
from app.db.recordings import Recording
from app.db.vocabulary import Term
from tests.matrix.checker import Checker
from tests.matrix.table import ABOUT, ACTORS, Actor
from tests.matrix.test_lists import LISTINGS
from tests.matrix.world import WORD
from tests.support.routes import routes
from tests.support.world import World
from tests.watching import film

#: They see some of London, or everything; the others see nothing of it.
SEES_LONDON = {"owner, facilitator elsewhere", "admin of everywhere"}
BLIND = tuple(actor for actor in ACTORS if actor.name not in SEES_LONDON)
#: One of each way to be blind to London; the rules for the rest are the same, and the matrix asks for all.
NAMES = (
    "viewer of the granted region", "viewer of the country", "facilitator of the place", "admin of the place",
    "custodian of the place", "token to read, of the viewer", "frame of the material",
)  # fmt: skip
#: Figures of the instance for those who run it; the audit, which tells of each look at it; when a token or session was used.
OF_ITS_OWN = (
    "/metrics",
    "/health",
    "/audit",
    "/api/v1/audit",
    "/account/tokens",
    "/api/v1/tokens",
    "/sessions",
    "/static",
)
#: The form token and the end of the session change with the second, and looking at a recording counts as watching it.
_OWN = re.compile(
    r'name="csrf_token" value="[^"]*"|<meta name="csrf-token"[^>]*>|<meta name="session-ends"[^>]*>'
    r"|\d+ (?:person|people), [^<\n]* in all"
    r"|on \d+ \w+ \d{4}, \d+:\d+[ap]m"
)


@contextmanager
def more_in_london(checker: Checker) -> Iterator[None]:
    """Recordings in each state, cases, materials, people, groups and organisations of London, with the words, themes and
    speech that all the others have."""
    session, world = checker.session, World(checker.session)
    now, terms = clock.now(), list(session.scalars(select(Term)))
    storage = checker.app.extensions["vignette"].storage
    organisation = world.organisation("Hidden Trust", "LON")
    person = world.person(
        "hidden@example.org", Role.VIEWER, "LON", name="Viewer Hidden", organisation_id=organisation.id
    )
    group = world.group("Hidden cohort", "LON", (person,))
    case = world.case(f"Case hidden {WORD}", "LON", origin_id=next(t.id for t in terms if t.kind.value == "origin"))
    case.terms = [term for term in terms if term.kind.value == "profession"]
    material = Material(title=f"Material hidden {WORD}", area_id=world.area("LON").id, published_at=now)
    made: list[Recording] = []
    for number, published in enumerate((now - timedelta(hours=1), now - timedelta(minutes=1), None)):
        recording = world.recording(case, title=f"{WORD} hidden {number}", area="LON", published_at=published)
        recording.terms = [term for term in terms if term.kind.value == "theme"]
        film.caption(session, storage, recording, [(0, 2000, "Doctor", f"{WORD} hidden speech")])
        world.grant(recording, area="LON")
        world.grant(recording, group_id=group.id)
        made.append(recording)
    # one more of a case that others see, so that what stands beside a recording is counted
    beside = session.get(Case, checker.setting.things["published"].case)
    made.append(world.recording(beside, title=f"{WORD} hidden beside", area="LON", published=True))
    material.items = [MaterialItem(position=0, kind=MaterialItemKind.CLIP, recording_id=made[0].id)]
    session.add(material)
    session.commit()
    ids = {
        Material: [material.id],
        Grant: list(session.scalars(select(Grant.id).where(Grant.recording_id.in_([r.id for r in made])))),
        Recording: [recording.id for recording in made],
        Case: [case.id],
        Group: [group.id],
        Person: [person.id],
        Organisation: [organisation.id],
    }
    try:
        yield
    finally:
        session.rollback()
        for table, rows in ids.items():
            session.execute(delete(table).where(table.id.in_(rows)))  # type: ignore[attr-defined]
        session.commit()
        session.expire_all()


def _addresses(checker: Checker) -> list[str]:
    """Every address that names nothing, those of the lists with what they ask for, and the pages of a recording."""
    found = {listing.path for listing in LISTINGS}
    for rule, method in routes(checker.app):
        if method == "GET" and not rule.arguments and not rule.rule.startswith(OF_ITS_OWN):
            found |= {rule.rule, f"{rule.rule}?q={WORD}", f"{rule.rule}?q=hidden", f"{rule.rule}?limit=2"}
    thing = checker.setting.things["published"]
    known = {"recording_id": thing.recording, "case_id": thing.case, "material_id": thing.material}
    for rule, method in routes(checker.app):
        if method == "GET" and rule.arguments and rule.arguments <= ABOUT & known.keys():
            built = rule.build(known, append_unknown=False)
            assert built is not None
            found.add(built[1])
    return sorted(found)


def _look(checker: Checker, actor: Actor, addresses: list[str]) -> dict[str, tuple[int, str]]:
    browser = checker.browser(actor, checker.setting.things["published"])
    seen = {}
    for address in addresses:
        answer = browser.get(address)
        text = answer.text if answer.mimetype.startswith(("text/", "application/")) else ""
        seen[address] = (answer.status_code, _OWN.sub("", text))
    return seen


def _first_difference(one: tuple[int, str], other: tuple[int, str]) -> str:
    """Where two answers part."""
    if one[0] != other[0]:
        return f"{one[0]} and {other[0]}"
    same = (at for at, (left, right) in enumerate(zip(one[1], other[1], strict=False)) if left != right)
    at = next(same, min(len(one[1]), len(other[1])))
    return " and ".join(repr(text[max(0, at - 60) : at + 60]) for _, text in (one, other))


def test_what_is_hidden_changes_no_answer(checker: Checker) -> None:
    addresses = _addresses(checker)
    asking = [actor for actor in BLIND if actor.name in NAMES]
    assert len(asking) == len(NAMES)
    checker_of_all = next(actor for actor in ACTORS if actor.name == "admin of everywhere")
    checker.open_browsers([*asking, checker_of_all], [checker.setting.things["published"]])
    before = {actor.name: _look(checker, actor, addresses) for actor in asking}
    again = _look(checker, asking[0], addresses)
    settled = {address for address in addresses if again[address] == before[asking[0].name][address]}
    assert len(addresses) - len(settled) <= 2, sorted(set(addresses) - settled)
    with more_in_london(checker):
        after = {actor.name: _look(checker, actor, addresses) for actor in asking}
        assert "hidden beside" in _look(checker, checker_of_all, ["/library"])["/library"][1]
    differing = [
        f"{name} {address}: {_first_difference(seen[address], after[name][address])}"
        for name, seen in before.items()
        for address in sorted(settled)
        if seen[address] != after[name][address]
    ]
    assert not differing, "\n".join(differing)
    assert sum(status == 200 for seen in before.values() for status, _ in seen.values()) > len(NAMES) * 15


def test_the_comparison_can_fail(checker: Checker) -> None:
    """Somebody who sees London sees the difference."""
    of_all = next(actor for actor in ACTORS if actor.name == "admin of everywhere")
    addresses = ["/library", f"/api/v1/search?q={WORD}&limit=100", "/cases/", "/people/"]
    before = _look(checker, of_all, addresses)
    with more_in_london(checker):
        after = _look(checker, of_all, addresses)
    assert [address for address in addresses if before[address] == after[address]] == []
