"""The Range header as we answer it: one range of bytes, by RFC 9110 section 14."""

from __future__ import annotations

import re

from app.errors import VignetteError

_ONE_RANGE = re.compile(
    r"\s*bytes\s*=\s*(?:(?P<first>[0-9]{1,19})-(?P<last>[0-9]{0,19})|-(?P<suffix>[0-9]{1,19}))\s*", re.I
)
_UNIT = re.compile(r"\s*bytes\s*=", re.I)


class Unsatisfiable(VignetteError):
    """None of the bytes that were asked for can be sent."""

    code = "range-not-satisfiable"


def parse(header: str | None, size: int) -> tuple[int, int] | None:
    """The first and last byte (inclusive) to send of an object of `size` bytes; None: send it whole.

    Several ranges in one request are refused: players ask for one, and sending the whole instead could be gigabytes.

    Raises:
        Unsatisfiable: not a range of bytes, more than one, or none of it lies within the object.
    """
    if header is None or _UNIT.match(header) is None:
        return None  # a unit that we do not know is to be ignored (section 14.2)
    found = _ONE_RANGE.fullmatch(header)
    if found is None:
        raise Unsatisfiable("Ask for one range of bytes.")
    if found["suffix"] is not None:
        first, last = max(0, size - int(found["suffix"])), size - 1
    else:
        first = int(found["first"])
        last = min(int(found["last"]), size - 1) if found["last"] else size - 1
        if found["last"] and int(found["last"]) < first:
            raise Unsatisfiable("The range ends before it begins.")
    if first > last:
        raise Unsatisfiable("The range lies behind the end.")
    return first, last
