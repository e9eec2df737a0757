"""HLS playlists with byte ranges into one object per rendition (RFC 8216 and draft-pantos-hls-rfc8216bis). Pure.

The caller says what the addresses are. Captions are not listed: they reach the player as `<track>` elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from app.media.fmp4 import Fragment, Index

SEGMENT_SECONDS = 4.0  # a segment ends with the first fragment that makes it at least this long, give or take
SEGMENT_SLACK = 0.05
_AUDIO_GROUP = "audio"
MIME_TYPE = "application/vnd.apple.mpegurl"


@dataclass(frozen=True)
class Segment:
    """A byte range that is asked for at once. Bytes and seconds."""

    offset: int
    size: int
    duration: float


@dataclass(frozen=True)
class Variant:
    """One rendition of the picture, as the multivariant playlist names it. `fps` may be a fraction."""

    name: str
    index: Index
    fps: Fraction


def segments(index: Index) -> list[Segment]:
    """The fragments grouped to segments of 4 s or a little more; a short rest joins the last one."""
    groups: list[list[Fragment]] = []
    for fragment in index.fragments:
        if not groups or sum(item.duration for item in groups[-1]) >= SEGMENT_SECONDS - SEGMENT_SLACK:
            groups.append([])
        groups[-1].append(fragment)
    if len(groups) > 1 and sum(item.duration for item in groups[-1]) < SEGMENT_SECONDS / 4:
        rest = groups.pop()
        groups[-1] += rest
    return [
        Segment(group[0].offset, sum(item.size for item in group), sum(item.duration for item in group))
        for group in groups
    ]


def rates(parts: Sequence[Segment]) -> tuple[int, int]:
    """(peak, average) bit/s. Peak as in RFC 8216, 4.1: the largest rate of contiguous segments whose durations add
    up to between 0.5 and 1.5 target durations."""
    target = target_duration(parts)
    peak = 0.0
    for first in range(len(parts)):
        size, seconds = 0, 0.0
        for part in parts[first:]:
            size, seconds = size + part.size, seconds + part.duration
            if seconds > 1.5 * target:
                break
            if seconds >= 0.5 * target:
                peak = max(peak, size * 8 / seconds)
    total = sum(part.size for part in parts) * 8 / max(sum(part.duration for part in parts), 1e-6)
    return math.ceil(max(peak, total)), math.ceil(total)


def target_duration(parts: Sequence[Segment]) -> int:
    """Whole seconds that no segment's rounded duration exceeds (RFC 8216, 4.3.3.1)."""
    return max(1, *(math.floor(part.duration + 0.5) for part in parts))


@dataclass(frozen=True)
class Piece:
    """One chunk that has been encoded: its number, and the structure of its own file."""

    number: int
    index: Index


def whole(pieces: Sequence[Piece]) -> Index:
    """What the pieces will be together, for rates and durations; offsets are those inside each piece."""
    first = pieces[0].index
    return replace(first, fragments=tuple(fragment for piece in pieces for fragment in piece.index.fragments))


def growing(pieces: Sequence[Piece], uri: Callable[[Piece], str], *, iframes: bool = False) -> str:
    """The media playlist of a rendition whose chunks are still being encoded: those that there are, from the first on;
    with `iframes` their key frames only.

    It is an event (RFC 8216, 4.3.3.5): players ask for it again until a playlist with an end takes its place, which has
    the same segments at the same numbers.
    """
    cut, tags = (keyframes, ["#EXT-X-I-FRAMES-ONLY"]) if iframes else (segments, [])
    parts = [(piece, part) for piece in pieces for part in cut(piece.index)]
    lines = _head([part for _, part in parts], *tags, kind="EVENT")
    for place, (piece, part) in enumerate(parts):
        if place == 0 or parts[place - 1][0] is not piece:
            # each piece begins with its own copy of the init part; they are alike
            lines.append(f'#EXT-X-MAP:URI="{_quoted(uri(piece))}",BYTERANGE="{piece.index.init_length}@0"')
        lines += [f"#EXTINF:{part.duration:.6f},", f"#EXT-X-BYTERANGE:{part.size}@{part.offset}", _line(uri(piece))]
    return "\n".join([*lines, ""])


def media(index: Index, uri: Callable[[Segment], str], *, growing: bool = False) -> str:
    """The media playlist of a rendition. `uri` gives the address of a segment's object; the range says which part.

    The byte-range tag stands right before the address, and the map's range is a quoted string, or players fail.
    `growing`: the picture beside it is not complete yet, so that this has no end either.
    """
    parts = segments(index)
    lines = _head(parts, kind="EVENT" if growing else "VOD")
    init = Segment(0, index.init_length, 0.0)
    lines.append(f'#EXT-X-MAP:URI="{_quoted(uri(init))}",BYTERANGE="{init.size}@0"')
    for part in parts:
        lines += [f"#EXTINF:{part.duration:.6f},", f"#EXT-X-BYTERANGE:{part.size}@{part.offset}", _line(uri(part))]
    return "\n".join([*lines, *([] if growing else ["#EXT-X-ENDLIST"]), ""])


