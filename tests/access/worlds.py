"""Random worlds: rows in the database and the same facts as plain data."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app import clock
from app.db.cases import Case
from app.db.grants import Grant
from app.db.materials import Material, MaterialItem
from app.db.people import Group, GroupMembership, Person, RoleAssignment
from app.db.places import Area, Organisation
from app.db.recordings import Recording
from tests.access.reference import Facts


def random_world(session: Session, seed: int, *, people: int = 7, recordings: int = 9) -> Facts:
    """Fill the session's transaction with a random world over the seeded areas."""
    rnd = random.Random(seed)
    now = clock.now()
    facts = Facts(now=now)
    facts.parents = {row.id: row.parent_id for row in session.execute(select(Area.id, Area.parent_id))}
    areas = rnd.sample(sorted(facts.parents, key=str), 8)
    areas = sorted({outer for area in areas for outer in _chain(facts, area)}, key=str)

    def new() -> uuid.UUID:
        return uuid.UUID(int=rnd.getrandbits(128), version=4)

    def moment(none: float = 0.4) -> Any:
        return None if rnd.random() < none else now + timedelta(minutes=rnd.choice([-500, -1, 0, 1, 500]))

    organisations = [{"id": new(), "name": f"Org {new()}", "area_id": rnd.choice(areas)} for _ in range(4)]
    facts.org_area = {o["id"]: o["area_id"] for o in organisations}

    def place(everywhere: float) -> tuple[str | None, Any]:
        if rnd.random() < everywhere:
            return (None, None)
        return ("org", rnd.choice(organisations)["id"]) if rnd.random() < 0.4 else ("area", rnd.choice(areas))

    def columns(where: tuple[str | None, Any]) -> dict[str, Any]:
        return {
            "area_id": where[1] if where[0] == "area" else None,
            "organisation_id": where[1] if where[0] == "org" else None,
        }

    ids = [new() for _ in range(people)]
    rows: dict[Any, list[dict[str, Any]]] = {Organisation: organisations}
    rows[Person] = []
    for person in ids:
        home = rnd.choice(organisations)["id"] if rnd.random() < 0.5 else None
        suspended = moment(0.8)
        facts.people[person] = {"organisation": home, "suspended_at": suspended}
        rows[Person].append(
            {"id": person, "email": f"{person}@example.org", "organisation_id": home, "suspended_at": suspended}
        )
    rows[RoleAssignment] = []
    for person in ids:
        for _ in range(rnd.choice([0, 1, 1, 1, 2, 3])):
            where, ends = place(0.08), moment(0.7)
            role = rnd.choice(["viewer", "viewer", "viewer", "facilitator", "admin", "custodian"])
            facts.roles.append({"person": person, "role": role, "place": where, "ends_at": ends})
            rows[RoleAssignment].append(
                {"id": new(), "person_id": person, "role": role, "ends_at": ends, **columns(where)}
            )
    rows[Group] = []
    for _ in range(2):
        group, where = new(), place(0.1)
        facts.groups[group] = {"place": where}
        rows[Group].append({"id": group, "name": "Group", **columns(where)})
    rows[GroupMembership] = []
    for group in facts.groups:
        for person in rnd.sample(ids, rnd.randrange(4)):
            ends = moment(0.6)
            facts.memberships.append({"group": group, "person": person, "ends_at": ends})
            rows[GroupMembership].append({"group_id": group, "person_id": person, "ends_at": ends})
    rows[Case] = []
    for _ in range(5):
        case, where, author = new(), place(0.2), rnd.choice([*ids, None])
        status = rnd.choice(["live", "live", "live", "retired"])
        facts.cases[case] = {"place": where, "created_by": author, "status": status}
        rows[Case].append({"id": case, "title": "Case", "status": status, "created_by_id": author, **columns(where)})
    rows[Recording] = []
    for _ in range(recordings):
        recording, where, owner = new(), place(0.1), rnd.choice([*ids, None])
        fact = {
            "place": where,
            "owner": owner,
            "case": rnd.choice(sorted(facts.cases, key=str)),
            "state": rnd.choice(
                ["ready", "ready", "ready", "processing", "failed", "withdrawn", "uploading", "rejected"]
            ),
            "published_at": rnd.choice([None, now - timedelta(days=1), now, now + timedelta(minutes=1)]),
            "watchable": rnd.random() < 0.85,
        }
        facts.recordings[recording] = fact
        rows[Recording].append(
            {
                "id": recording,
                "title": "Recording",
                "case_id": fact["case"],
                "state": fact["state"],
                "published_at": fact["published_at"],
                "watchable_at": now if fact["watchable"] else None,
                "owner_id": owner,
                **columns(where),
            }
        )
    rows[Grant] = []
    for _ in range(recordings * 2):
        kind = rnd.choice(["area", "area", "org", "group", "person"])
        target = {
            "area": lambda: rnd.choice(areas),
            "org": lambda: rnd.choice(organisations)["id"],
            "group": lambda: rnd.choice(sorted(facts.groups, key=str)),
            "person": lambda: rnd.choice(ids),
        }[kind]()
        starts = now + timedelta(minutes=rnd.choice([-600, -600, -600, 0, 1]))
        ends = moment(0.6)
        ends = None if ends is not None and ends <= starts else ends
        grant = {
            "recording": rnd.choice(sorted(facts.recordings, key=str)),
            "audience": (kind, target),
            "starts_at": starts,
            "ends_at": ends,
            "revoked_at": moment(0.8),
        }
        facts.grants.append(grant)
        rows[Grant].append(
            {
                "id": new(),
                "recording_id": grant["recording"],
                "starts_at": starts,
                "ends_at": ends,
                "revoked_at": grant["revoked_at"],
                "area_id": target if kind == "area" else None,
                "organisation_id": target if kind == "org" else None,
                "group_id": target if kind == "group" else None,
                "person_id": target if kind == "person" else None,
            }
        )
    rows[Material], rows[MaterialItem] = [], []
    for _ in range(4):
        material, where, owner = new(), place(0.1), rnd.choice([*ids, None])
        parts = rnd.sample(sorted(facts.recordings, key=str), rnd.choice([0, 1, 1, 2]))
        published = rnd.choice([None, now - timedelta(days=1), now + timedelta(minutes=1)])
        facts.materials[material] = {"place": where, "owner": owner, "published_at": published, "recordings": parts}
        rows[Material].append(
            {"id": material, "title": "Material", "owner_id": owner, "published_at": published, **columns(where)}
        )
        rows[MaterialItem].append(
            {"id": new(), "material_id": material, "position": 0, "kind": "note", "recording_id": None, "text": "x"}
        )
        rows[MaterialItem] += [
            {"id": new(), "material_id": material, "position": i + 1, "kind": "clip", "recording_id": r, "text": ""}
            for i, r in enumerate(parts)
        ]
    for table, values in rows.items():
        if values:
            session.execute(insert(table), values)
    session.flush()
    return facts


def _chain(facts: Facts, area: Any) -> list[Any]:
    found = []
    while area is not None:
        found.append(area)
        area = facts.parents[area]
    return found
