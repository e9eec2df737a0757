"""Tables, one module a noun. Importing this package makes all of them known to the metadata."""

from app.db import (
    audit,
    captions,
    cases,
    descriptions,
    evaluations,
    fixity,
    grants,
    mails,
    materials,
    people,
    places,
    recordings,
    runs,
    sign_in,
    viewings,
    vocabulary,
    workers,
)
from app.db.base import Base, db

__all__ = [
    "Base",
    "audit",
    "captions",
    "cases",
    "db",
    "descriptions",
    "evaluations",
    "fixity",
    "grants",
    "mails",
    "materials",
    "people",
    "places",
    "recordings",
    "runs",
    "sign_in",
    "viewings",
    "vocabulary",
    "workers",
]
