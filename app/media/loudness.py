"""How sound is corrected, from what one pass measured. Pure.

Target -16 LUFS: speech for headphones and laptop speakers (AES TD1008, EBU R 128 s2 for streaming speech).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TARGET_LUFS = -16.0
# Under this there is nothing to hear: raising it would only make the hiss of the recorder loud. (Silence is -70.)
SILENCE_LUFS = -67.0
MAX_GAIN_DB = 50.0
# A side so much quieter than the other has no microphone on it; what is left there is crosstalk or hiss.
ONE_SIDED_DB = 25.0

_INTEGRATED = re.compile(r"\bI:\s+(-?(?:\d+(?:\.\d+)?|inf|nan)) LUFS")
_SIDE = re.compile(r"\bRMS level dB: (-?(?:\d+(?:\.\d+)?|inf)|nan)")


@dataclass(frozen=True)
class Correction:
    """Gain in decibels (0: leave alone) and the side (0 left, 1 right) that both sides get, or None."""

    gain_db: float
    side: int | None


def correction(log: str) -> Correction:
    """What to do, from the log of `commands.measure_sound`.

    Raises:
        ValueError: the log holds no measurement.
    """
    found, sides = _INTEGRATED.findall(log), _SIDE.findall(log)
    if not found or len(sides) < 2:
        raise ValueError("no loudness in the log")
    loudness = _decibels(found[-1])
    left, right = (_decibels(side) for side in sides[-2:])
    side = None
    if abs(left - right) > ONE_SIDED_DB:
        side = 0 if left > right else 1
        # The loudness stays as it is: the sound goes to both sides at 3 dB less (ITU-R BS.1770 adds the channels).
    if loudness < SILENCE_LUFS:
        return Correction(0.0, side)
    return Correction(min(TARGET_LUFS - loudness, MAX_GAIN_DB), side)


def _decibels(word: str) -> float:
    """The number; silence is a large negative one, so that differences stay finite."""
    value = float(word)
    return max(value, -200.0) if value == value else -200.0
