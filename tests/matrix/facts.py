"""What the database says, as plain data for the reference: read table by table, without the policy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.db.cases import Case
from app.db.grants import AccessRequest, Grant
from app.db.materials import Material
from app.db.people import Group, GroupMembership, Person, RoleAssignment
from app.db.places import Area, Organisation
from app.db.recordings import Recording
from tests.access.reference import Facts


def _place(row: Any) -> tuple[str | None, Any]:
    if row.area_id is not None:
        return ("area", row.area_id)
    return ("org", row.organisation_id) if row.organisation_id is not None else (None, None)


def _audience(grant: Grant) -> tuple[str, Any]:
    named = {
        "area": grant.area_id,
        "org": grant.organisation_id,
        "group": grant.group_id,
        "person": grant.person_id,
    }
    return next((kind, target) for kind, target in named.items() if target is not None)


def read(session: Session) -> Facts:
    """The world as it stands at this moment."""
    session.expire_all()
    facts = Facts(now=clock.now())
    for area in session.scalars(select(Area)):
        facts.parents[area.id] = area.parent_id
    for organisation in session.scalars(select(Organisation)):
        facts.org_area[organisation.id] = organisation.area_id
    for person in session.scalars(select(Person)):
        facts.people[person.id] = {
            "organisation": person.organisation_id,
            "suspended_at": person.suspended_at,
            "left_at": person.left_at,
        }
    for role in session.scalars(select(RoleAssignment)):
        facts.roles.append(
            {"person": role.person_id, "role": role.role.value, "place": _place(role), "ends_at": role.ends_at}
        )
    for group in session.scalars(select(Group)):
        facts.groups[group.id] = {"place": _place(group), "ends_at": group.ends_at}
    for member in session.scalars(select(GroupMembership)):
        facts.memberships.append({"group": member.group_id, "person": member.person_id, "ends_at": member.ends_at})
    for case in session.scalars(select(Case)):
        facts.cases[case.id] = {"place": _place(case), "created_by": case.created_by_id, "status": case.status.value}
    for recording in session.scalars(select(Recording)):
        facts.recordings[recording.id] = {
            "place": _place(recording),
            "owner": recording.owner_id,
            "case": recording.case_id,
            "state": recording.state.value,
            "published_at": recording.published_at,
            "watchable": recording.watchable_at is not None,
        }
    for grant in session.scalars(select(Grant)):
        facts.grants.append(
            {
                "id": grant.id,
                "created_by": grant.created_by_id,
                "on": ("case", grant.case_id) if grant.case_id is not None else ("recording", grant.recording_id),
                "right": grant.right.value,
                "audience": _audience(grant),
                "starts_at": grant.starts_at,
                "ends_at": grant.ends_at,
                "revoked_at": grant.revoked_at,
                "needs_approval": grant.needs_approval,
                "approved_at": grant.approved_at,
                "refused_at": grant.refused_at,
            }
        )
    for request in session.scalars(select(AccessRequest)):
        facts.requests[request.id] = {"recording": request.recording_id, "open": request.outcome is None}
    for material in session.scalars(select(Material)):
        facts.materials[material.id] = {
            "place": _place(material),
            "owner": material.owner_id,
            "published_at": material.published_at,
            "recordings": [item.recording_id for item in material.items if item.recording_id is not None],
        }
    session.commit()
    return facts
