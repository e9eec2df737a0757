"""What is made from a source: rungs, frame rate, chunks, sound. Data in, data out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from app.media.playlists import SEGMENT_SECONDS, SEGMENT_SLACK
from app.media.probe import AudioTrack, Probe, VideoStream

# Part of every fingerprint: a change here, in `commands` or in the ffmpeg in use makes old results obsolete.
VERSION = "media-2"

GOP_SECONDS = 2
MAX_SOUNDS = 8  # tracks that are offered to viewers beside one another
MAX_COPIED_KEYFRAME_GAP_SECONDS = 4.0
MAX_COPIED_RATE = 1.3  # times the rung's maxrate, on average
MAX_COPIED_PEAK = 2.0  # times the rung's maxrate, over 4 s: what a buffer of 2 s lets an encoded rung reach, and some
SOUND_OUTLASTS_SECONDS = 1.0  # sound that goes on longer than this after the picture keeps the last picture standing
# A rung whose short edge is within this of the next one down is left out: two files that nobody can tell apart.
TOO_CLOSE = 1.15


@dataclass(frozen=True)
class Row:
    """A row of the ladder: short edge in pixels, x264's constant rate factor, and its cap in kbit/s."""

    short_edge: int
    crf: int
    maxrate: int


LADDER = (Row(1080, 23, 4500), Row(720, 23, 2500), Row(480, 24, 1000), Row(360, 25, 600))


@dataclass(frozen=True)
class Rung:
    """One rendition to make. Pixels are even numbers; `maxrate` in kbit/s; `copied` means taken over from the source."""

    name: str
    width: int
    height: int
    crf: int
    maxrate: int
    copied: bool = False


@dataclass(frozen=True)
class Chunk:
    """A unit of encoding: frames `start` to `start + frames` of the recording, all rungs at once."""

    index: int
    start: int
    frames: int


@dataclass(frozen=True)
class Sound:
    """A track of sound that is to be heard: its stream index, channels and language (ISO 639-2 or empty) in the source;
    seconds after time 0."""

    index: int
    channels: int
    first_seconds: float
    language: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything that the operations in `encode` need besides the source itself. Stored as JSON with the run.

    `rungs` go from the largest down; there are none, and `video_index` is None, when the source has no picture. `chunks`
    is empty when nothing is encoded. `rate` is a fraction in frames per second; `gop` and `total_frames` count frames;
    `start_seconds` is the container's clock at time 0. The first of `sounds` is the one that is heard unless somebody
    chooses another.
    """

    version: str
    demuxer: str
    video_index: int | None
    start_seconds: float
    seekable_exactly: bool
    interlaced: bool
    hdr: str | None
    rate: str
    gop: int
    total_frames: int
    threads: int
    rungs: tuple[Rung, ...]
    chunks: tuple[Chunk, ...]
    sounds: tuple[Sound, ...]

    @property
    def fps(self) -> Fraction:
        """Frames per second, exactly."""
        return Fraction(self.rate)

    @property
    def duration_seconds(self) -> float:
        """Length of every rendition."""
        return float(self.total_frames / self.fps)

    @property
    def encoded(self) -> tuple[Rung, ...]:
        """The rungs that each chunk makes."""
        return tuple(rung for rung in self.rungs if not rung.copied)

    @property
    def copied(self) -> Rung | None:
        """The top rung when it is taken over from the source."""
        return self.rungs[0] if self.rungs and self.rungs[0].copied else None

    @property
    def lowest(self) -> Rung:
        """The rung that stills are made from. ValueError without a picture."""
        if not self.rungs:
            raise ValueError("a recording without a picture")
        return self.rungs[-1]

    @property
    def plain(self) -> Rung:
        """The rung of the one MP4 file for browsers without scripts and for downloads: nearest to 480. ValueError
        without a picture."""
        return min(self.rungs, key=lambda rung: (abs(min(rung.width, rung.height) - 480), rung.width))

    @property
    def sound(self) -> Sound | None:
        """The track that is heard unless somebody chooses another; None for a silent film."""
        return self.sounds[0] if self.sounds else None

    @property
    def grows(self) -> bool:
        """Whether a playlist of the chunks that are there has the same segments as that of the whole."""
        unit = segment_frames(self.gop, self.fps)
        return all(part.start % unit == 0 for part in self.chunks)

    def only(self, sound: Sound) -> Plan:
        """The same plan with one track of sound."""
        return replace(self, sounds=(sound,))

    def picture_json(self) -> dict[str, Any]:
        """What the picture depends on: all but the sound, which can change without it."""
        return {name: value for name, value in self.to_json().items() if name != "sounds"}

    def to_json(self) -> dict[str, Any]:
        """A plain object that `from_json` reads again."""
        return asdict(self) | {name: [asdict(row) for row in getattr(self, name)] for name in _LISTS}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` wrote, also as it was when there was one track of sound."""
        kept = dict(value)
        if "sound" in kept:
            old = kept.pop("sound")
            kept["sounds"] = [old] if old else []
        return cls(**kept | {name: tuple(row(**item) for item in kept[name]) for name, row in _LISTS.items()})


