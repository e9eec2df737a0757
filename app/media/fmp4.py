"""The structure of fragmented MP4 as this project writes it.

A bounded reader of ISO/IEC 14496-12 boxes. Sizes are checked against what is there before anything is read, counts
against the bytes that would hold them, so that a hostile file raises `ValueError` in bounded time and memory.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

MAX_BOXES = 1_000_000
MAX_HEADER_BYTES = 16 << 20  # of one moov or moof; ours have some hundred bytes to some kilobytes

_TFHD_BASE, _TFHD_DESCRIPTION, _TFHD_DURATION, _TFHD_SIZE, _TFHD_FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
_TRUN_OFFSET, _TRUN_FIRST_FLAGS = 0x1, 0x4
_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_CTS = 0x100, 0x200, 0x400, 0x800


@dataclass(frozen=True)
class Fragment:
    """A moof with its mdat. Bytes and seconds; `key_bytes` counts from `offset` to the end of the first sample."""

    offset: int
    size: int
    start: float
    duration: float
    samples: int
    key_bytes: int


@dataclass(frozen=True)
class Index:
    """What a playlist needs of a single-track fragmented MP4. `codecs` is the RFC 6381 string."""

    kind: str
    codecs: str
    width: int
    height: int
    timescale: int
    init_length: int
    fragments: tuple[Fragment, ...]

    @property
    def duration(self) -> float:
        """Seconds from the first fragment's start to the last one's end."""
        last = self.fragments[-1]
        return last.start + last.duration - self.fragments[0].start

    def to_json(self) -> dict[str, Any]:
        """A plain, compact object that `from_json` reads again."""
        rows = [
            [item.offset, item.size, round(item.start, 6), round(item.duration, 6), item.samples, item.key_bytes]
            for item in self.fragments
        ]
        return {**asdict(self), "fragments": rows}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Index:
        """The index that `to_json` wrote; times keep microseconds."""
        return cls(**{**value, "fragments": tuple(Fragment(*row) for row in value["fragments"])})


@dataclass(frozen=True)
class Box:
    """A box in a file: its four letters, first byte, length of its header, and whole length."""

    kind: bytes
    start: int
    header: int
    size: int


def boxes(data: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Boxes that follow one another in `data` from `start` to `end`. ValueError when one does not fit."""
    position = start
    for _ in range(MAX_BOXES):
        if position == end:
            return
        data.seek(position)
        head = data.read(min(16, end - position))
        if len(head) < 8:
            raise ValueError("a box is cut off")
        size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            if len(head) < 16:
                raise ValueError("a box is cut off")
            size, header = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - position
        if size < header or size > end - position:
            raise ValueError("a box does not fit its place")
        yield Box(kind, position, header, size)
        position += size
    raise ValueError("too many boxes")


