"""Places: areas (country > region > locality) and the organisations that sit in them."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, case
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, WithTimes, choice


class AreaKind(enum.StrEnum):
    """How wide an area is."""

    COUNTRY = "country"
    REGION = "region"
    LOCALITY = "locality"


class Area(WithId, Base):
    """A country, region or locality. `code` is what the command line and the API call it."""

    __tablename__ = "areas"
    __table_args__ = (CheckConstraint("(kind = 'country') = (parent_id IS NULL)", name="country_is_root"),)

    code: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[AreaKind] = mapped_column(choice(AreaKind, "kind"))
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("areas.id"), index=True)
    body: Mapped[str] = mapped_column(String(200), default="", server_default="")

    parent: Mapped[Area | None] = relationship(remote_side="Area.id")


#: Sorts areas from wide to narrow, which the words of the kinds do not.
WIDTH = case({kind: width for width, kind in enumerate(AreaKind)}, value=Area.kind)


class Organisation(WithId, WithTimes, Base):
    """A trust, university, office: it sits in one area."""

    __tablename__ = "organisations"

    name: Mapped[str] = mapped_column(String(200), unique=True)
    area_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("areas.id"), index=True)
    #: nobody new comes to it from then on
    closed_at: Mapped[datetime | None]

    area: Mapped[Area] = relationship()