def keyframes(index: Index) -> list[Segment]:
    """The first picture of every fragment, with the fragment's header, as I-frame playlists want it."""
    return [Segment(item.offset, item.key_bytes, item.duration) for item in index.fragments]


def iframes(index: Index, uri: Callable[[Segment], str]) -> str:
    """The I-frame playlist of a rendition (RFC 8216, 4.3.3.6)."""
    parts = keyframes(index)
    lines = _head(parts, "#EXT-X-I-FRAMES-ONLY")
    init = Segment(0, index.init_length, 0.0)
    lines.append(f'#EXT-X-MAP:URI="{_quoted(uri(init))}",BYTERANGE="{init.size}@0"')
    for part in parts:
        lines += [f"#EXTINF:{part.duration:.6f},", f"#EXT-X-BYTERANGE:{part.size}@{part.offset}", _line(uri(part))]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


@dataclass(frozen=True)
class Track:
    """One track of sound, as the multivariant playlist names it: no two labels of a playlist may be alike. `language` is
    a BCP 47 tag or empty; `describes` marks sound that tells what is to be seen."""

    name: str
    index: Index
    label: str
    language: str = ""
    describes: bool = False


def multivariant(
    variants: Sequence[Variant],
    tracks: Sequence[Track],
    *,
    media_uri: Callable[[str], str],
    iframes_uri: Callable[[str], str],
    audio_uri: Callable[[str], str],
) -> str:
    """The playlist of playlists. Names are those of variants and tracks; the first of each is what a player starts with.
    Without variants, the sound is all there is.

    `BANDWIDTH` is measured, and holds the sound's peak too, because it is fetched beside the picture.
    """
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    sound_peak, sound_average, sound_codec, group = 0, 0, "", ""
    for place, track in enumerate(tracks):
        peak, average = rates(segments(track.index))
        sound_peak, sound_average = max(sound_peak, peak), max(sound_average, average)
        sound_codec, group = f",{track.index.codecs}", f',AUDIO="{_AUDIO_GROUP}"'
        spoken = f',LANGUAGE="{_quoted(track.language)}"' if track.language else ""
        describes = ',CHARACTERISTICS="public.accessibility.describes-video"' if track.describes else ""
        chosen = "DEFAULT=YES,AUTOSELECT=YES" if place == 0 else "DEFAULT=NO,AUTOSELECT=YES"
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{_AUDIO_GROUP}",NAME="{_quoted(track.label)}"{spoken},{chosen}{describes},'
            f'CHANNELS="2",URI="{_quoted(audio_uri(track.name))}"'
        )
    if not variants and tracks:
        first = tracks[0]
        lines += [
            f'#EXT-X-STREAM-INF:BANDWIDTH={sound_peak},AVERAGE-BANDWIDTH={sound_average},CODECS="{first.index.codecs}"{group}',
            _line(audio_uri(first.name)),
        ]
    for variant in variants:
        peak, average = rates(segments(variant.index))
        lines += [
            f"#EXT-X-STREAM-INF:BANDWIDTH={peak + sound_peak},AVERAGE-BANDWIDTH={average + sound_average},"
            f'CODECS="{variant.index.codecs}{sound_codec}",RESOLUTION={variant.index.width}x{variant.index.height},'
            f"FRAME-RATE={float(variant.fps):.3f}{group}",
            _line(media_uri(variant.name)),
        ]
    for variant in variants:
        peak, average = rates(keyframes(variant.index))
        lines.append(
            f"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},"
            f'CODECS="{variant.index.codecs}",RESOLUTION={variant.index.width}x{variant.index.height},'
            f'URI="{_quoted(iframes_uri(variant.name))}"'
        )
    return "\n".join([*lines, ""])


def _head(parts: Sequence[Segment], *tags: str, kind: str = "VOD") -> list[str]:
    return [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{target_duration(parts)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{kind}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        *tags,
    ]


def _quoted(value: str) -> str:
    """A value fit to stand in a quoted string (RFC 8216, 4.2). ValueError for what would break out of it."""
    if any(character in value for character in '"\r\n'):
        raise ValueError("a quoted string holds no quotation mark and no line end")
    return value


def _line(value: str) -> str:
    """An address fit to stand on a line of its own."""
    if not value or value.startswith("#") or any(character in value for character in "\r\n"):
        raise ValueError("an address is one line that does not begin with #")
    return value