_LISTS: dict[str, type[Rung] | type[Chunk] | type[Sound]] = {"rungs": Rung, "chunks": Chunk, "sounds": Sound}


def plan(probe: Probe, *, chunk_seconds: float, threads: int, sounds: Sequence[int] | None = None) -> Plan:
    """Decide what to make from a source. Pure: the same probe and settings give the same plan.

    Args:
        probe: the measured source.
        chunk_seconds: wished length of a chunk; it is rounded to whole segments.
        threads: threads of one encoding process. Results depend on it, so a run keeps one number.
        sounds: stream indexes of the tracks that somebody has chosen, the one that is heard first; None takes the
            source's own choice. Tracks that nobody has chosen are heard by nobody.
    """
    tracks = choose_sounds(probe.audio, sounds)
    chosen = tuple(Sound(track.index, track.channels, track.first_seconds, track.language) for track in tracks)
    if probe.video is None:
        return _sound_only(probe, chosen, threads)
    video, fps = probe.video, Fraction(probe.video.rate)
    gop = max(1, round(GOP_SECONDS * fps))
    seconds, outlasts = probe.duration_seconds, False
    # any track, chosen or not: the picture must not depend on the choice
    end = max((track.end_seconds for track in probe.audio), default=0.0)
    if end > seconds + SOUND_OUTLASTS_SECONDS:
        seconds, outlasts = end, True
    total, pictures = (max(1, round(length * fps)) for length in (seconds, probe.duration_seconds))
    rungs = _rungs(video.display_width, video.display_height)
    if not outlasts and may_copy(probe, video, rungs[0], fps):
        rungs = (Rung(**{**asdict(rungs[0]), "copied": True}), *rungs[1:])
    encodes = any(not rung.copied for rung in rungs)
    return Plan(
        version=VERSION,
        demuxer=probe.demuxer,
        video_index=video.index,
        start_seconds=probe.start_seconds,
        seekable_exactly=probe.seekable_exactly,
        interlaced=video.interlaced,
        hdr=video.hdr,
        rate=str(fps),
        gop=gop,
        total_frames=total,
        threads=threads,
        rungs=rungs,
        chunks=_with_rest(chunks(pictures, gop, fps, chunk_seconds if probe.seekable_exactly else None), total)
        if encodes
        else (),
        sounds=chosen,
    )


def _sound_only(probe: Probe, sounds: tuple[Sound, ...], threads: int) -> Plan:
    """A recording that is only heard. Its length is counted in steps of a tenth of a second."""
    fps = Fraction(10)
    return Plan(
        version=VERSION,
        demuxer=probe.demuxer,
        video_index=None,
        start_seconds=probe.start_seconds,
        seekable_exactly=False,
        interlaced=False,
        hdr=None,
        rate=str(fps),
        gop=round(GOP_SECONDS * fps),
        total_frames=max(1, math.ceil(probe.duration_seconds * fps)),
        threads=threads,
        rungs=(),
        chunks=(),
        sounds=sounds,
    )


