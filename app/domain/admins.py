"""The admins of everywhere: somebody must be one, whatever is done to roles and accounts, and by how many at once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app import clock
from app.db.people import Person, Role, RoleAssignment
from app.errors import Conflict

#: One change at a time to who is an admin of everywhere, in the whole database.
LOCK = 713_707
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
LAST = "This is the last admin of everywhere. Make somebody else an admin first."


def is_of_everywhere(held: RoleAssignment) -> bool:
    """Whether this role makes an admin of everywhere."""
    return held.role is Role.ADMIN and held.area_id is None and held.organisation_id is None


def check_somebody_stays(session: Session, person_id: uuid.UUID, *, until: datetime | None = None) -> None:
    """Whether everywhere keeps an admin for as long as it would have had one without this change.

    Takes a lock to the end of the transaction and looks at the rows only then, so that of two admins who remove each
    other at once the second is refused.

    Args:
        person_id: who stops being an admin of everywhere, if they are one.
        until: when they stop; None: now.
    Raises:
        Conflict: nobody else would last as long.
    """
    session.flush()
    session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    now = clock.now()
    ends = session.execute(
        select(RoleAssignment.person_id, func.coalesce(RoleAssignment.ends_at, FOREVER))
        .join(Person, Person.id == RoleAssignment.person_id)
        .where(
            RoleAssignment.role == Role.ADMIN,
            RoleAssignment.area_id.is_(None),
            RoleAssignment.organisation_id.is_(None),
            or_(RoleAssignment.ends_at.is_(None), RoleAssignment.ends_at > now),
            Person.suspended_at.is_(None),
            Person.left_at.is_(None),
        )
    ).all()
    theirs = max((end for holder, end in ends if holder == person_id), default=now)
    others = max((end for holder, end in ends if holder != person_id), default=now)
    if max(others, until or now) < max(others, theirs):
        raise Conflict(LAST)
