"""The sound that an engine hears: 16 kHz, mono, 16-bit, from an open file, without loading all of it."""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Invalid

RATE = 16_000

Samples = NDArray[np.int16]
Floats = NDArray[np.float32]

# An engine needs about 70 bytes for each sample that it is given at once (spectrum and its temporaries), so it is given
# some minutes: 230 MB for five of them, where two hours in one piece would take 8 GB.
BLOCK_SECONDS = 300
# A block is cut at the quietest moment of its last part, so that no word is.
_SEARCH_SECONDS = 30
_QUIET_SECONDS = 0.4

_PCM, _EXTENSIBLE = 1, 0xFFFE


def open_wav(fd: int) -> Samples:
    """The samples of the WAV file open as `fd`, mapped rather than read. A data size of 0 or beyond the end of the file
    (what a program writes that cannot seek back) means all that follows.

    Raises:
        Invalid: not a regular file, or not 16 kHz mono 16-bit PCM.
    """
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise Invalid("The sound must be a regular file.")
    if status.st_size < 12:
        raise Invalid("The sound is not a WAV file.")
    data = mmap.mmap(fd, status.st_size, access=mmap.ACCESS_READ)
    start, size = _data_chunk(data)
    return np.frombuffer(data, dtype="<i2", count=size // 2, offset=start)


def _data_chunk(data: mmap.mmap) -> tuple[int, int]:
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise Invalid("The sound is not a WAV file.")
    at, format_seen = 12, False
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"data":
            if not format_seen:
                raise Invalid("The sound has no format before its data.")
            rest = len(data) - at
            return at, min(size, rest) if size else rest
        if name == b"fmt ":
            if size < 16 or at + 16 > len(data):
                raise Invalid("The sound is not a WAV file.")
            _check_format(struct.unpack_from("<HHIIHH", data, at))
            format_seen = True
        at += size + size % 2
    raise Invalid("The sound has no data.")


def _check_format(fields: tuple[Any, ...]) -> None:
    kind, channels, rate, _, _, bits = fields
    if kind not in (_PCM, _EXTENSIBLE) or (channels, rate, bits) != (1, RATE, 16):
        raise Invalid("The sound must be 16 kHz mono 16-bit PCM.")


def blocks(samples: Samples, *, seconds: int = BLOCK_SECONDS, first: int = 0) -> Iterator[tuple[int, int]]:
    """Bounds (in samples) of consecutive blocks of at most `seconds`, cut where it is quietest.

    Where a block ends is decided by what follows its start alone, so starting at the end of any block (`first`) gives the
    same blocks as those that would have followed. There is always one, though it may be empty.
    """
    start, size, search = first, seconds * RATE, min(_SEARCH_SECONDS * RATE, seconds * RATE // 2)
    while len(samples) - start > size:
        end = _quietest(samples, start + size - search, start + size)
        yield start, end
        start = end
    yield start, len(samples)


def _quietest(samples: Samples, first: int, last: int) -> int:
    """The middle of the quietest moment between two positions."""
    step = int(_QUIET_SECONDS * RATE)
    frames = samples[first : first + (last - first) // step * step].astype(np.float32).reshape(-1, step)
    return first + int(np.argmin((frames**2).sum(axis=1))) * step + step // 2


def as_floats(samples: Samples) -> Floats:
    """Samples from -1 to 1, as the engines want them."""
    return samples.astype(np.float32) / np.float32(32768.0)