def segment_frames(gop: int, fps: Fraction) -> int:
    """Frames of one segment of a playlist: as many groups of pictures as it takes to make it long enough."""
    return gop * max(1, math.ceil(Fraction(SEGMENT_SECONDS - SEGMENT_SLACK) * fps / gop))


def choose_sounds(tracks: Sequence[AudioTrack], chosen: Sequence[int] | None) -> list[AudioTrack]:
    """The tracks that are to be heard, the usual one first: those chosen that are there, else the one marked as default,
    else the first; none for a silent film."""
    by_index = {track.index: track for track in tracks}
    found = [by_index[index] for index in dict.fromkeys(chosen or ()) if index in by_index][:MAX_SOUNDS]
    if found or not tracks:
        return found
    return [next((track for track in tracks if track.default), tracks[0])]


def chunks(total: int, gop: int, fps: Fraction, chunk_seconds: float | None) -> tuple[Chunk, ...]:
    """Cut `total` frames into chunks of whole segments (of whole groups of pictures, where a chunk is to be shorter than
    a segment); one chunk when `chunk_seconds` is None. A rest shorter than a quarter of a chunk joins the one before it.
    """
    if chunk_seconds is None:
        return (Chunk(0, 0, total),)
    unit = segment_frames(gop, fps) if chunk_seconds >= SEGMENT_SECONDS else gop
    size = unit * max(1, round(chunk_seconds * fps / unit))
    count = max(1, -(-total // size))
    if count > 1 and (total - (count - 1) * size) * 4 < size:
        count -= 1
    return tuple(
        Chunk(index, index * size, (total - index * size) if index == count - 1 else size) for index in range(count)
    )


def _with_rest(parts: tuple[Chunk, ...], total: int) -> tuple[Chunk, ...]:
    """The last chunk takes the time after the last picture too: a chunk of its own would find nothing to show."""
    last = parts[-1]
    return (*parts[:-1], Chunk(last.index, last.start, total - last.start))


def may_copy(probe: Probe, video: VideoStream, rung: Rung, fps: Fraction) -> bool:
    """Whether the source's own picture can serve as this rung: plain H.264 that browsers play and that can be cut."""
    return (
        probe.demuxer in ("mov", "matroska")
        and video.codec == "h264"
        and video.pixel_format == "yuv420p"
        and video.profile in ("Baseline", "Constrained Baseline", "Main", "High")
        and not video.interlaced
        and video.hdr is None
        and video.rotation == 0
        and video.pixel_aspect == "1/1"
        and (video.width, video.height) == (rung.width, rung.height)
        and not video.variable
        and not video.parameters_change
        and abs(video.average_rate / float(fps) - 1) < 0.01
        and abs(video.first_seconds) * float(fps) < 1
        and video.starts_with_keyframe
        and video.keyframe_gap_seconds <= MAX_COPIED_KEYFRAME_GAP_SECONDS + 1 / float(fps)
        and video.bit_rate <= MAX_COPIED_RATE * rung.maxrate * 1000
        and video.peak_bit_rate <= MAX_COPIED_PEAK * rung.maxrate * 1000
    )


def _rungs(width: int, height: int) -> tuple[Rung, ...]:
    """The rows at or under the source's short edge, and one at its own size when it lies between two rows."""
    short = min(width, height)
    rungs: list[Rung] = []
    above = [row for row in LADDER if row.short_edge >= short]
    for row in LADDER:
        if row.short_edge > short and row != above[-1]:
            continue
        edge = min(row.short_edge, short)
        if edge < short and rungs and min(rungs[-1].width, rungs[-1].height) < TOO_CLOSE * edge:
            rungs.pop()
        scaled = (
            min(_even(width * edge / short), width & ~1 or 2),
            min(_even(height * edge / short), height & ~1 or 2),
        )
        rungs.append(Rung(f"{edge - edge % 2 or 2}p", *scaled, crf=row.crf, maxrate=row.maxrate))
    return tuple(rungs)


def _even(pixels: float) -> int:
    """The nearest even number, as 4:2:0 pictures need."""
    return max(2, round(pixels / 2) * 2)
