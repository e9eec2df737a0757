"""The time. Everything that asks for it asks here, so that tests freeze one thing."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)