class _Body:
    """The inside of one box, in memory. Reading past its end is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @classmethod
    def read(cls, file: BinaryIO, box: Box) -> _Body:
        if box.size > MAX_HEADER_BYTES:
            raise ValueError("a header box is too large")
        file.seek(box.start + box.header)
        data = file.read(box.size - box.header)
        if len(data) != box.size - box.header:
            raise ValueError("a box is cut off")
        return cls(data)

    def __len__(self) -> int:
        return len(self._data)

    def unpack(self, form: str, offset: int) -> tuple[Any, ...]:
        try:
            return struct.unpack_from(">" + form, self._data, offset)
        except struct.error as error:
            raise ValueError("a box is too short") from error

    def number(self, form: str, offset: int) -> int:
        return int(self.unpack(form, offset)[0])

    def bytes_at(self, offset: int, length: int) -> bytes:
        data = self._data[offset : offset + length]
        if offset < 0 or len(data) != length:
            raise ValueError("a box is too short")
        return data

    def children(self, offset: int = 0) -> list[tuple[bytes, _Body]]:
        if offset > len(self._data):
            raise ValueError("a box is too short")
        file = io.BytesIO(self._data)
        inside = boxes(file, offset, len(self._data))
        return [(box.kind, _Body(self._data[box.start + box.header : box.start + box.size])) for box in inside]

    def child(self, *path: bytes) -> _Body:
        body = self
        for kind in path:
            for found, inner in body.children():
                if found == kind:
                    body = inner
                    break
            else:
                raise ValueError(f"no {kind.decode('latin-1')} box")
        return body


@dataclass(frozen=True)
class _Track:
    kind: str
    codecs: str
    width: int
    height: int
    timescale: int
    default_duration: int
    default_size: int


def index(file: BinaryIO) -> Index:
    """Read the structure of a fragmented MP4 with one track.

    Raises:
        ValueError: it is not one, or it is damaged.
    """
    end = file.seek(0, io.SEEK_END)
    track, init_length = None, 0
    fragments: list[Fragment] = []
    pending: tuple[Box, _Timing] | None = None
    for box in boxes(file, 0, end):
        if box.kind == b"moov":
            if track is not None:
                raise ValueError("two moov boxes")
            track, init_length = _track(_Body.read(file, box)), box.start + box.size
        elif box.kind == b"moof":
            if track is None or pending is not None:
                raise ValueError("a fragment out of place")
            pending = box, _timing(_Body.read(file, box), track)
        elif box.kind == b"mdat":
            if pending is None or track is None:
                raise ValueError("media data without a fragment")
            fragments.append(_fragment(pending[0], box, pending[1], track))
            pending = None
    if track is None or pending is not None or not fragments:
        raise ValueError("not a complete fragmented MP4")
    return Index(track.kind, track.codecs, track.width, track.height, track.timescale, init_length, tuple(fragments))


def _fragment(moof: Box, mdat: Box, timing: _Timing, track: _Track) -> Fragment:
    if moof.start + moof.size != mdat.start:
        raise ValueError("a fragment and its data are apart")
    size = moof.size + mdat.size
    key_bytes = timing.data_offset + timing.first_size
    if not moof.size <= timing.data_offset <= key_bytes <= size:
        raise ValueError("a sample lies outside its fragment")
    start, duration = timing.start / track.timescale, timing.duration / track.timescale
    return Fragment(moof.start, size, start, duration, timing.samples, key_bytes)


@dataclass(frozen=True)
class _Timing:
    start: int
    duration: int
    samples: int
    data_offset: int
    first_size: int


def _timing(moof: _Body, track: _Track) -> _Timing:
    """Times and sizes of a fragment with one run of samples (8.8.7, 8.8.8, 8.8.12), in the track's units."""
    traf = moof.child(b"traf")
    tfhd, tfdt, runs = traf.child(b"tfhd"), traf.child(b"tfdt"), [b for k, b in traf.children() if k == b"trun"]
    if len(runs) != 1:
        raise ValueError("a fragment must have one run of samples")
    flags, place = tfhd.number("I", 0) & 0xFFFFFF, 8
    if flags & _TFHD_BASE:
        raise ValueError("offsets must count from the fragment")
    place += 4 if flags & _TFHD_DESCRIPTION else 0
    duration, size = track.default_duration, track.default_size
    if flags & _TFHD_DURATION:
        duration, place = tfhd.number("I", place), place + 4
    if flags & _TFHD_SIZE:
        size = tfhd.number("I", place)
    start = tfdt.number("Q" if tfdt.number("B", 0) == 1 else "I", 4)
    return _run(runs[0], start, duration, size)


def _run(trun: _Body, start: int, duration: int, size: int) -> _Timing:
    flags, count = trun.number("I", 0) & 0xFFFFFF, trun.number("I", 4)
    place = 8
    if not flags & _TRUN_OFFSET:
        raise ValueError("a run of samples without its place")
    data_offset, place = trun.number("i", place), place + 4
    place += 4 if flags & _TRUN_FIRST_FLAGS else 0
    fields = [bit for bit in (_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_CTS) if flags & bit]
    if count < 1 or place + count * 4 * len(fields) != len(trun) or (not fields and count > MAX_BOXES):
        raise ValueError("a run of samples does not fit its box")
    rows = trun.unpack(f"{count * len(fields)}I", place)
    step = len(fields)
    total = duration * count
    if flags & _TRUN_DURATION:
        total = sum(rows[fields.index(_TRUN_DURATION) :: step])
    first = rows[fields.index(_TRUN_SIZE)] if flags & _TRUN_SIZE else size
    return _Timing(start, total, count, data_offset, first)


