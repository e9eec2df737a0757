"""A short recording made on the spot: two renditions and sound as single-file fMP4, playlists, captions, previews."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

import imageio_ffmpeg
from PIL import Image

SECONDS = 20
SEGMENT = 2
RUNGS = ((240, "250k"), (120, "80k"))
CUES = [
    (0.5, 3.0, "Good morning, my name is Ann."),
    (3.2, 6.0, "Thank you for coming in today."),
    (6.5, 9.0, "I want to say sorry\nfor what happened."),
    (9.5, 13.0, "[door closes]"),
    (13.5, 19.0, "We are sorry that nobody told you."),
]


def boxes(data: bytes) -> list[tuple[str, int, int]]:
    """Top-level boxes of an MP4: (type, offset, size), ISO/IEC 14496-12 section 4.2, 32-bit sizes only."""
    found, offset = [], 0
    while offset < len(data):
        size, kind = struct.unpack(">I4s", data[offset : offset + 8])
        found.append((kind.decode(), offset, size))
        offset += size
    return found


def media_playlist(path: Path) -> str:
    """A byte-range playlist over a file with one fragment per SEGMENT seconds."""
    parts = boxes(path.read_bytes())
    first = next(offset for kind, offset, _ in parts if kind == "moof")
    fragments = [(o, s + parts[i + 1][2]) for i, (kind, o, s) in enumerate(parts) if kind == "moof"]
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{SEGMENT + 1}", "#EXT-X-PLAYLIST-TYPE:VOD"]
    lines.append(f'#EXT-X-MAP:URI="{path.name}",BYTERANGE="{first}@0"')
    for offset, size in fragments:
        lines += [f"#EXTINF:{SEGMENT:.3f},", f"#EXT-X-BYTERANGE:{size}@{offset}", path.name]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *arguments], check=True)


def stamp(seconds: float) -> str:
    """A WebVTT timestamp."""
    return f"{int(seconds) // 3600:02d}:{int(seconds) // 60 % 60:02d}:{seconds % 60:06.3f}"


def make_media(folder: Path) -> Path:
    """Fill `folder` with small.mp4, master.m3u8 and what it names, captions.vtt, storyboard.json and .jpg."""
    fragmented = ["-movflags", "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets"]
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "20", "-sc_threshold", "0"]
    source = ["-f", "lavfi", "-i", f"testsrc2=s=426x240:r=10:d={SECONDS}"]
    tone = ["-f", "lavfi", "-i", f"sine=f=330:r=48000:d={SECONDS}"]
    _ffmpeg(*source, *tone, *encode, "-c:a", "aac", "-b:a", "48k", "-movflags", "+faststart", str(folder / "small.mp4"))
    master = ["#EXTM3U", "#EXT-X-VERSION:7"]
    master.append('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",DEFAULT=YES,URI="audio.m3u8"')
    for height, rate in RUNGS:
        path = folder / f"{height}p.mp4"
        size = ["-vf", f"scale=-2:{height}", "-b:v", rate]
        _ffmpeg("-i", str(folder / "small.mp4"), "-an", *size, *encode, *fragmented, str(path))
        (folder / f"{height}p.m3u8").write_text(media_playlist(path))
        width = round(height * 16 / 9 / 2) * 2
        master.append(
            f'#EXT-X-STREAM-INF:BANDWIDTH={int(rate[:-1]) * 1500},RESOLUTION={width}x{height},CODECS="avc1.42c00d,mp4a.40.2",AUDIO="a"'
        )
        master.append(f"{height}p.m3u8")
    audio = folder / "audio.mp4"
    cut = ["-movflags", "+empty_moov+default_base_moof", "-frag_duration", str(SEGMENT * 1_000_000)]
    _ffmpeg("-i", str(folder / "small.mp4"), "-vn", "-c:a", "copy", *cut, str(audio))
    (folder / "audio.m3u8").write_text(media_playlist(audio))
    (folder / "master.m3u8").write_text("\n".join([*master, ""]))
    blocks = [f"{stamp(start)} --> {stamp(end)}\n{text}\n" for start, end, text in CUES]
    (folder / "captions.vtt").write_text("WEBVTT\n\n" + "\n".join(blocks))
    sheet = Image.new("RGB", (5 * 160, 2 * 90))
    for n in range(10):
        sheet.paste((20 * n, 90, 200 - 15 * n), (n % 5 * 160, n // 5 * 90, n % 5 * 160 + 160, n // 5 * 90 + 90))
    sheet.save(folder / "storyboard.jpg")
    board = {"interval": 2, "width": 160, "height": 90, "columns": 5, "count": 10, "images": ["storyboard.jpg"]}
    (folder / "storyboard.json").write_text(json.dumps(board))
    sheet.crop((0, 0, 160, 90)).resize((426, 240)).save(folder / "poster.jpg")
    return folder
