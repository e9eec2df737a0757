"""A DASH manifest over the same objects as the HLS playlists: one file a rendition, segments as byte ranges. Pure.

ISO/IEC 23009-1, full profile: a segment list with a time line, since our files carry no index of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.etree import ElementTree

from app.media.fmp4 import Index
from app.media.playlists import Segment, Variant, rates, segments

MIME_TYPE = "application/dash+xml"
NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
_UNITS = 1_000_000  # a second; the indexes keep microseconds


def manifest(variants: Sequence[Variant], audio: Index | None, *, uri: Callable[[str], str], audio_name: str) -> str:
    """The manifest as XML.

    Args:
        variants: renditions of the picture; those of one codec are alternatives of one adaptation set.
        uri: the address of the object of a name, relative to the manifest.
    """
    longest = max(index.duration for index in (*(variant.index for variant in variants), *((audio,) if audio else ())))
    root = ElementTree.Element(
        "MPD",
        {
            "xmlns": NAMESPACE,
            "profiles": "urn:mpeg:dash:profile:full:2011",
            "type": "static",
            "mediaPresentationDuration": f"PT{longest:.3f}S",
            "minBufferTime": "PT4S",
        },
    )
    period = ElementTree.SubElement(root, "Period", {"id": "0", "start": "PT0S"})
    coders = dict.fromkeys(variant.index.codecs.partition(".")[0] for variant in variants)
    for coder in coders:
        own = [variant for variant in variants if variant.index.codecs.partition(".")[0] == coder]
        _pictures(period, own, uri)
    if audio is not None:
        sound = ElementTree.SubElement(
            period, "AdaptationSet", {"contentType": "audio", "mimeType": "audio/mp4", "startWithSAP": "1"}
        )
        peak, _ = rates(segments(audio))
        shown = ElementTree.SubElement(
            sound, "Representation", {"id": audio_name, "bandwidth": str(peak), "codecs": audio.codecs}
        )
        _list(shown, audio, uri(audio_name))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _pictures(period: ElementTree.Element, variants: Sequence[Variant], uri: Callable[[str], str]) -> None:
    lines = {tuple(_line(variant.index)) for variant in variants}
    group = ElementTree.SubElement(
        period,
        "AdaptationSet",
        {
            "contentType": "video",
            "mimeType": "video/mp4",
            # a copied rung is cut at keyframes of its own
            "segmentAlignment": "true" if len(lines) == 1 else "false",
            "startWithSAP": "1",
        },
    )
    for variant in variants:
        index = variant.index
        peak, _ = rates(segments(index))
        shown = ElementTree.SubElement(
            group,
            "Representation",
            {
                "id": variant.name,
                "bandwidth": str(peak),
                "codecs": index.codecs,
                "width": str(index.width),
                "height": str(index.height),
                "frameRate": f"{variant.fps.numerator}/{variant.fps.denominator}",
            },
        )
        _list(shown, index, uri(variant.name))


def _line(index: Index) -> list[tuple[int, int]]:
    """(start, duration) of each segment in units, without gaps from rounding."""
    found, at = [], index.fragments[0].start
    for part in segments(index):
        start, at = round(at * _UNITS), at + part.duration
        found.append((start, round(at * _UNITS) - start))
    return found


def _list(shown: ElementTree.Element, index: Index, address: str) -> None:
    ElementTree.SubElement(shown, "BaseURL").text = address
    listed = ElementTree.SubElement(shown, "SegmentList", {"timescale": str(_UNITS)})
    ElementTree.SubElement(listed, "Initialization", {"range": f"0-{index.init_length - 1}"})
    timeline = ElementTree.SubElement(listed, "SegmentTimeline")
    for start, duration in _line(index):
        ElementTree.SubElement(timeline, "S", {"t": str(max(0, start)), "d": str(duration)})
    for part in segments(index):
        ElementTree.SubElement(listed, "SegmentURL", {"mediaRange": _range(part)})


def _range(part: Segment) -> str:
    """First and last byte."""
    return f"{part.offset}-{part.offset + part.size - 1}"
