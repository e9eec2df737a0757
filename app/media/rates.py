"""Frame rates: from measured frame times to the rate that a recording is encoded at. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

HIGHEST = Fraction(30)
LOWEST_WHEN_VARIABLE = Fraction(10)

STANDARD = tuple(
    Fraction(number)
    for number in (
        *(1, 2, 3, 4, 5, 6, 8, 10, 12, "25/2", 15, 20, "24000/1001", 24, 25, "30000/1001", 30),
        *(48, 50, "60000/1001", 60, 90, 100, "120000/1001", 120, 240),
    )
)

# Half a millisecond for containers that round times to milliseconds, doubled for cameras that round twice, and some.
_JITTER_SECONDS = 0.0015


def nearest_standard(rate: float) -> Fraction:
    """The standard rate that differs least from `rate` (frames per second), by ratio."""
    return min(STANDARD, key=lambda standard: abs(float(standard) / rate - 1))


def is_constant(grid: Mapping[str, float], unit: float) -> bool:
    """True when all frames lie on an even grid, but for the rounding of the container's time unit (seconds)."""
    return grid["mean"] > 0 and grid["deviation"] <= max(_JITTER_SECONDS, 1.1 * unit)


def output_rate(grid: Mapping[str, float], frames: int, unit: float) -> Fraction:
    """Frames per second that the renditions get.

    A constant rate is kept, or divided by a whole number until it is at most 30 (50 gives 25, 59.94 gives 29.97), so
    that frames are left out evenly. A variable rate becomes the standard rate near the source's usual one.
    """
    if grid["mean"] <= 0:
        return LOWEST_WHEN_VARIABLE
    measured = 1 / grid["mean"]
    if is_constant(grid, unit):
        exact = nearest_standard(measured)
        span = grid["mean"] * max(frames - 1, 1)
        if abs(float(exact) / measured - 1) > 4e-4 + 2 * max(grid["deviation"], unit) / span:
            exact = Fraction(measured).limit_denominator(1001)
        if exact <= HIGHEST:
            return max(exact, Fraction(1))
        even = exact / -(-exact // HIGHEST)
        return even if even >= 20 else HIGHEST
    usual = max(measured, 1 / grid["median"] if grid["median"] > 0 else 0.0)
    return min(max(nearest_standard(usual), LOWEST_WHEN_VARIABLE), HIGHEST)
