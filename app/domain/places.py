"""Places: finding them by what people call them, and adding organisations."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.access import Actor
from app.access.places import covers
from app.access.rules import MAKERS
from app.db.people import Role
from app.db.places import WIDTH, Area, Organisation
from app.domain import audit
from app.errors import Forbidden, Invalid

EVERYWHERE = "all"


@dataclass(frozen=True)
class Place:
    """An area, an organisation, or, with neither, everywhere."""

    area_id: uuid.UUID | None = None
    organisation_id: uuid.UUID | None = None

    def columns(self) -> dict[str, uuid.UUID | None]:
        """As keyword arguments of rows that have a place."""
        return {"area_id": self.area_id, "organisation_id": self.organisation_id}

    @property
    def code(self) -> str:
        """The place as one word for forms: `area:ID`, `organisation:ID` or `all`."""
        if self.area_id is not None:
            return f"area:{self.area_id}"
        return f"organisation:{self.organisation_id}" if self.organisation_id is not None else EVERYWHERE


def place_from_code(code: str) -> Place:
    """The place of a form's word; see `Place.code`.

    Raises:
        Invalid: the word is not of that form.
    """
    kind, _, value = code.partition(":")
    try:
        if kind == "area":
            return Place(area_id=uuid.UUID(value))
        if kind == "organisation":
            return Place(organisation_id=uuid.UUID(value))
    except ValueError:
        kind = ""
    if code == EVERYWHERE:
        return Place()
    raise Invalid("Select a place from the list", fields={"place": "Select a place from the list"})


def find_area(session: Session, wanted: str) -> Area:
    """An area by code or name, in any case.

    Raises:
        Invalid: with the codes that there are.
    """
    text = wanted.strip().lower()
    is_code = func.lower(Area.code) == text
    # a code comes before a name that reads the same, and of two names the wider area
    query = select(Area).where(or_(is_code, func.lower(Area.name) == text))
    area = session.scalar(query.order_by(is_code.desc(), WIDTH, Area.code).limit(1))
    if area is None:
        codes = ", ".join(session.scalars(select(Area.code).where(Area.kind != "locality").order_by(Area.code)))
        raise Invalid(f"There is no area called {wanted!r}. Use a name or one of the codes {codes}.")
    return area


def find_place(session: Session, wanted: str) -> Place:
    """A place by an area's code or name, an organisation's name, or `all`.

    Raises:
        Invalid: nothing is called that.
    """
    if wanted.strip().lower() == EVERYWHERE:
        return Place()
    organisation = session.scalar(select(Organisation).where(func.lower(Organisation.name) == wanted.strip().lower()))
    if organisation is not None:
        return Place(organisation_id=organisation.id)
    return Place(area_id=find_area(session, wanted).id)


def home_of(session: Session, actor: Actor) -> Place:
    """Where things that the actor makes belong: the one place where they are a facilitator or admin. With several, an
    organisation comes before an area, and a wider area before a narrower; with none but everywhere, everywhere."""
    cover = actor.over(*MAKERS)
    if cover.organisation_ids:
        return Place(organisation_id=min(cover.organisation_ids))
    if cover.area_ids:
        widest = session.scalar(select(Area.id).where(Area.id.in_(cover.area_ids)).order_by(WIDTH, Area.name).limit(1))
        return Place(area_id=widest)
    return Place()


def check_may_place(session: Session, actor: Actor, place: Place) -> None:
    """Whether the actor may put their own things (a case, a recording, a material) in a place.

    Raises:
        Invalid: they are no facilitator or admin there.
    """
    if not covers(session, actor.over(*MAKERS), **place.columns()):
        sentence = "You can only choose a place where you are a facilitator or admin"
        raise Invalid(sentence, fields={"place": sentence})


def add_organisation(session: Session, actor: Actor, *, name: str, area_id: uuid.UUID) -> Organisation:
    """A new organisation in an area that the actor administers.

    Raises:
        Forbidden: they do not administer the area.
        Invalid: the name is empty or taken.
    """
    if not covers(session, actor.over(Role.ADMIN), area_id=area_id):
        raise Forbidden("You can only add organisations in areas that you administer.")
    name = name.strip()
    taken = session.scalar(select(Organisation.id).where(func.lower(Organisation.name) == name.lower()))
    if not name or taken is not None:
        sentence = "An organisation with this name already exists" if name else "Enter the organisation's name"
        raise Invalid(sentence, fields={"name": sentence})
    organisation = Organisation(name=name, area_id=area_id)
    session.add(organisation)
    session.flush()
    audit.record(session, actor, "organisation:create", "organisation", organisation.id, area=str(area_id))
    return organisation
