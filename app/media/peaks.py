"""The shape of the sound, for editors that draw it: the lowest and the highest sample of every 50 ms, in eight bits.

Written in the JSON form of audiowaveform's data files, version 2, which the usual drawing libraries read. Six hours are
432,000 pairs, about 3 MB.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

RATE = 8_000  # samples a second are enough to draw: the loud parts of speech lie under 4 kHz
SAMPLES_PER_PAIR = RATE // 20
_BLOCK_PAIRS = 10_000


def read(samples: Path) -> dict[str, Any]:
    """The shape of a file of signed 8-bit mono samples at `RATE`."""
    data: list[int] = []
    with samples.open("rb") as file:
        while block := file.read(SAMPLES_PER_PAIR * _BLOCK_PAIRS):
            values = np.frombuffer(block, dtype=np.int8)
            if missing := -len(values) % SAMPLES_PER_PAIR:
                values = np.pad(values, (0, missing), mode="edge")
            rows = values.reshape(-1, SAMPLES_PER_PAIR)
            data += np.stack((rows.min(axis=1), rows.max(axis=1)), axis=1).ravel().tolist()
    return {
        "version": 2,
        "channels": 1,
        "sample_rate": RATE,
        "samples_per_pixel": SAMPLES_PER_PAIR,
        "bits": 8,
        "length": len(data) // 2,
        "data": data,
    }


def write(samples: Path, target: Path) -> int:
    """Write the shape of a file of samples as compact JSON. Returns the number of pairs."""
    shape = read(samples)
    target.write_text(json.dumps(shape, separators=(",", ":")))
    return int(shape["length"])
