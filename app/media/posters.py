"""Which frame stands for a recording: sharp, neither black nor burnt out, with something to see. Pure: keyframes are
measured by ffmpeg's `signalstats` and `blurdetect`, and judged here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

CANDIDATES = 6
#: So many keyframes are looked at; of a long recording every second, third ... one.
MOST_MEASURED = 120
#: The first and last part of a recording, where titles fade and people come and go.
EDGE = 0.03

_KEYS = {"lavfi.signalstats.YAVG": "mean", "lavfi.signalstats.YLOW": "low", "lavfi.signalstats.YHIGH": "high", "lavfi.blur": "blur"}  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """A measured keyframe. Luma from 0 to 255: mean, and what a tenth lies under and over; `blur` is the width of edges
    in pixels, so low is sharp."""

    second: float
    mean: float
    low: float
    high: float
    blur: float

    @property
    def black(self) -> bool:
        """Whether there is next to no light in it."""
        return self.high < 48

    def score(self, sharpest: float) -> float:
        """How well it stands for the recording, 0 to 1, given the lowest blur of all."""
        if self.black:
            return 0.0
        contrast = min(1.0, max(0.0, self.high - self.low) / 100)
        exposure = max(0.05, 1 - (abs(self.mean - 118) / 118) ** 2)
        sharpness = sharpest / self.blur if self.blur > 0 else 0.05
        return math.sqrt(contrast) * exposure * sharpness


@dataclass
class Measurements:
    """Reads the filters' lines as they come. What cannot be read is left out: the frame then counts as blurred."""

    frames: list[Frame] = field(default_factory=list)
    _second: float | None = None
    _found: dict[str, float] = field(default_factory=dict)

    def feed(self, line: str) -> None:
        """Take one line."""
        if line.startswith("frame:"):
            self.close()
            self._second = _number(line.rpartition("pts_time:")[2])
            return
        key, _, value = line.partition("=")
        if key in _KEYS and (number := _number(value)) is not None:
            self._found[_KEYS[key]] = number

    def close(self) -> None:
        """The frame that was being read is complete."""
        if self._second is not None and {"mean", "low", "high"} <= self._found.keys():
            self.frames.append(Frame(second=self._second, **{"blur": 0.0, **self._found}))
        self._second, self._found = None, {}


def every(duration_seconds: float) -> float:
    """How far measured keyframes lie apart at least, in seconds."""
    return duration_seconds / MOST_MEASURED


def choose(frames: Sequence[Frame], duration_seconds: float) -> tuple[float, list[float]]:
    """The second of the best frame, and those of the best ones of equal parts of the recording, in order.

    Without a single measured frame it is the start.
    """
    inner = [f for f in frames if EDGE * duration_seconds <= f.second <= (1 - EDGE) * duration_seconds]
    usable = inner if any(not frame.black for frame in inner) else list(frames)
    if not usable:
        return 0.0, [0.0]
    sharpest = min((frame.blur for frame in usable if frame.blur > 0 and not frame.black), default=1.0)
    best: dict[int, Frame] = {}
    for frame in usable:
        part = min(CANDIDATES - 1, int(frame.second / max(duration_seconds, 1e-6) * CANDIDATES))
        if part not in best or frame.score(sharpest) > best[part].score(sharpest):
            best[part] = frame
    chosen = [best[part] for part in sorted(best)]
    lit = [frame for frame in chosen if not frame.black] or chosen
    poster = max(lit, key=lambda frame: frame.score(sharpest))
    return poster.second, [frame.second for frame in lit]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
