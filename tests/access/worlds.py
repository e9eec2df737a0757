"""Random worlds: the same things as plain data for the reference and as rows for the database.

`draw` makes one without touching a database; `store` writes the rows of many at once, so that thousands of small worlds
cost a few statements. Worlds share the seeded areas and nothing else.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app import clock
from app.db.cases import Case
from app.db.grants import AccessRequest, Grant
from app.db.materials import Material, MaterialItem
from app.db.people import Group, GroupManager, GroupMembership, Person, RoleAssignment
from app.db.places import Area, Organisation
from app.db.recordings import Recording
from tests.access.reference import Facts

Rows = dict[type[Any], list[dict[str, Any]]]
#: The order in which rows can be written.
TABLES = (
    Organisation, Person, RoleAssignment, Group, GroupMembership, GroupManager, Case, Recording, Grant, AccessRequest, Material,
    MaterialItem,
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How many of each; `areas` are drawn besides those that they lie in."""

    areas: int = 8
    organisations: int = 4
    people: int = 7
    groups: int = 2
    cases: int = 5
    recordings: int = 9
    grants: int = 22
    requests: int = 4
    materials: int = 4


WHOLE = Size()
#: One asker, somebody else, and just enough around them for every rule to meet every other.
SMALL = Size(areas=2, organisations=2, people=2, groups=1, cases=1, recordings=2, grants=3, requests=1, materials=1)


def parents_of(session: Session) -> dict[uuid.UUID, uuid.UUID | None]:
    """The seeded areas by code, each with the one that it lies in: their ids differ in every database, their order not."""
    return {row.id: row.parent_id for row in session.execute(select(Area.id, Area.parent_id).order_by(Area.code))}


def random_world(session: Session, seed: int) -> Facts:
    """Fill the session's transaction with one random world."""
    facts, rows = draw(seed, parents_of(session), clock.now())
    store(session, [rows])
    return facts


def store(session: Session, worlds: Iterable[Rows]) -> None:
    """Write the rows of all these worlds: one statement a table."""
    together: Rows = {table: [] for table in TABLES}
    for rows in worlds:
        for table, values in rows.items():
            together[table] += values
    for table in TABLES:
        if together[table]:
            session.execute(insert(table), together[table])
    session.flush()


def draw(seed: int, parents: dict[Any, Any], now: datetime, size: Size = WHOLE) -> tuple[Facts, Rows]:
    """One random world over these areas; the same seed and order of areas give the same world."""
    return _Draw(seed, parents, now, size).world()


