"""What the select boxes of admins' forms offer: the places that they administer."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.access import Actor
from app.access.places import areas_within, organisations_within
from app.db.people import Role
from app.db.places import Organisation
from app.domain.places import EVERYWHERE, Place

Choices = list[tuple[str, str]]


def open_organisations(session: Session, who: Actor) -> list[Organisation]:
    """The organisations that the actor administers and to which people can still come, by name."""
    return [o for o in organisations_within(session, who.over(Role.ADMIN)) if o.closed_at is None]


def places(session: Session, who: Actor) -> Choices:
    """Everywhere, areas and open organisations, as far as the actor administers them."""
    cover = who.over(Role.ADMIN)
    found = [(EVERYWHERE, "Everywhere")] if cover.everywhere else []
    found += [(Place(area_id=a.id).code, f"{a.name} ({a.kind.value})") for a in areas_within(session, cover)]
    return found + [
        (Place(organisation_id=o.id).code, f"{o.name} (organisation)") for o in open_organisations(session, who)
    ]
