"""The policy: which rules allow which action. The only place where rules combine.

`where()` is the one predicate; `visible()` (lists, searches, counts), `require()` (one thing) and `explain()` (why) are
made of it, so they cannot disagree. What no rule allows is denied.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, case, false, or_, select, true
from sqlalchemy.orm import Session

from app.access import rules, sharing
from app.access.actions import Action
from app.access.actor import Actor
from app.access.places import MAY_APPOINT
from app.access.rules import Rule
from app.db.cases import Case
from app.db.grants import AccessRequest, Grant
from app.db.materials import Material
from app.db.people import Group, Person, Role
from app.db.places import Area, Organisation
from app.db.recordings import Recording
from app.errors import Forbidden, NotFound, NotSignedIn

Row = TypeVar("Row", Case, Recording, Material, Person, Area, Organisation, Group, Grant, AccessRequest)


@dataclass(frozen=True)
class Policy:
    """Any of `allow` opens; all of `need` must hold as well. `first` is the action without which the thing is unknown
    to the actor: failing it is "not found", failing only the action itself is "forbidden"."""

    table: type[Any]
    first: Action
    allow: tuple[Rule, ...]
    need: tuple[Rule, ...] = ()


def _view_recording(actor: Actor, now: datetime) -> ColumnElement[bool]:
    return where(actor, Action.RECORDING_VIEW, now)


CASE_WITH_RECORDING = Rule(
    "has-recording",
    "it is live and they may watch a recording of it",
    rules.all_of(rules.CASE_IS_LIVE.holds, rules.case_has_recording(_view_recording)),
)
KEEPS_GRANT = Rule(
    "keeps-grant",
    "they may publish its recording, or share its case",
    sharing.grant_on(
        lambda actor, now: where(actor, Action.RECORDING_PUBLISH, now),
        lambda actor, now: where(actor, Action.CASE_SHARE, now),
    ),
)
KEEPS_REQUEST = Rule(
    "keeps-recording",
    "they may publish its recording",
    sharing.request_for(lambda actor, now: where(actor, Action.RECORDING_PUBLISH, now)),
)
MAY_WATCH = Rule("may-watch", "they may watch it", _view_recording)
MATERIAL_WHOLLY_VISIBLE = Rule(
    "wholly-visible",
    "it is published and they may watch every clip in it",
    rules.material_wholly_visible(_view_recording),
)

POLICIES: dict[Action, Policy] = {
    Action.RECORDING_VIEW: Policy(
        Recording,
        Action.RECORDING_VIEW,
        allow=(rules.OWNS_RECORDING, rules.MAKES_HERE, rules.KEEPS_HERE, rules.IN_AUDIENCE),
        need=(rules.EMBED_CONTAINS_RECORDING,),
    ),
    Action.RECORDING_MANAGE: Policy(
        Recording,
        Action.RECORDING_VIEW,
        allow=(rules.OWNS_RECORDING, rules.MAKES_HERE, rules.KEEPS_HERE),
    ),
    Action.RECORDING_EDIT: Policy(
        Recording,
        Action.RECORDING_VIEW,
        allow=(rules.OWNS_RECORDING, rules.MAKES_HERE),
        need=(rules.NOT_WITHDRAWN,),
    ),
    Action.RECORDING_PUBLISH: Policy(
        Recording,
        Action.RECORDING_VIEW,
        allow=(rules.OWNS_RECORDING, rules.MAKES_HERE, rules.KEEPS_HERE),
    ),
    Action.RECORDING_DOWNLOAD: Policy(
        Recording,
        Action.RECORDING_VIEW,
        allow=(rules.OWNS_RECORDING, rules.MAKES_HERE, rules.DOWNLOAD_GRANTED),
        need=(MAY_WATCH, rules.NOT_WITHDRAWN),
    ),
    Action.RECORDING_EVALUATE: Policy(
        Recording,
        Action.RECORDING_VIEW,
        allow=(rules.OWNS_RECORDING, rules.MAKES_HERE, rules.KEEPS_HERE, rules.IN_AUDIENCE),
        need=(rules.NOT_WITHDRAWN,),
    ),
    Action.CAPTIONS_EDIT: Policy(
        Recording,
        Action.RECORDING_VIEW,
        allow=(rules.OWNS_RECORDING, rules.MAKES_HERE, rules.KEEPS_HERE),
        need=(rules.NOT_WITHDRAWN,),
    ),
    Action.CAPTIONS_REVIEW: Policy(
        Recording,
        Action.RECORDING_VIEW,
        allow=(rules.OWNS_RECORDING, rules.MAKES_HERE, rules.KEEPS_HERE),
        need=(rules.NOT_WITHDRAWN,),
    ),
    Action.CASE_VIEW: Policy(
        Case,
        Action.CASE_VIEW,
        allow=(rules.CASE_OF_PLACE, rules.CASE_AUTHOR, rules.CASE_OF_ALL, rules.CASE_GRANTED, CASE_WITH_RECORDING),
    ),
    Action.CASE_EDIT: Policy(Case, Action.CASE_VIEW, allow=(rules.CASE_EDITOR, rules.CASE_AUTHOR)),
    Action.CASE_RECORD: Policy(
        Case,
        Action.CASE_VIEW,
        allow=(rules.CASE_EDITOR, rules.CASE_AUTHOR, rules.CASE_OF_ALL),
        need=(rules.CASE_IS_LIVE,),
    ),
    Action.CASE_SHARE: Policy(Case, Action.CASE_VIEW, allow=(rules.CASE_EDITOR, rules.CASE_KEEPER)),
    Action.MATERIAL_VIEW: Policy(
        Material,
        Action.MATERIAL_VIEW,
        allow=(rules.OWNS_MATERIAL, rules.MATERIAL_MAKER, MATERIAL_WHOLLY_VISIBLE),
        need=(rules.EMBED_NAMES_MATERIAL,),
    ),
    Action.MATERIAL_EDIT: Policy(Material, Action.MATERIAL_VIEW, allow=(rules.OWNS_MATERIAL, rules.MATERIAL_MAKER)),
    Action.GRANT_KEEP: Policy(Grant, Action.GRANT_KEEP, allow=(KEEPS_GRANT,)),
    Action.GRANT_APPROVE: Policy(
        Grant,
        Action.GRANT_APPROVE,
        allow=(sharing.ADMINISTERS_AUDIENCE,),
        need=(sharing.WAITS, sharing.ASKED_BY_ANOTHER),
    ),
    Action.REQUEST_ANSWER: Policy(
        AccessRequest, Action.REQUEST_ANSWER, allow=(KEEPS_REQUEST,), need=(sharing.IS_OPEN,)
    ),
    Action.PERSON_ADMINISTER: Policy(Person, Action.PERSON_ADMINISTER, allow=(rules.ADMINISTERS_PERSON,)),
    Action.ORGANISATION_ADMINISTER: Policy(
        Organisation, Action.ORGANISATION_ADMINISTER, allow=(rules.ADMINISTERS_ORGANISATION,)
    ),
    Action.AREA_ADMINISTER: Policy(Area, Action.AREA_ADMINISTER, allow=(rules.ADMINISTERS_AREA,)),
    Action.GROUP_ADMINISTER: Policy(Group, Action.GROUP_MANAGE, allow=(rules.ADMINISTERS_GROUP,)),
    Action.GROUP_MANAGE: Policy(Group, Action.GROUP_MANAGE, allow=(rules.ADMINISTERS_GROUP, rules.MANAGES_GROUP)),
}

#: Actions that need no row: the roles of which the actor must hold one, somewhere. Empty: signed in is enough.
CAPABILITIES: dict[Action, tuple[Role, ...]] = {
    Action.CASE_CREATE: rules.MAKERS,
    Action.RECORDING_CREATE: rules.MAKERS,
    Action.MATERIAL_CREATE: rules.MAKERS,
    Action.PEOPLE_ADMINISTER: (Role.ADMIN,),
    Action.ROLES_CERTIFY: tuple(MAY_APPOINT),
    Action.WORK_VIEW: (Role.ADMIN,),
    Action.WORK_ADMINISTER: (Role.ADMIN,),
    Action.SHARING_VIEW: rules.KEEPERS,
    Action.AUDIT_VIEW: (Role.ADMIN, Role.CUSTODIAN),
    Action.OWN_ACCOUNT: (),
    Action.PROVE: (),
    Action.FACTORS: (),
    Action.SESSION: (),
}

#: Those of them for which the role must be held everywhere.
EVERYWHERE = frozenset({Action.WORK_VIEW, Action.WORK_ADMINISTER})


def _narrowed_out(actor: Actor, action: Action) -> bool:
    return not actor.active or (actor.actions is not None and action not in actor.actions)


def where(actor: Actor, action: Action, now: datetime) -> ColumnElement[bool]:
    """The predicate over `POLICIES[action].table` for the rows on which the actor may do the action at `now`."""
    policy = POLICIES[action]
    if _narrowed_out(actor, action):
        return false()
    if actor.is_system:
        return true()
    if actor.seen_by is not None:
        return and_(where(replace(actor, seen_by=None), action, now), where(actor.seen_by, action, now))
    return and_(
        or_(false(), *(rule.holds(actor, now) for rule in policy.allow)),
        *(rule.holds(actor, now) for rule in policy.need),
    )


def visible(actor: Actor, action: Action, now: datetime) -> Select[Any]:
    """A select of exactly the rows on which the actor may do the action: the start of every list, search and count."""
    return select(POLICIES[action].table).where(where(actor, action, now))


def allows(session: Session, actor: Actor, action: Action, row_id: uuid.UUID, now: datetime) -> bool:
    """Whether the actor may do the action to this row: one query."""
    table = POLICIES[action].table
    found = session.scalar(select(table.id).where(table.id == row_id, where(actor, action, now)))
    return found is not None


def can(actor: Actor, action: Action) -> bool:
    """Whether the actor may do an action that needs no row."""
    roles = CAPABILITIES[action]
    if _narrowed_out(actor, action):
        return False
    if actor.seen_by is not None and not can(actor.seen_by, action):
        return False
    cover = actor.over(*roles)
    return not roles or (cover.everywhere if action in EVERYWHERE else bool(cover))


def require(
    session: Session,
    actor: Actor,
    action: Action,
    kind: type[Row],
    row_id: uuid.UUID,
    now: datetime,
    *,
    lock: bool = False,
) -> Row:
    """The row, if the actor may do the action to it: one query when allowed.

    Args:
        kind: the table's class, which must be the one that the policy speaks of.
        lock: take the row's lock, for a change that must see the latest state.
    Raises:
        NotFound: there is no such row, or the actor may not know of it.
        Forbidden: the actor may see the row but not do this.
    """
    policy = POLICIES[action]
    if policy.table is not kind:
        raise TypeError(f"{action} is about {policy.table.__name__}, not {kind.__name__}")
    query = visible(actor, action, now).where(kind.id == row_id)
    if lock:
        query = query.with_for_update(of=kind)
    row: Row | None = session.scalar(query)
    if row is not None:
        return row
    if policy.first is not action and allows(session, actor, policy.first, row_id, now):
        raise Forbidden("You do not have permission to do this.")
    raise NotFound


def require_capability(actor: Actor, action: Action) -> None:
    """Stop unless the actor may do an action that needs no row.

    Raises:
        NotSignedIn: nobody is signed in.
        Forbidden: the actor lacks the role.
    """
    if can(actor, action):
        return
    if actor.is_anonymous:
        raise NotSignedIn
    raise Forbidden("You do not have permission to do this.")


@dataclass(frozen=True)
class Verdict:
    """One rule's answer. `role` is "allow" or "need"."""

    rule: str
    sentence: str
    role: str
    holds: bool