class _Draw:
    def __init__(self, seed: int, parents: dict[Any, Any], now: datetime, size: Size) -> None:
        self.rnd, self.now, self.size = random.Random(seed), now, size
        self.facts = Facts(now=now, parents=parents)
        self.rows: Rows = {table: [] for table in TABLES}
        chosen = self.rnd.sample(list(parents), size.areas)
        within = {outer for area in chosen for outer in _chain(parents, area)}
        self.areas = [area for area in parents if area in within]

    def world(self) -> tuple[Facts, Rows]:
        """Draw all of it, in the order in which things rest on one another."""
        for _ in range(self.size.organisations):
            row = {"id": self.new(), "name": f"Org {self.new()}", "area_id": self.rnd.choice(self.areas)}
            self.rows[Organisation].append(row)
            self.facts.org_area[row["id"]] = row["area_id"]
        self.organisations = list(self.facts.org_area)
        self.people()
        self.groups()
        self.cases()
        self.recordings()
        for _ in range(self.size.grants):
            self.grant()
        for _ in range(self.size.requests):
            self.request()
        for _ in range(self.size.materials):
            self.material()
        return self.facts, self.rows

    def new(self) -> uuid.UUID:
        return uuid.UUID(int=self.rnd.getrandbits(128), version=4)

    def moment(self, none: float) -> Any:
        """A moment before, at or after now; or, with that likelihood, none."""
        if self.rnd.random() < none:
            return None
        return self.now + timedelta(minutes=self.rnd.choice([-500, -1, 0, 1, 500]))

    def place(self, everywhere: float) -> tuple[str | None, Any]:
        if self.rnd.random() < everywhere:
            return (None, None)
        if self.rnd.random() < 0.4:
            return ("org", self.rnd.choice(self.organisations))
        return ("area", self.rnd.choice(self.areas))

    def people(self) -> None:
        for _ in range(self.size.people):
            person = self.new()
            fact = {
                "organisation": self.rnd.choice(self.organisations) if self.rnd.random() < 0.5 else None,
                "suspended_at": self.moment(0.9),
                "left_at": self.moment(0.9),
            }
            self.facts.people[person] = fact
            self.rows[Person].append(
                {
                    "id": person,
                    "email": f"{person}@example.org",
                    "organisation_id": fact["organisation"],
                    "suspended_at": fact["suspended_at"],
                    "left_at": fact["left_at"],
                }
            )
        self.ids = list(self.facts.people)
        for person in self.ids:
            for _ in range(self.rnd.choice([0, 1, 1, 1, 2, 3])):
                where, ends = self.place(0.08), self.moment(0.7)
                role = self.rnd.choice(["viewer", "viewer", "viewer", "facilitator", "admin", "custodian"])
                self.facts.roles.append({"person": person, "role": role, "place": where, "ends_at": ends})
                self.rows[RoleAssignment].append(
                    {"id": self.new(), "person_id": person, "role": role, "ends_at": ends, **columns(where)}
                )

    def groups(self) -> None:
        for _ in range(self.size.groups):
            group, where, ends = self.new(), self.place(0.1), self.moment(0.7)
            managers = set(self.rnd.sample(self.ids, self.rnd.randrange(2)))
            self.facts.groups[group] = {"place": where, "ends_at": ends, "managers": managers}
            self.rows[Group].append({"id": group, "name": "Group", "ends_at": ends, **columns(where)})
            self.rows[GroupManager] += [{"group_id": group, "person_id": person} for person in managers]
            for person in self.rnd.sample(self.ids, self.rnd.randrange(min(4, len(self.ids) + 1))):
                until = self.moment(0.7)
                self.facts.memberships.append({"group": group, "person": person, "ends_at": until})
                self.rows[GroupMembership].append({"group_id": group, "person_id": person, "ends_at": until})

    def cases(self) -> None:
        for _ in range(self.size.cases):
            case, where, author = self.new(), self.place(0.2), self.rnd.choice([*self.ids, None])
            status = self.rnd.choice(["live", "live", "live", "live", "retired"])
            self.facts.cases[case] = {"place": where, "created_by": author, "status": status}
            self.rows[Case].append(
                {"id": case, "title": "Case", "status": status, "created_by_id": author, **columns(where)}
            )

    def recordings(self) -> None:
        states = ["ready"] * 5 + ["processing", "processing", "failed", "withdrawn", "uploading", "rejected"]
        moments = [None, self.now - timedelta(days=1), self.now - timedelta(days=1), self.now]
        for _ in range(self.size.recordings):
            recording, where, owner = self.new(), self.place(0.1), self.rnd.choice([*self.ids, None])
            fact = {
                "place": where,
                "owner": owner,
                "case": self.rnd.choice(list(self.facts.cases)),
                "state": self.rnd.choice(states),
                "published_at": self.rnd.choice([*moments, self.now + timedelta(minutes=1)]),
                "watchable": self.rnd.random() < 0.85,
            }
            self.facts.recordings[recording] = fact
            self.rows[Recording].append(
                {
                    "id": recording,
                    "title": "Recording",
                    "case_id": fact["case"],
                    "state": fact["state"],
                    "published_at": fact["published_at"],
                    "watchable_at": self.now if fact["watchable"] else None,
                    "owner_id": owner,
                    **columns(where),
                }
            )

    def grant(self) -> None:
        rnd = self.rnd
        kind = rnd.choice(["area", "area", "org", "group", "person"])
        targets = {"area": self.areas, "org": self.organisations, "group": list(self.facts.groups), "person": self.ids}
        target = rnd.choice(targets[kind])
        by_case = rnd.random() < 0.35
        right = rnd.choice(["watch", "watch", "watch", "download"])
        starts = self.now + timedelta(minutes=rnd.choice([-600, -600, -600, 0, 1]))
        ends = self.moment(0.6)
        if ends is None and right == "download":  # a download always ends
            ends = self.now + timedelta(days=1)
        if ends is not None and ends <= starts:
            ends = starts + timedelta(days=1)
        needs = rnd.random() < 0.4
        fact = {
            "id": self.new(),
            "created_by": rnd.choice([*self.ids, None, None]),
            "on": ("case", rnd.choice(list(self.facts.cases)))
            if by_case
            else ("recording", rnd.choice(list(self.facts.recordings))),
            "right": right,
            "audience": (kind, target),
            "starts_at": starts,
            "ends_at": ends,
            "revoked_at": self.moment(0.85),
            "needs_approval": needs,
            # what needs none may have been approved all the same, and what was refused approved before
            "approved_at": self.moment(0.5 if needs else 0.9),
            "refused_at": self.moment(0.85),
        }
        self.facts.grants.append(fact)
        kept = ("right", "starts_at", "ends_at", "revoked_at", "needs_approval", "approved_at", "refused_at")
        self.rows[Grant].append(
            {
                "id": fact["id"],
                "created_by_id": fact["created_by"],
                "recording_id": None if by_case else fact["on"][1],
                "case_id": fact["on"][1] if by_case else None,
                "reason": "because",
                "area_id": target if kind == "area" else None,
                "organisation_id": target if kind == "org" else None,
                "group_id": target if kind == "group" else None,
                "person_id": target if kind == "person" else None,
                **{name: fact[name] for name in kept},
            }
        )

    def request(self) -> None:
        request, recording = self.new(), self.rnd.choice(list(self.facts.recordings))
        outcome = self.rnd.choice([None, None, "granted", "refused"])
        self.facts.requests[request] = {"recording": recording, "open": outcome is None}
        asker = self.new()  # somebody of whom nothing else is known, so that nobody asks twice
        self.rows[Person].append(
            {
                "id": asker,
                "email": f"{asker}@example.org",
                "organisation_id": None,
                "suspended_at": None,
                "left_at": None,
            }
        )
        self.rows[AccessRequest].append(
            {
                "id": request,
                "recording_id": recording,
                "person_id": asker,
                "outcome": outcome,
                "decided_at": None if outcome is None else self.now,
            }
        )

    def material(self) -> None:
        material, where, owner = self.new(), self.place(0.1), self.rnd.choice([*self.ids, None])
        parts = self.rnd.sample(list(self.facts.recordings), self.rnd.choice([0, 1, 1, 2]))
        published = self.rnd.choice([None, self.now - timedelta(days=1), self.now + timedelta(minutes=1)])
        self.facts.materials[material] = {
            "place": where, "owner": owner, "published_at": published, "recordings": parts,
        }  # fmt: skip
        self.rows[Material].append(
            {"id": material, "title": "Material", "owner_id": owner, "published_at": published, **columns(where)}
        )
        items: list[tuple[str, Any, str]] = [("note", None, "x"), *(("clip", part, "") for part in parts)]
        self.rows[MaterialItem] += [
            {
                "id": self.new(),
                "material_id": material,
                "position": position,
                "kind": kind,
                "recording_id": part,
                "text": words,
            }
            for position, (kind, part, words) in enumerate(items)
        ]


def columns(where: tuple[str | None, Any]) -> dict[str, Any]:
    """A place as the two columns of a row."""
    return {
        "area_id": where[1] if where[0] == "area" else None,
        "organisation_id": where[1] if where[0] == "org" else None,
    }


def _chain(parents: dict[Any, Any], area: Any) -> list[Any]:
    found = []
    while area is not None:
        found.append(area)
        area = parents[area]
    return found
