"""What an uploaded file really holds, or the sentence that says why it cannot become a recording."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from app.media import damage, rates, sandbox, sniff

# FFmpeg's names of the containers that cameras, phones, calls and studios write. None of them opens a second file.
DEMUXERS = (
    *("mov", "matroska", "avi", "asf", "mpeg", "mpegts", "flv", "mxf"),
    *("mp3", "wav", "flac", "ogg", "aac", "amr", "aiff"),  # recorders and dictation machines: sound without a picture
)
# Demuxers whose index leads to the exact frame; each file is still tried. The others become one chunk.
SEEKING_DEMUXERS = ("mov", "matroska")
MAX_PIXELS = 36_000_000  # 8K (7680 x 4320) and a little; a decoder needs some 1.5 bytes x 20 frames of it
LARGEST_GAP_SECONDS = 3600  # two frames further apart than this are broken times, not a slow recording
# The largest picture takes a gigabyte; an index that unpacks to more is no film's.
READING = sandbox.Limits(wall_seconds=900, cpu_seconds=600, memory_bytes=1400 << 20, file_bytes=1 << 20)

# Signals that no file can bring about: the kernel sends the first when memory is short. A file that is refused is erased,
# so what happens to a machine must never look like a refusal.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_CHILD = Path(__file__).with_name("probe_child.py")
_TRANSFERS = {16: "pq", 18: "hlg"}  # ITU-T H.273 table 3: SMPTE ST 2084 and ARIB STD-B67


@dataclass(frozen=True)
class VideoStream:
    """The picture. `width` and `height` as stored; `display_*` as shown, after pixel aspect and rotation (degrees)."""

    index: int
    codec: str
    profile: str
    pixel_format: str
    width: int
    height: int
    display_width: int
    display_height: int
    rotation: int
    pixel_aspect: str
    frames: int
    first_seconds: float
    rate: str
    average_rate: float
    variable: bool
    interlaced: bool
    hdr: str | None
    keyframe_gap_seconds: float
    starts_with_keyframe: bool
    parameters_change: bool
    bit_rate: int
    peak_bit_rate: int


@dataclass(frozen=True)
class AudioTrack:
    """One track of sound; times in seconds after the recording's time 0. `language` is ISO 639-2 or empty."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    language: str
    default: bool
    first_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Probe:
    """A source as measured. `start_seconds` is the container's own clock at time 0. `video` is None for a file that is
    only heard. `promised_seconds` is what the header says, 0 where it says nothing; `breaks_off` is true for a file that
    cannot be read to its end."""

    demuxer: str
    bytes: int
    start_seconds: float
    duration_seconds: float
    seekable_exactly: bool
    video: VideoStream | None
    audio: tuple[AudioTrack, ...]
    promised_seconds: float = 0.0
    breaks_off: bool = False

    @property
    def missing(self) -> list[damage.Damage]:
        """What its header promises and it does not hold."""
        return damage.missing_end(self.duration_seconds, self.promised_seconds)

    def to_json(self) -> dict[str, Any]:
        """A plain object that `from_json` reads again."""
        return asdict(self) | {"audio": [asdict(track) for track in self.audio]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Probe:
        """The probe that `to_json` wrote."""
        tracks = tuple(AudioTrack(**track) for track in value["audio"])
        video = VideoStream(**value["video"]) if value["video"] else None
        return cls(**{**value, "video": video, "audio": tracks})


def probe(
    source: Path,
    scratch: Path,
    *,
    max_duration_seconds: float,
    limits: sandbox.Limits = READING,
    cancelled: Callable[[], bool] | None = None,
) -> Probe:
    """Measure a file by walking all its packets and decoding a few pictures, in the sandbox.

    Args:
        source: the file; its name is never passed on.
        scratch: an empty folder, or one to be made.
        max_duration_seconds: the longest recording accepted.

    Raises:
        RejectedMedia: the file cannot become a recording; `code` is a key of `sniff.SENTENCES`.
        sandbox.Cancelled: `cancelled` said so.
        sandbox.Failed: the prober itself could not run, or was ended from outside.
        sandbox.NoRoom: the disk is full.
    """
    size = sniff.check(source)
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    config = {
        "fd": fd,
        "demuxers": ",".join(DEMUXERS),
        "max_pixels": MAX_PIXELS,
        "max_seconds": max_duration_seconds,
    }
    try:
        done = sandbox.run(
            # -I: neither the working folder nor the environment can put a module in the way of ours.
            [sys.executable, "-I", str(_CHILD), json.dumps(config)],
            scratch=scratch,
            pass_fds=(fd,),
            limits=limits,
            cancelled=cancelled,
        )
    except sandbox.LimitExceeded as error:
        raise sniff.rejected("too-complex") from error
    except sandbox.Failed as error:
        if error.returncode > 0 or -error.returncode in _FROM_OUTSIDE:
            raise  # our own program could not run, or was ended: that is no fault of the file
        raise sniff.rejected("undecodable") from error
    finally:
        os.close(fd)
    found = json.loads(done.stdout_tail)
    if "refused" in found:
        raise sniff.rejected(found["refused"], limit=_words(max_duration_seconds))
    return _understood(found, size)


def _understood(found: dict[str, Any], size: int) -> Probe:
    """The child's findings as a `Probe`. Raises `RejectedMedia` for what only shows here."""
    if found["duration"] <= 0:
        raise sniff.rejected("broken-times")
    return Probe(
        demuxer=found["demuxer"],
        bytes=size,
        start_seconds=found["start"],
        duration_seconds=found["duration"],
        seekable_exactly=found["demuxer"] in SEEKING_DEMUXERS and found["seekable"],
        video=_picture(found["video"]) if found["video"] else None,
        audio=tuple(
            AudioTrack(
                index=track["index"],
                codec=track["codec"],
                channels=track["channels"],
                sample_rate=track["sample_rate"],
                language="" if track["language"] == "und" else track["language"],
                default=track["default"],
                first_seconds=track["first"],
                end_seconds=track["end"],
            )
            for track in found["audio"]
        ),
        promised_seconds=found["promised"],
        breaks_off=found["broken"],
    )


def _picture(video: dict[str, Any]) -> VideoStream:
    """The child's findings on the picture. Raises `RejectedMedia` for what only shows here."""
    grid = video["grid"]
    if video["frames"] < 2:
        raise sniff.rejected("image")
    if grid["largest"] > LARGEST_GAP_SECONDS:
        raise sniff.rejected("broken-times")
    aspect = Fraction(*video["aspect"]) if all(video["aspect"]) else Fraction(1)
    if not Fraction(1, 4) <= aspect <= 4:
        aspect = Fraction(1)  # nobody films with such pixels: a broken header
    width, height = round(video["width"] * aspect), video["height"]
    if video["rotation"] % 180 == 90:
        width, height = height, width
    span = grid["mean"] * (video["frames"] - 1)
    return VideoStream(
        index=video["index"],
        codec=video["codec"],
        profile=video["profile"],
        pixel_format=video["pixel_format"],
        width=video["width"],
        height=video["height"],
        display_width=width,
        display_height=height,
        rotation=video["rotation"],
        pixel_aspect=f"{aspect.numerator}/{aspect.denominator}",
        frames=video["frames"],
        first_seconds=video["first"],
        rate=str(rates.output_rate(grid, video["frames"], video["unit"])),
        average_rate=(video["frames"] - 1) / span if span else 0.0,
        variable=not rates.is_constant(grid, video["unit"]),
        interlaced=video["interlaced"],
        hdr=_TRANSFERS.get(video["transfer"]),
        keyframe_gap_seconds=video["key_gap"],
        starts_with_keyframe=video["first_is_key"],
        parameters_change=video["changes"],
        bit_rate=round(video["bit_rate"]),
        peak_bit_rate=round(video["peak_bit_rate"]),
    )


def _words(seconds: float) -> str:
    """A length in words: "6 hours", "90 minutes", "45 seconds"."""
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"
