"""The storyboard: one picture of many small ones, shown while somebody moves along the time line. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from app.media.ladder import Plan

MAX_TILES = 600
COLUMNS = 10
TILE_BOX = 160  # pixels; the longer edge of a tile


@dataclass(frozen=True)
class Storyboard:
    """Geometry of the sprite: tile n shows the recording at `n * interval` seconds; pixels and counts elsewhere.

    `interval` is a fraction, because at 29.97 frames per second the keyframes lie 2.002 s apart.
    """

    interval: str
    tiles: int
    columns: int
    rows: int
    tile_width: int
    tile_height: int
    duration_seconds: float

    @property
    def interval_seconds(self) -> Fraction:
        """Seconds from one tile to the next, exactly."""
        return Fraction(self.interval)

    def to_json(self) -> dict[str, Any]:
        """A plain object that `from_json` reads again; also what the player gets."""
        return asdict(self) | {"interval_seconds": float(self.interval_seconds)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Storyboard:
        """The storyboard that `to_json` wrote."""
        return cls(**{key: item for key, item in value.items() if key != "interval_seconds"})

    def tile(self, number: int) -> tuple[int, int, int, int]:
        """x, y, width, height of tile `number` in the sprite, in pixels."""
        row, column = divmod(number, self.columns)
        return column * self.tile_width, row * self.tile_height, self.tile_width, self.tile_height

    def webvtt(self, uri: Callable[[], str]) -> str:
        """The storyboard as WebVTT with media fragments (`#xywh=`), which most players understand."""
        lines = ["WEBVTT", ""]
        for number in range(self.tiles):
            start, end = float(number * self.interval_seconds), float((number + 1) * self.interval_seconds)
            x, y, width, height = self.tile(number)
            lines += [
                f"{_clock(start)} --> {_clock(max(min(end, self.duration_seconds), start + 0.001))}",
                f"{uri()}#xywh={x},{y},{width},{height}",
                "",
            ]
        return "\n".join(lines)


def storyboard(plan: Plan) -> Storyboard:
    """Geometry for a recording: a tile for every keyframe, or every second, third ... once there would be too many."""
    group = Fraction(plan.gop) / plan.fps
    groups = -(-plan.total_frames // plan.gop)
    interval = group * -(-groups // MAX_TILES)
    tiles = max(1, -(-(plan.total_frames / plan.fps) // interval))
    columns = min(COLUMNS, int(tiles))
    rung = plan.lowest
    shrink = min(1.0, TILE_BOX / max(rung.width, rung.height))
    return Storyboard(
        interval=str(interval),
        tiles=int(tiles),
        columns=columns,
        rows=-(-int(tiles) // columns),
        tile_width=max(2, round(rung.width * shrink / 2) * 2),
        tile_height=max(2, round(rung.height * shrink / 2) * 2),
        duration_seconds=plan.duration_seconds,
    )


def _clock(seconds: float) -> str:
    """A WebVTT timestamp, HH:MM:SS.mmm."""
    milliseconds = round(seconds * 1000)
    return (
        f"{milliseconds // 3_600_000:02d}:{milliseconds // 60_000 % 60:02d}:"
        f"{milliseconds // 1000 % 60:02d}.{milliseconds % 1000:03d}"
    )
