"""Reads one media file inside the sandbox and prints what it found as one line of JSON.

Run as `python -I probe_child.py CONFIG`, with the file as an inherited descriptor. Imports nothing of the project.
Nothing is taken from a header that can be counted instead: duration, frame count and keyframe spacing come from
walking all packets (demuxing only, no decoding).
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from array import array
from collections.abc import Iterator
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

FIRST_FRAMES = 12  # enough for a soft telecine pattern (5 frames) to show itself
PACKETS_TO_FIRST_FRAME = 300
SAMPLE_RATES = (4_000, 768_000)  # outside of it a header is broken, and a resampler would work for hours
RATE_WINDOW_SECONDS = 4  # a segment's length, roughly
SEEK_POINTS = (0.25, 0.5, 0.9)


class Refusal(Exception):
    """The file is refused; the argument is the code."""


def _open(config: dict[str, Any]) -> InputContainer:
    os.lseek(config["fd"], 0, os.SEEK_SET)
    options = {
        "fd": str(config["fd"]),
        "protocol_whitelist": "fd",  # whatever the file names, nothing but this descriptor can be opened
        "format_whitelist": config["demuxers"],
        "max_streams": "64",
    }
    bounded = [{"max_pixels": str(config["max_pixels"]), "threads": "1"}] * 64
    try:
        return av.open("fd:", options=options, stream_options=bounded)  # type: ignore[arg-type]  # the stub says list[str]
    except ValueError:
        # Formats that show their streams only as they are read (MPEG) take no such options; memory is bounded anyway.
        os.lseek(config["fd"], 0, os.SEEK_SET)
        return av.open("fd:", options=options)


def _seconds(value: int | None, unit: Any) -> float:
    return 0.0 if value is None else float(value * unit)


class _Walk:
    """One pass over all packets of the chosen video stream, where there is one, and of the sound."""

    def __init__(self, video: VideoStream | None, max_seconds: float) -> None:
        self.unit = float(video.time_base or 0) if video is not None else 0.0
        self.max_seconds = max_seconds
        self.times: array[float] = array("d")
        self.keys: array[float] = array("d")
        self.bytes_in_second: dict[int, int] = {}
        self.bytes = 0
        self.last_duration = 0.0
        self.changes = False
        self.frames: list[VideoFrame] = []
        self.sound: dict[int, list[float]] = {}
        self.broken = False

    def run(self, container: InputContainer, video: VideoStream | None, start: float) -> None:
        tries = 0
        for packet in self._packets(container):
            if packet.size == 0 or packet.stream is None:
                continue
            time = packet.pts if packet.pts is not None else packet.dts
            if video is not None and packet.stream.index == video.index:
                if len(self.frames) < FIRST_FRAMES and tries < PACKETS_TO_FIRST_FRAME:
                    tries += 1
                    self._decode(packet)
                if time is not None and not packet.is_discard:
                    self._picture(packet, _seconds(time, packet.time_base) - start)
            elif packet.stream.type == "audio" and time is not None:
                begin = _seconds(time, packet.time_base) - start
                end = begin + _seconds(packet.duration, packet.time_base)
                span = self.sound.setdefault(packet.stream.index, [begin, end])
                span[0], span[1] = min(span[0], begin), max(span[1], end)

    def _packets(self, container: InputContainer) -> Iterator[Packet[Any]]:
        """All that can be read: a file that breaks off is taken as far as it goes."""
        try:
            yield from container.demux()
        except av.FFmpegError:
            self.broken = True

    def _decode(self, packet: Packet[Any]) -> None:
        try:
            self.frames += [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]
        except av.FFmpegError:
            return  # a damaged first picture is no reason to refuse what follows; no picture at all is

    def _picture(self, packet: Packet[Any], time: float) -> None:
        self.times.append(time)
        if packet.is_keyframe:
            self.keys.append(time)
        self.bytes += packet.size
        if 0 <= time <= self.max_seconds:
            second = int(time)
            self.bytes_in_second[second] = self.bytes_in_second.get(second, 0) + packet.size
        self.last_duration = _seconds(packet.duration, packet.time_base)
        if packet.has_sidedata("encryption_info"):
            raise Refusal("encrypted")  # what decodes of it is noise
        if len(self.times) > 1 and packet.has_sidedata("new_extradata"):
            self.changes = True

    def peak_bit_rate(self) -> float:
        """Most bits per second over any window of `RATE_WINDOW_SECONDS`."""
        peak = 0
        for second in self.bytes_in_second:
            window = sum(self.bytes_in_second.get(second + step, 0) for step in range(RATE_WINDOW_SECONDS))
            peak = max(peak, window)
        return peak * 8 / RATE_WINDOW_SECONDS


def _grid(times: array[float]) -> dict[str, float]:
    """How evenly sorted frame times lie: mean and median interval, largest gap, largest distance from the even grid."""
    ordered = sorted(times)
    gaps = sorted(b - a for a, b in itertools.pairwise(ordered))
    if not gaps or ordered[-1] <= ordered[0]:
        return {"mean": 0.0, "median": 0.0, "largest": 0.0, "deviation": 0.0}
    mean = (ordered[-1] - ordered[0]) / (len(ordered) - 1)
    deviation = max(abs(time - ordered[0] - mean * number) for number, time in enumerate(ordered))
    return {"mean": mean, "median": gaps[len(gaps) // 2], "largest": gaps[-1], "deviation": deviation}


def _seeks_exactly(config: dict[str, Any], index: int, walk: _Walk, start: float, duration: float) -> bool:
    """Whether a fresh reader, asked for a time, starts at a keyframe at or before it and not far from the nearest."""
    keys = sorted(walk.keys)
    if not keys:
        return False
    for point in SEEK_POINTS:
        wanted = point * duration
        with _open(config) as container:
            container.seek(int((wanted + start) * 1_000_000))
            for packet in container.demux(container.streams[index]):
                time = packet.pts if packet.pts is not None else packet.dts
                if packet.size == 0 or time is None:
                    return False
                at = _seconds(time, packet.time_base) - start
                before = [key for key in keys if key <= wanted + 0.001] or keys[:1]
                # One keyframe early is allowed: demuxers step back by some frames where pictures are reordered.
                if not packet.is_keyframe or at > max(wanted, keys[0]) + 0.001 or at < (before[-2:][0]) - 0.001:
                    return False
                break
    return True


def _middle_frame(config: dict[str, Any], index: int, at: float) -> VideoFrame | None:
    with _open(config) as container:
        try:
            container.seek(int(at * 1_000_000))
            for number, packet in enumerate(container.demux(container.streams[index])):
                for frame in packet.decode():
                    if isinstance(frame, VideoFrame):
                        return frame
                if number >= PACKETS_TO_FIRST_FRAME:
                    return None
        except av.FFmpegError:
            return None
    return None


def inspect(config: dict[str, Any]) -> dict[str, Any]:
    """Everything that `app.media.probe` wants to know, or raise `Refusal`."""
    with _open(config) as container:
        pictures = [
            stream
            for stream in container.streams.video
            if stream.codec_context is not None and not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not pictures:
            if not container.streams.audio:
                raise Refusal("not-a-video")
            return _heard_only(container, config)
        best = container.streams.best("video")
        video = best if best in pictures else pictures[0]
        if video.codec_context.width * video.codec_context.height > config["max_pixels"]:
            raise Refusal("picture-too-large")
        start = (container.start_time or 0) / 1_000_000
        walk = _Walk(video, config["max_seconds"])
        walk.run(container, video, start)
        if not walk.times:
            raise Refusal("undecodable")
        grid = _grid(walk.times)
        last, first = max(walk.times), min(walk.times)
        duration = last + (grid["median"] or walk.last_duration)
        heard = _sounds(container, walk)
        sounds = max((sound["end"] for sound in heard), default=0.0)
        if max(duration, sounds) > config["max_seconds"]:  # the picture would stand for as long as there is sound
            raise Refusal("too-long")
        frame = _middle_frame(config, video.index, start + duration / 2)
        frames = [*walk.frames, *([frame] if frame else [])]
        if not frames:
            raise Refusal("undecodable")
        keys = sorted(walk.keys)
        edges = [*keys, duration]
        shown = frames[0]
        context = video.codec_context
        aspect = video.sample_aspect_ratio
        return {
            "demuxer": container.format.name.split(",")[0],
            "start": start,
            "duration": duration,
            "promised": _promised(container, video),
            "broken": walk.broken,
            "seekable": _seeks_exactly(config, video.index, walk, start, duration),
            "video": {
                "index": video.index,
                "codec": context.name,
                "profile": context.profile or "",
                "level": context.level if hasattr(context, "level") else 0,
                "pixel_format": shown.format.name,
                "width": shown.width,
                "height": shown.height,
                "aspect": [aspect.numerator, aspect.denominator] if aspect else [1, 1],
                "rotation": int(shown.rotation) % 360,
                "transfer": int(shown.color_trc),
                "interlaced": sum(f.interlaced_frame for f in frames) * 2 > len(frames),
                "frames": len(walk.times),
                "first": first,
                "unit": walk.unit,
                "grid": grid,
                "keyframes": len(keys),
                "key_gap": max((b - a for a, b in itertools.pairwise(edges)), default=duration),
                "first_is_key": bool(keys) and keys[0] <= first + 1e-6,
                "changes": walk.changes,
                "bit_rate": walk.bytes * 8 / max(duration - first, 0.001),
                "peak_bit_rate": walk.peak_bit_rate(),
            },
            "audio": heard,
        }


def _heard_only(container: InputContainer, config: dict[str, Any]) -> dict[str, Any]:
    """Findings for a file that has sound and no picture."""
    start = (container.start_time or 0) / 1_000_000
    walk = _Walk(None, config["max_seconds"])
    walk.run(container, None, start)
    sounds = _sounds(container, walk)
    if not sounds:
        raise Refusal("undecodable")
    duration = max(sound["end"] for sound in sounds)
    if duration > config["max_seconds"]:
        raise Refusal("too-long")
    if not _decodes(config, sounds[0]["index"]):
        raise Refusal("undecodable")
    return {
        "demuxer": container.format.name.split(",")[0],
        "start": start,
        "duration": duration,
        "promised": _promised(container, container.streams[sounds[0]["index"]]),
        "broken": walk.broken,
        "seekable": False,
        "video": None,
        "audio": sounds,
    }


def _decodes(config: dict[str, Any], index: int) -> bool:
    """Whether any of the first packets of a track of sound can be decoded."""
    with _open(config) as container:
        packets = container.demux(container.streams[index])
        for _ in range(PACKETS_TO_FIRST_FRAME):
            try:
                packet = next(packets, None)
                if packet is None:
                    return False
                if packet.decode():
                    return True
            except av.FFmpegError:
                continue  # one bad packet says nothing of the next; a reader that has failed gives no more
    return False


def _promised(container: InputContainer, stream: Any) -> float:
    """Seconds that the header says; 0 where it says nothing."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1_000_000


def _sounds(container: InputContainer, walk: _Walk) -> list[dict[str, Any]]:
    """The tracks of sound that have at least one packet."""
    return [
        {
            "index": stream.index,
            "codec": stream.codec_context.name,
            "channels": stream.codec_context.channels,
            "sample_rate": stream.codec_context.sample_rate,
            "language": stream.language or "",
            "default": bool(stream.disposition & av.stream.Disposition.default),
            "first": walk.sound[stream.index][0],
            "end": walk.sound[stream.index][1],
        }
        for stream in container.streams.audio
        if stream.codec_context is not None
        and stream.index in walk.sound
        and stream.codec_context.channels
        and SAMPLE_RATES[0] <= stream.codec_context.sample_rate <= SAMPLE_RATES[1]
    ]


def main() -> None:
    """Print the findings, or the code of the refusal, as JSON."""
    av.logging.set_level(av.logging.PANIC)
    try:
        found = inspect(json.loads(sys.argv[1]))
    except Refusal as refusal:
        found = {"refused": str(refusal)}
    except (av.FFmpegError, ValueError, ArithmeticError) as error:  # what broken fields of a file lead to
        found = {"refused": "undecodable", "detail": type(error).__name__}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
