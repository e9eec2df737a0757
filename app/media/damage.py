"""What of a damaged but playable file is missing, and how that is said. Pure.

A phone that ran out of battery, a call that lost packets, a disk with a bad sector: the file plays, with holes. Who
watches must be told, because in a role play a hole can change what was said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["end", "picture", "sound"]

#: A header that promises this much more than could be read (seconds, and part of the whole) was cut off.
MISSING_SECONDS, MISSING_PART = 2.0, 0.01

# Said by decoders and demuxers of damage only. Complaints about references that are missing after a seek are not among
# them: those come with every chunk that begins inside an open group of pictures.
_COMPLAINTS = re.compile(
    r"error while decoding|concealing \d+|invalid data found|invalid nal|corrupt (input|decoded)|packet corrupt"
    r"|error submitting packet|decode_slice_header error|channel element .* not allocated|prediction is not allowed"
    r"|reserved bit set|number of bands .* exceeds|invalid band type|partial file",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Damage:
    """A stretch of a recording (seconds) in which something is missing."""

    kind: Kind
    start: float
    end: float

    def to_json(self) -> dict[str, Any]:
        """A plain object that `from_json` reads again."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Damage:
        """The stretch that `to_json` wrote."""
        return cls(value["kind"], float(value["start"]), float(value["end"]))

    @property
    def sentence(self) -> str:
        """What a person reads."""
        stretch = f"{_clock(self.start)} to {_clock(self.end)}"
        if self.kind == "end":
            return (
                f"The file should last {_clock(self.end)}, but could be read until {_clock(self.start)} only. "
                "The rest is missing."
            )
        if self.kind == "picture":
            return f"The picture is damaged in places between {stretch}. What could be read is shown."
        return f"The sound is damaged in places between {stretch}. What could be read is heard."


def in_log(log: str) -> bool:
    """Whether a program that decoded met damage, by what it wrote to its log."""
    return _COMPLAINTS.search(log) is not None


def missing_end(read_seconds: float, promised_seconds: float) -> list[Damage]:
    """What is missing of a file that ends before its header says; headers are a little off in sound files too."""
    if promised_seconds - read_seconds <= max(MISSING_SECONDS, MISSING_PART * promised_seconds):
        return []
    return [Damage("end", read_seconds, promised_seconds)]


def merged(stretches: Iterable[Damage]) -> list[Damage]:
    """The stretches in order, those of a kind that touch each other as one."""
    found: list[Damage] = []
    for item in sorted(stretches, key=lambda item: (item.kind, item.start)):
        last = found[-1] if found else None
        if last is not None and last.kind == item.kind != "end" and item.start <= last.end + 0.05:
            found[-1] = Damage(last.kind, last.start, max(last.end, item.end))
        else:
            found.append(item)
    return sorted(found, key=lambda item: item.start)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