def explain(
    session: Session, actor: Actor, action: Action, row_id: uuid.UUID, now: datetime
) -> tuple[bool, list[Verdict]]:
    """Whether the actor may do the action to this row, and each rule's own answer, from the same predicates.

    Raises:
        NotFound: there is no such row.
    """
    found = explain_all(session, actor, action, [row_id], now)
    if row_id not in found:
        raise NotFound
    return found[row_id]


def explain_all(
    session: Session, actor: Actor, action: Action, row_ids: Collection[uuid.UUID], now: datetime
) -> dict[uuid.UUID, tuple[bool, list[Verdict]]]:
    """`explain` for many rows with one query. Rows that do not exist are left out."""
    policy = POLICIES[action]
    parts = [("allow", rule) for rule in policy.allow] + [("need", rule) for rule in policy.need]
    answers = session.execute(
        select(
            policy.table.id,
            case((where(actor, action, now), true()), else_=false()),
            *(case((rule.holds(actor, now), true()), else_=false()) for _, rule in parts),
        ).where(policy.table.id.in_(row_ids))
    )
    return {
        row_id: (
            bool(allowed),
            [
                Verdict(rule.name, rule.sentence, role, bool(answer))
                for (role, rule), answer in zip(parts, each, strict=True)
            ],
        )
        for row_id, allowed, *each in answers
    }
