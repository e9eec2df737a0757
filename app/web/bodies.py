"""Reading the JSON body of an API request: every fault is found at once and named by its field."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from flask import request

from app.errors import Invalid


class Body:
    """The body of this request. Read the fields, then `check()`.

    Reading never raises; a field that is missing or of the wrong kind reads as empty and is remembered as a fault.

    Raises:
        Invalid: the body is not a JSON object.
    """

    def __init__(self) -> None:
        read = request.get_json(silent=True) if request.content_length or request.is_json else {}
        if not isinstance(read, dict):
            raise Invalid("The body must be a JSON object, sent as application/json.")
        self.values: dict[str, Any] = read
        self.faults: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def check(self) -> None:
        """Stop when anything that was read is at fault.

        Raises:
            Invalid: with a sentence for each field.
        """
        if self.faults:
            raise Invalid("; ".join(self.faults.values()), fields=self.faults)

    def text(self, name: str, *, required: bool = False, most: int = 10_000) -> str:
        """A string without outer spaces."""
        value = self.values.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if required:
                self.faults[name] = f"{name} is missing"
            return ""
        if not isinstance(value, str) or "\x00" in value:
            self.faults[name] = f"{name} must be text"
            return ""
        if len(value.strip()) > most:
            self.faults[name] = f"{name} must be {most} characters or fewer"
            return ""
        return value.strip()

    def texts(self, name: str, *, most: int = 200) -> list[str]:
        """A list of strings; missing is empty."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > most or not all(isinstance(item, str) for item in value):
            self.faults[name] = f"{name} must be a list of at most {most} texts"
            return []
        return [item.strip() for item in value if item.strip()]

    def integer(self, name: str, *, least: int, most: int, required: bool = True) -> int | None:
        """A whole number within the bounds, both inclusive."""
        value = self.values.get(name)
        if value is None and not required:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.faults[name] = f"{name} must be a whole number from {least} to {most}"
            return None
        return value

    def integers(self, name: str, *, least: int, most: int, many: int = 200) -> list[int]:
        """A list of whole numbers within the bounds; missing is empty."""
        value = self.values.get(name, [])
        fits = isinstance(value, list) and len(value) <= many
        if not fits or any(isinstance(n, bool) or not isinstance(n, int) or not least <= n <= most for n in value):
            self.faults[name] = f"{name} must be a list of at most {many} whole numbers from {least} to {most}"
            return []
        return list(value)

    def number(self, name: str) -> float | None:
        """A number from 0 on; it must be there, but may be null."""
        value = self.values.get(name)
        if name in self.values and value is None:
            return None
        # a whole number may be larger than any float
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
            self.faults[name] = f"{name} must be a number from 0 on, or null"
            return None
        return float(value)

    def id(self, name: str, *, required: bool = True) -> uuid.UUID | None:
        """A UUID."""
        value = self.values.get(name)
        if value is None and not required:
            return None
        try:
            return uuid.UUID(value if isinstance(value, str) else "")
        except ValueError:
            self.faults[name] = f"{name} must be an id"
            return None

    def day(self, name: str) -> date | None:
        """An ISO date, or None."""
        value = self.values.get(name)
        if value in (None, ""):
            return None
        try:
            return date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            self.faults[name] = f"{name} must be a date like 2027-01-31"
            return None

    def flag(self, name: str) -> bool:
        """True or false; missing is false."""
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            self.faults[name] = f"{name} must be true or false"
            return False
        return value
