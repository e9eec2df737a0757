"""How moments, lengths and sizes are written for people; used as Jinja filters and by the JSON's sentences."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.domain import days

UK = ZoneInfo("Europe/London")
MONTHS = (  # written out, because strftime's depend on the machine's locale
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def human_date(value: date | datetime) -> str:
    """`23 November 2026`; aware datetimes are first moved to UK time."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UK)
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def last_day(moment: datetime) -> str:
    """The last day of what is in force until a moment: midnight on 1 April is `31 March 2027`."""
    return human_date(days.last_day_before(moment))


def human_datetime(value: datetime) -> str:
    """`23 November 2026, 2:05pm`, UK time; midday and midnight in words, as the NHS service manual asks."""
    local = value.astimezone(UK)
    if local.minute == 0 and local.hour in (0, 12):
        return f"{human_date(local)}, {'midday' if local.hour else 'midnight'}"
    minutes = f":{local.minute:02d}" if local.minute else ""
    return f"{human_date(local)}, {local.hour % 12 or 12}{minutes}{'am' if local.hour < 12 else 'pm'}"


def clock(seconds: float) -> str:
    """`12:31` or `1:02:03`, rounded down to the second."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


def duration(seconds: float) -> str:
    """`45 minutes`, `3 minutes 5 seconds`, `1 hour 2 minutes`: words for a length; seconds only below ten minutes."""
    whole = max(0, round(seconds))
    if whole >= 600:
        whole = round(whole / 60) * 60
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    parts = [_plural(n, unit) for n, unit in ((hours, "hour"), (minutes, "minute"), (secs, "second")) if n]
    return " ".join(parts) or "0 seconds"


def filesize(count: int) -> str:
    """`1.4 GB`, `312 MB`: powers of 1000, as file managers and browsers show them."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    if unit == "bytes":
        return _plural(count, "byte")
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"


def _plural(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


FILTERS: dict[str, Callable[..., Any]] = {
    "human_date": human_date,
    "last_day": last_day,
    "human_datetime": human_datetime,
    "clock": clock,
    "duration": duration,
    "filesize": filesize,
}
