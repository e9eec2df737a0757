"""What select boxes offer: the places that an admin administers, and the languages that captions can be made in."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.access import Actor
from app.access.places import areas_within, organisations_within
from app.captions.spoken import AUTO, NAMES, name
from app.db.people import Role
from app.db.places import Organisation
from app.domain.places import EVERYWHERE, Place

Choices = list[tuple[str, str]]
LANGUAGE_HINT = "Captions are made in this language."


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


def languages(setting: str) -> Choices:
    """The languages that captions can be made in; in front, what the instance's setting says."""
    return [("", language_name("", setting)), (AUTO, "Find it out from the sound"), *NAMES.items()]


def language_name(choice: str, setting: str) -> str:
    """What pages call the language that was chosen for a recording."""
    return name(choice) if choice else f"As usual here ({name(setting).lower() if setting == AUTO else name(setting)})"
