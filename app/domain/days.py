"""Days as people mean them: in the United Kingdom, from midnight to midnight there."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app import clock

UK = ZoneInfo("Europe/London")


def today() -> date:
    """The present day."""
    return clock.now().astimezone(UK).date()


def start_of(day: date) -> datetime:
    """The first moment of a day, in UTC."""
    return datetime.combine(day, time.min, UK).astimezone(UTC)


def end_of(day: date) -> datetime:
    """The first moment after a day, in UTC: what is in force until a day is in force for the whole of it."""
    return start_of(day + timedelta(days=1))


def last_day_before(moment: datetime) -> date:
    """The last day that `end_of` turns into this moment; the day in which the moment lies for any other."""
    return (moment.astimezone(UK) - timedelta(microseconds=1)).date()
