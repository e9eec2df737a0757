"""The formats in which captions come and go, in one table: what each is called, read by, and written by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from app.captions import docx, plaintext, srt, ttml, webvtt
from app.captions.cues import Cue
from app.captions.tracks import Track, check_size
from app.errors import Invalid

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@dataclass(frozen=True, slots=True)
class Format:
    """`name` is also the ending of its files. `timed`: the file says when; otherwise times come from other captions."""

    name: str
    label: str
    media_type: str
    timed: bool
    write: Callable[..., str | bytes]


def _write_webvtt(cues: Iterable[Cue], *, language: str, title: str = "", note: str = "") -> str:
    return webvtt.write(cues, language=language, note="\n".join(filter(None, (title, note))))


FORMATS: dict[str, Format] = {
    found.name: found
    for found in (
        Format("vtt", "WebVTT", "text/vtt; charset=utf-8", True, _write_webvtt),
        Format("srt", "SubRip", "application/x-subrip; charset=utf-8", True, srt.write),
        Format("ttml", "TTML", "application/ttml+xml; charset=utf-8", True, ttml.write),
        Format("txt", "plain text", "text/plain; charset=utf-8", False, plaintext.write),
        Format("docx", "Word", WORD, True, docx.write),
    )
}
#: Other endings under which the formats come.
ALSO = {"webvtt": "vtt", "xml": "ttml", "dfxp": "ttml", "itt": "ttml", "text": "txt"}


def format_of(data: bytes, filename: str) -> str:
    """Which format a file is: by how it begins where that is plain, else by its ending.

    Raises:
        Invalid: neither says.
    """
    start = data[:200].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"PK\x03\x04"):
        return "docx"
    if start.startswith(b"WEBVTT"):
        return "vtt"
    if start.startswith((b"<?xml", b"<tt", b"<!DOCTYPE")):
        return "ttml"
    ending = filename.rpartition(".")[2].strip().lower() if "." in filename else ""
    known = ALSO.get(ending, ending)
    if known not in FORMATS:
        raise Invalid("The file must be WebVTT (.vtt), SubRip (.srt), TTML (.ttml), plain text (.txt) or Word (.docx).")
    return known


def read(
    data: bytes,
    filename: str,
    *,
    existing: Sequence[Cue] = (),
    duration_ms: int = 0,
    speakers: Collection[str] = (),
) -> Track:
    """The captions of a file in any of the formats.

    Args:
        existing: captions of the recording from which a text without times takes them.
        speakers: names that are known, for formats that have no field for who speaks.
    Raises:
        TooLarge: more bytes, captions or characters than `tracks` allows.
        Invalid: it cannot be read, or has no captions; the sentence says where, and what to do.
    """
    check_size(data)
    kind = format_of(data, filename)
    found: Track | str
    if kind == "vtt":
        found = webvtt.parse(data)
    elif kind == "srt":
        found = srt.parse(data, speakers=speakers)
    elif kind == "ttml":
        found = ttml.parse(data)
    elif kind == "docx":
        found = docx.parse(data)
    else:
        found = plaintext.parse(data, existing, duration_ms=duration_ms, speakers=speakers)
    if isinstance(found, str):
        found = plaintext.parse(found, existing, duration_ms=duration_ms, speakers=speakers)
    if not found.cues:
        raise Invalid("There are no captions in this file.")
    return found


def write(kind: str, cues: Iterable[Cue], *, language: str, title: str = "", note: str = "") -> bytes:
    """A file in one of the formats, with title and note where it has a place for them.

    Raises:
        Invalid: cues that no parser would take; see `tracks.checked`.
    """
    made = FORMATS[kind].write(cues, language=language, title=title, note=note)
    return made if isinstance(made, bytes) else made.encode()