def _track(moov: _Body) -> _Track:
    tracks = [body for kind, body in moov.children() if kind == b"trak"]
    if len(tracks) != 1:
        raise ValueError("there must be one track")
    mdia = tracks[0].child(b"mdia")
    mdhd, handler = mdia.child(b"mdhd"), mdia.child(b"hdlr").bytes_at(8, 4)
    timescale = mdhd.number("I", 20 if mdhd.number("B", 0) == 1 else 12)
    if timescale == 0:
        raise ValueError("the time scale is zero")
    trex = moov.child(b"mvex", b"trex")
    entries = mdia.child(b"minf", b"stbl", b"stsd").children(8)
    if len(entries) != 1:
        raise ValueError("there must be one sample description")
    kind, entry = entries[0]
    defaults = trex.number("I", 12), trex.number("I", 16)
    if handler == b"vide" and kind in (b"avc1", b"avc3"):
        width, height = entry.unpack("HH", 24)
        return _Track("video", _avc_codec(kind, entry), width, height, timescale, *defaults)
    if handler == b"vide" and kind == b"av01":
        width, height = entry.unpack("HH", 24)
        return _Track("video", _av1_codec(entry), width, height, timescale, *defaults)
    if handler == b"soun" and kind == b"mp4a":
        return _Track("audio", _aac_codec(entry), 0, 0, timescale, *defaults)
    raise ValueError("neither H.264, AV1 nor AAC")


def _avc_codec(kind: bytes, entry: _Body) -> str:
    """`avc1.PPCCLL`: profile, constraints and level as in the decoder configuration (RFC 6381, 3.3)."""
    for name, body in entry.children(78):
        if name == b"avcC":
            return f"{kind.decode('ascii')}.{body.bytes_at(1, 3).hex()}"
    raise ValueError("no avcC box")


def _av1_codec(entry: _Body) -> str:
    """`av01.P.LLT.DD`: profile, level and tier, bit depth (AV1 codec ISO media file format binding, 2.3.3 and 5)."""
    for name, body in entry.children(78):
        if name == b"av1C":
            marker, level, coding = body.unpack("BBB", 0)
            if marker != 0x81:
                raise ValueError("an unknown version of av1C")
            depth = 12 if coding & 0x20 else 10 if coding & 0x40 else 8
            return f"av01.{level >> 5}.{level & 0x1F:02d}{'H' if coding & 0x80 else 'M'}.{depth:02d}"
    raise ValueError("no av1C box")


def _aac_codec(entry: _Body) -> str:
    """`mp4a.40.N`: N is the audio object type in the first five bits of the decoder's own configuration."""
    for name, body in entry.children(28):
        if name == b"esds":
            return f"mp4a.40.{_object_type(body)}"
    raise ValueError("no esds box")


def _object_type(esds: _Body) -> int:
    """ISO/IEC 14496-1, 7.2.6: ES (3) holds DecoderConfig (4) holds DecoderSpecificInfo (5)."""
    place = 4
    skipped = {3: 3, 4: 13, 5: 0}
    for tag in (3, 4, 5):
        if esds.number("B", place) != tag:
            raise ValueError("an unexpected descriptor")
        place += 1
        for _ in range(4):  # a length of up to four bytes of seven bits
            place += 1
            if not esds.number("B", place - 1) & 0x80:
                break
        if tag == 3 and esds.number("B", place + 2):
            raise ValueError("an unexpected stream descriptor")
        place += skipped[tag]
    number = esds.number("B", place) >> 3
    if number == 31:  # escape: 32 and above
        number = 32 + (esds.number("H", place) >> 5 & 0x3F)
    if not number:
        raise ValueError("no audio object type")
    return number
