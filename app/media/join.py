"""Chunks become a rendition: one init part and all fragments, without remuxing."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from app.media.fmp4 import MAX_HEADER_BYTES, Box, boxes

_COPY_BYTES = 1 << 20


def joined(parts: Sequence[BinaryIO]) -> Iterator[bytes]:
    """The rendition that chunks make: the first one's init, then all fragments, numbered through.

    Streams in bounded memory. `parts` are seekable and in order; chunks carry their own times.

    Raises:
        ValueError: the inits differ (then the chunks do not belong together), or a part is damaged.
    """
    if not parts:
        raise ValueError("nothing to join")
    first: bytes | None = None
    number = 0
    for part in parts:
        end = part.seek(0, io.SEEK_END)
        init, seen = b"", False
        for box in boxes(part, 0, end):
            if box.kind in (b"ftyp", b"moov"):
                if box.size > MAX_HEADER_BYTES:
                    raise ValueError("a header box is too large")
                part.seek(box.start)
                init += part.read(box.size)
                continue
            if not seen:
                seen = True
                if first is None:
                    first = init
                    yield init
                elif init != first:
                    raise ValueError("the chunks do not begin alike")
            if box.kind == b"moof":
                number += 1
                yield _numbered(part, box, number)
            elif box.kind == b"mdat":
                yield from _copied(part, box)
        if not seen:
            raise ValueError("a chunk without fragments")


def _numbered(part: BinaryIO, moof: Box, number: int) -> bytes:
    """The moof with its sequence number set: numbers must rise through a file (ISO/IEC 14496-12, 8.8.5)."""
    if moof.size > MAX_HEADER_BYTES:
        raise ValueError("a header box is too large")
    part.seek(moof.start)
    data = bytearray(part.read(moof.size))
    for box in boxes(io.BytesIO(data), moof.header, len(data)):
        if box.kind == b"mfhd" and box.size == box.header + 8:
            data[box.start + box.header + 4 : box.start + box.size] = number.to_bytes(4, "big")
            return bytes(data)
    raise ValueError("no mfhd box")


def _copied(part: BinaryIO, box: Box) -> Iterator[bytes]:
    part.seek(box.start)
    left = box.size
    while left:
        data = part.read(min(left, _COPY_BYTES))
        if not data:
            raise ValueError("a chunk is cut off")
        left -= len(data)
        yield data


def join(parts: Sequence[Path], target: Path) -> None:
    """Write the rendition that the chunks `parts` make to `target`. See `joined`."""
    files: list[BinaryIO] = []
    try:
        files += [path.open("rb") for path in parts]
        with target.open("xb") as out:
            for data in joined(files):
                out.write(data)
    finally:
        for file in files:
            file.close()
