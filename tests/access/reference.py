"""The access rules written a second time, in plain Python over plain data, for tests only.

It shares no code with `app.access`: it walks lists where the application asks the database, so that a fault in either
shows as a difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Facts:
    """A world as plain data: ids are strings or UUIDs, times are comparable, places are ("area"|"org"|None, id)."""

    now: Any
    parents: dict[Any, Any] = field(default_factory=dict)
    org_area: dict[Any, Any] = field(default_factory=dict)
    people: dict[Any, dict[str, Any]] = field(default_factory=dict)
    roles: list[dict[str, Any]] = field(default_factory=list)
    memberships: list[dict[str, Any]] = field(default_factory=list)
    cases: dict[Any, dict[str, Any]] = field(default_factory=dict)
    recordings: dict[Any, dict[str, Any]] = field(default_factory=dict)
    grants: list[dict[str, Any]] = field(default_factory=list)
    materials: dict[Any, dict[str, Any]] = field(default_factory=dict)
    groups: dict[Any, dict[str, Any]] = field(default_factory=dict)
    requests: dict[Any, dict[str, Any]] = field(default_factory=dict)


class Reference:
    """Answers "may this person do that?" for a world of facts."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    # -- places -------------------------------------------------------------------------------------------------------

    def chain(self, area: Any) -> list[Any]:
        """An area and the areas that it lies in, outwards."""
        found = []
        while area is not None:
            found.append(area)
            area = self.facts.parents[area]
        return found

    def held(self, person: Any) -> list[dict[str, Any]]:
        """The roles of a person that have not ended."""
        return [
            r
            for r in self.facts.roles
            if r["person"] == person and (r["ends_at"] is None or self.facts.now < r["ends_at"])
        ]

    def active(self, person: Any) -> bool:
        return not any(
            stopped is not None and stopped <= self.facts.now
            for stopped in (self.facts.people[person]["suspended_at"], self.facts.people[person]["left_at"])
        )

    def role_reaches(self, role: dict[str, Any], place: tuple[str | None, Any]) -> bool:
        """Whether a role held somewhere covers a place."""
        where, target = role["place"]
        if where is None:
            return True
        kind, thing = place
        if kind is None:
            return False
        if where == "org":
            return kind == "org" and thing == target
        inside = self.facts.org_area[thing] if kind == "org" else thing
        return target in self.chain(inside)

    def has_over(self, person: Any, names: set[str], place: tuple[str | None, Any]) -> bool:
        return any(r["role"] in names and self.role_reaches(r, place) for r in self.held(person))

    def has_anywhere(self, person: Any, names: set[str]) -> bool:
        return any(r["role"] in names for r in self.held(person))

    # -- audience -----------------------------------------------------------------------------------------------------

    def sits_in(self, person: Any) -> tuple[set[Any], set[Any]]:
        """Areas (with all wider ones) and organisations that a person sits in."""
        areas: set[Any] = set()
        organisations: set[Any] = set()
        home = self.facts.people[person]["organisation"]
        places = [("org", home)] if home is not None else []
        places += [r["place"] for r in self.held(person)]
        for kind, thing in places:
            if kind == "org":
                organisations.add(thing)
                areas.update(self.chain(self.facts.org_area[thing]))
            elif kind == "area":
                areas.update(self.chain(thing))
        return areas, organisations

    def grant_reaches(self, grant: dict[str, Any], person: Any) -> bool:
        now = self.facts.now
        if grant["starts_at"] > now or (grant["ends_at"] is not None and grant["ends_at"] <= now):
            return False
        if any(grant[name] is not None and grant[name] <= now for name in ("revoked_at", "refused_at")):
            return False
        if grant["needs_approval"] and (grant["approved_at"] is None or grant["approved_at"] > now):
            return False
        kind, target = grant["audience"]
        areas, organisations = self.sits_in(person)
        if kind == "area":
            return target in areas
        if kind == "org":
            return target in organisations
        if kind == "person":
            return bool(target == person)
        ended = self.facts.groups[target]["ends_at"]
        if ended is not None and ended <= now:
            return False
        return any(
            m["group"] == target and m["person"] == person and (m["ends_at"] is None or m["ends_at"] > now)
            for m in self.facts.memberships
        )

    def reached(self, person: Any, right: str, *things: tuple[str, Any]) -> bool:
        """Whether a grant of this right, on one of these ("recording"|"case", id), reaches a person."""
        return any(
            g["right"] == right and g["on"] in things and self.grant_reaches(g, person) for g in self.facts.grants
        )

    # -- things -------------------------------------------------------------------------------------------------------

    def _keeps(self, person: Any, thing: dict[str, Any], names: set[str]) -> bool:
        owns = thing.get("owner") == person and self.has_anywhere(person, {"facilitator", "admin"})
        return owns or self.has_over(person, names, thing["place"])

    def recording(self, person: Any, recording_id: Any, act: str) -> bool:
        if not self.active(person):
            return False
        recording = self.facts.recordings[recording_id]
        makes = self._keeps(person, recording, {"facilitator", "admin"})
        keeps = self._keeps(person, recording, {"facilitator", "admin", "custodian"})
        showable = (
            recording["published_at"] is not None
            and recording["published_at"] <= self.facts.now
            and recording["watchable"]
            and recording["state"] in ("processing", "ready")
            and self.facts.cases[recording["case"]]["status"] == "live"
        )
        things = (("recording", recording_id), ("case", recording["case"]))
        reached = showable and self.reached(person, "watch", *things)
        may_keep_a_copy = makes or self.reached(person, "download", *things)
        withdrawn = recording["state"] == "withdrawn"
        return {
            "view": keeps or reached,
            "manage": keeps,
            "publish": keeps,
            "edit": makes and not withdrawn,
            "captions": keeps and not withdrawn,
            "evaluate": (keeps or reached) and not withdrawn,
            "download": (keeps or reached) and may_keep_a_copy and not withdrawn,
        }[act]

    def case(self, person: Any, case_id: Any, act: str) -> bool:
        if not self.active(person):
            return False
        case = self.facts.cases[case_id]
        makers, keepers = {"facilitator", "admin"}, {"facilitator", "admin", "custodian"}
        wrote = case["created_by"] == person and self.has_anywhere(person, makers)
        shared = case["place"][0] is None and self.has_anywhere(person, keepers)
        edits = self.has_over(person, makers, case["place"]) or wrote
        if act == "edit":
            return edits
        if act == "share":
            return self.has_over(person, keepers, case["place"])
        if act == "record":
            return case["status"] == "live" and (edits or shared)
        watched = case["status"] == "live" and any(
            r["case"] == case_id and self.recording(person, rid, "view") for rid, r in self.facts.recordings.items()
        )
        given = case["status"] == "live" and self.reached(person, "watch", ("case", case_id))
        return edits or shared or self.has_over(person, keepers, case["place"]) or watched or given

    def material(self, person: Any, material_id: Any, act: str) -> bool:
        if not self.active(person):
            return False
        material = self.facts.materials[material_id]
        makes = self._keeps(person, material, {"facilitator", "admin"})
        if act == "edit":
            return makes
        published = material["published_at"] is not None and material["published_at"] <= self.facts.now
        parts = material["recordings"]
        return makes or (published and bool(parts) and all(self.recording(person, r, "view") for r in parts))

    def grant(self, person: Any, grant_id: Any, act: str) -> bool:
        if not self.active(person):
            return False
        grant = next(g for g in self.facts.grants if g["id"] == grant_id)
        if act == "keep":
            kind, thing = grant["on"]
            return (
                self.recording(person, thing, "publish") if kind == "recording" else self.case(person, thing, "share")
            )
        waits = grant["needs_approval"] and grant["approved_at"] is None and grant["refused_at"] is None
        over = grant["ends_at"] is not None and grant["ends_at"] <= self.facts.now
        if not waits or grant["revoked_at"] is not None or over or grant["created_by"] == person:
            return False
        kind, target = grant["audience"]
        return self.has_over(person, {"admin"}, (kind, target) if kind in ("area", "org") else (None, None))

    def request(self, person: Any, request_id: Any) -> bool:
        asked = self.facts.requests[request_id]
        return self.active(person) and asked["open"] and self.recording(person, asked["recording"], "publish")

    def administers_person(self, person: Any, other: Any) -> bool:
        if not self.active(person):
            return False
        admin_roles = [r for r in self.held(person) if r["role"] == "admin"]
        if any(r["place"][0] is None for r in admin_roles):
            return True
        home = self.facts.people[other]["organisation"]
        places = [r["place"] for r in self.held(other)] + ([("org", home)] if home is not None else [])
        return bool(places) and all(any(self.role_reaches(r, p) for r in admin_roles) for p in places)

    def administers_place(self, person: Any, place: tuple[str | None, Any]) -> bool:
        return self.active(person) and self.has_over(person, {"admin"}, place)

    def manages_group(self, person: Any, group: Any) -> bool:
        if not self.active(person):
            return False
        fact = self.facts.groups[group]
        return self.has_over(person, {"admin"}, fact["place"]) or person in fact["managers"]
