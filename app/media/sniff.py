"""What a file is not: refusals that its first bytes already give.

These checks come before any demuxer sees the file, because the dangerous formats (playlists, concatenation scripts,
session descriptions) are text, and a text file is never a recording. What passes here is not yet a video: `probe`
goes on from there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from app.errors import RejectedMedia

HEAD_BYTES = 4096

# code -> what the person reads. Each says what is wrong and what to do (NHS digital service manual, file upload).
SENTENCES = {
    "empty-file": "The selected file is empty. Choose the file again, or export it again from your camera or phone.",
    "not-a-video": (
        "The selected file must be a video, for example an MP4, MOV, MKV, WMV, AVI or MPEG file, or a sound recording, "
        "for example an MP3, M4A or WAV file."
    ),
    "image": "The selected file is a picture. The selected file must be a video or a sound recording.",
    "refers-elsewhere": (
        "The selected file is a playlist that points to other files. The selected file must be the video itself."
    ),
    "truncated": (
        "The selected file is incomplete: its end is missing. Copy it again from the camera or phone, check that it "
        "plays there to the end, then upload it again."
    ),
    "undecodable": (
        "The selected file is damaged or uses a format that cannot be read. Export it as an MP4 video and upload it again."
    ),
    "encrypted": (
        "The selected file is protected: its picture cannot be read without a key. Export it without protection and upload "
        "it again."
    ),
    "too-long": "The selected file must be shorter than {limit}. Split the recording and upload the parts.",
    "broken-times": (
        "The times inside the selected file are broken. Export it again as an MP4 video and upload it again."
    ),
    "picture-too-large": (
        "The picture of the selected file must be at most 36 million pixels. Export it at 4K or smaller and upload it again."
    ),
    "too-complex": (
        "The selected file takes more memory or time to read than is allowed. Export it as an MP4 video and upload it again."
    ),
}

_POINTS_ELSEWHERE = re.compile(
    rb"#extm3u|ffconcat\b|file\s+['\"\w/.]|v=0\s*[\r\n]+o=|<mpd\b|<smil\b|<asx\b|\[reference\]|\[playlist\]"
    rb"|<\?xml[^>]*>\s*(<!--.*?-->\s*)*<(mpd|smil|asx|playlist)\b|rtsp(text|://)|#!rtsp|stream\b",
    re.IGNORECASE | re.DOTALL,
)
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"\x00\x00\x01\x00", b"8BPS", b"qoif")
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif"}
_NOTES = (b"MThd",)  # notes to be played, not sound
_ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"%PDF",
    b"Rar!",
    b"7z\xbc\xaf",
    b"\x1f\x8b",
    b"\xd0\xcf\x11\xe0",
    b"\x7fELF",
    b"MZ",
)


def rejected(code: str, **values: str) -> RejectedMedia:
    """The refusal with this code, ready to raise."""
    return RejectedMedia(SENTENCES[code].format(**values), code=code)


def reason(head: bytes) -> str | None:
    """The code of the rule that a file starting with `head` (up to `HEAD_BYTES`) breaks, or None."""
    if not head:
        return "empty-file"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _POINTS_ELSEWHERE.match(text):
        return "refers-elsewhere"
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "image"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "image"
    if head.startswith((*_ARCHIVES, *_NOTES)) or _is_text(head):
        return "not-a-video"
    return None


def _is_text(head: bytes) -> bool:
    """True when nothing in `head` is outside what text files hold: containers of video all begin with binary fields."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):  # UTF-16
        return True
    return not any((byte < 32 and byte not in b"\t\n\r\x0c\x1b") or byte == 127 for byte in head)


def index_is_missing(file: BinaryIO, size: int) -> bool:
    """True for an MP4 or QuickTime file without its `moov` box, or whose last box runs past the end of the file.

    Cameras write `moov` last, so a cut-off copy has none. Reads box headers only (ISO/IEC 14496-12, 4.2); stops after
    100,000 boxes.
    """
    position, seen_moov = 0, False
    for number in range(100_000):
        if position + 8 > size:
            break
        file.seek(position)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if number == 0 and kind not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
            return False
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size - position
        seen_moov = seen_moov or kind == b"moov"
        if length < 8:
            break
        position += length
    return not seen_moov


def check(source: Path) -> int:
    """Refuse what the first bytes already give away. Returns the size in bytes.

    Raises:
        RejectedMedia: with one of the codes of `SENTENCES`.
    """
    size = source.stat().st_size
    with source.open("rb") as file:
        code = reason(file.read(HEAD_BYTES))
        if code is None and index_is_missing(file, size):
            code = "truncated"
    if code is not None:
        raise rejected(code)
    return size
