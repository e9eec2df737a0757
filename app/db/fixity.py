"""What the scheduled reading of stored objects has found wrong and nobody has put right."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, String, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, choice
from app.db.recordings import Recording


class FindingKind(enum.StrEnum):
    """What is wrong with an object: it is not there, or its bytes are others than those that were stored."""

    MISSING = "missing"
    ALTERED = "altered"


class FixityFinding(WithId, Base):
    """One object that is wrong now; the row goes when the object is right again, or not named any more. `what` says in
    words what the object is."""

    __tablename__ = "fixity_findings"

    key: Mapped[str] = mapped_column(String(300), unique=True)
    kind: Mapped[FindingKind] = mapped_column(choice(FindingKind, "kind"))
    recording_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    what: Mapped[str] = mapped_column(String(100))
    found_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())

    recording: Mapped[Recording] = relationship()
