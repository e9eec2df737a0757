"""Files that are made to harm: that point at other files and addresses, or cost far more than they look.

For `tests/media/test_hostile.py` and `bench/hostile.py`. Each maker gets a `Workshop` and returns the file's bytes. In
texts, CANARY stands for the path of a file that must not be read, and HTTP for an address that must not be asked.
"""

from __future__ import annotations

import ctypes
import os
import random
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from app.media import commands

MARK = b"the neighbour's confidential words"
_NUMBERED = "nullsrc=s=128x96:r=25:d=2,geq=lum='20+mod(N*37,200)':cb=128:cr=128"
_IN_OPEN, _IN_ACCESS = 0x20, 0x1


class Trap:
    """A canary file, a neighbour's recording, and a web server on loopback: all of them notice when they are touched."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.canary, self.neighbour = folder / "canary.txt", folder / "neighbour.mp4"
        self.canary.write_bytes(MARK * 4)
        self.neighbour.write_bytes(Workshop(folder).video("neighbour.mp4", "-metadata", f"title={MARK.decode()}"))
        self._asked: list[str] = []
        asked = self._asked

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(404)
                self.end_headers()

            do_HEAD = do_POST = do_OPTIONS = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self._server.server_port}/canary"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        libc = ctypes.CDLL(None, use_errno=True)
        self._inotify = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for path in (self.canary, self.neighbour):
            if libc.inotify_add_watch(self._inotify, os.fsencode(path), _IN_OPEN | _IN_ACCESS) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def touched(self) -> list[str]:
        """What was read or asked since the last look."""
        found = [f"asked for {path}" for path in self._asked]
        self._asked.clear()
        try:
            while events := os.read(self._inotify, 65536):
                found.append(f"files were opened or read ({len(events)} bytes of events)")
        except BlockingIOError:
            return found
        return found

    def close(self) -> None:
        """End the server and the watch."""
        self._server.shutdown()
        self._server.server_close()
        os.close(self._inotify)


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Peak resident bytes of each program that ends inside the block, as wait4(2) tells them."""
    peaks: list[int] = []
    real = os.wait4

    def wait4(pid: int, options: int) -> tuple[int, int, Any]:
        found = real(pid, options)
        if found[0]:
            peaks.append(found[2].ru_maxrss * 1024)
        return found

    os.wait4 = wait4
    try:
        yield peaks
    finally:
        os.wait4 = real


@dataclass(frozen=True)
class Workshop:
    """Makes the ordinary files that are then spoilt."""

    folder: Path

    def video(
        self,
        name: str,
        *options: str,
        sound: str = "sine=440:d=2",
        picture: str = _NUMBERED,
        also: tuple[str, ...] = (),
    ) -> bytes:
        """Two seconds of picture and sound in the container that the name says."""
        path = self.folder / f"made-{name}"
        argv = [
            commands.ffmpeg_path(),
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            picture,
        ]
        if sound:
            argv += ["-f", "lavfi", "-i", sound]
        argv += also
        if "-c:v" not in options:
            argv += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        subprocess.run([*argv, *options, str(path)], check=True, timeout=120)
        data = path.read_bytes()
        path.unlink()
        return data


# -- texts: code that the product answers, body --------------------------------------------------------------------

_ELSEWHERE, _NO_VIDEO = "refers-elsewhere", "not-a-video"
TEXTS: dict[str, tuple[str, bytes]] = {
    "m3u8": (_ELSEWHERE, b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nCANARY\n#EXT-X-ENDLIST\n"),
    "m3u8-file": (_ELSEWHERE, b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:CANARY\n#EXT-X-ENDLIST\n"),
    "m3u8-http": (_ELSEWHERE, b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nHTTP.ts\n#EXT-X-ENDLIST\n"),
    "m3u8-key": (_ELSEWHERE, b'#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-KEY:METHOD=AES-128,URI="CANARY"\n#EXTINF:5,\nHTTP.ts\n#EXT-X-ENDLIST\n'),
    "m3u8-map": (_ELSEWHERE, b'#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-MAP:URI="file://CANARY"\n#EXTINF:5,\nHTTP.mp4\n#EXT-X-ENDLIST\n'),
    "m3u8-data": (_ELSEWHERE, b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\ndata:text/plain;base64,I0VYVE0zVQo=\n#EXT-X-ENDLIST\n"),
    "m3u8-concat": (_ELSEWHERE, b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nconcat:HTTP|file:CANARY\n#EXT-X-ENDLIST\n"),
    "m3u8-master": (_ELSEWHERE, b"\xef\xbb\xbf\n\n#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nHTTP.m3u8\n"),
    "m3u8-utf16": (_NO_VIDEO, "#EXTM3U\n#EXTINF:5,\nCANARY\n".encode("utf-16")),
    "mpd": (_ELSEWHERE, b'<?xml version="1.0"?>\n<MPD><Period><AdaptationSet><Representation id="a"><BaseURL>file://CANARY</BaseURL></Representation></AdaptationSet></Period></MPD>'),
    "mpd-http": (_ELSEWHERE, b'<?xml version="1.0"?>\n<!-- a --><MPD xmlns:xlink="http://www.w3.org/1999/xlink"><Period xlink:href="HTTP.mpd"/></MPD>'),
    "ffconcat": (_ELSEWHERE, b"ffconcat version 1.0\nfile CANARY\n"),
    "ffconcat-option": (_ELSEWHERE, b"ffconcat version 1.0\nfile 'HTTP'\noption safe 0\n"),
    "concat": (_ELSEWHERE, b"file 'file:CANARY'\nduration 5\n"),
    "session": (_ELSEWHERE, b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"),
    "smooth": (_NO_VIDEO, b'<?xml version="1.0"?>\n<SmoothStreamingMedia MajorVersion="2"><StreamIndex Type="video" Url="HTTP/{start time}"/></SmoothStreamingMedia>'),
    "smil": (_ELSEWHERE, b'<smil><body><video src="file://CANARY"/></body></smil>'),
    "ism": (_ELSEWHERE, b'<?xml version="1.0"?>\n<smil xmlns="http://www.w3.org/2001/SMIL20/Language"><body><switch><video src="CANARY"/></switch></body></smil>'),
    "asx": (_ELSEWHERE, b'<asx version="3.0"><entry><ref href="HTTP"/></entry></asx>'),
    "pls": (_ELSEWHERE, b"[playlist]\nFile1=CANARY\nNumberOfEntries=1\n"),
    "xspf": (_ELSEWHERE, b'<?xml version="1.0"?>\n<playlist version="1"><trackList><track><location>HTTP</location></track></trackList></playlist>'),
    "reference": (_ELSEWHERE, b"[Reference]\r\nRef1=HTTP\r\n"),
    "rtsp-text": (_ELSEWHERE, b"RTSPtext\nrtsp://127.0.0.1/canary\n"),
    "imf": (_NO_VIDEO, b'<?xml version="1.0"?>\n<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>urn:uuid:1</Id></CompositionPlaylist>'),
    "svg": (_NO_VIDEO, b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="file://CANARY"/></svg>'),
    "avisynth": (_NO_VIDEO, b'AVISource("CANARY")\n'),
    "metadata": (_NO_VIDEO, b";FFMETADATA1\ntitle=file:CANARY\n"),
    "srt": (_NO_VIDEO, b'1\n00:00:00,000 --> 00:00:02,000\n<img src="file://CANARY"><font face="HTTP">hello</font>\n'),
    "vtt": (_NO_VIDEO, b"WEBVTT\n\nSTYLE\n::cue { background: url(HTTP) }\n\n00:00.000 --> 00:02.000\nhello\n"),
    "ass": (_NO_VIDEO, b"[Script Info]\nVideo File: CANARY\nAudio File: HTTP\n[Events]\nDialogue: 0,0:00:00.00,0:00:02.00,,,0,0,0,,{\\fnCANARY}hello\n"),
    "idx": (_NO_VIDEO, b"# VobSub index file, v7 (do not modify this line!)\nsize: 128x96\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n"),
    "ttml": (_NO_VIDEO, b'<?xml version="1.0"?>\n<tt xmlns="http://www.w3.org/ns/ttml"><head><layout/></head><body><div><p><image src="HTTP"/></p></div></body></tt>'),
    "sami": (_NO_VIDEO, b'<SAMI><BODY><SYNC Start=0><P><IMG SRC="HTTP"></BODY></SAMI>'),
    "pattern": (_NO_VIDEO, b"/etc/%d.png\n" * 40),
    "shell": (_NO_VIDEO, b"#!/bin/sh\ncat CANARY\n"),
}  # fmt: skip


def text(name: str, trap: Trap) -> bytes:
    """The body of a text, with the trap's own addresses in it."""
    body = TEXTS[name][1]
    for encoding in ("utf-8", "utf-16-le"):
        for word, value in (("CANARY", str(trap.canary)), ("HTTP", trap.address)):
            body = body.replace(word.encode(encoding), value.encode(encoding))
    return body


# -- boxes ----------------------------------------------------------------------------------------------------------

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl")


def box(kind: bytes, body: bytes) -> bytes:
    """One box of ISO/IEC 14496-12."""
    return struct.pack(">I4s", len(body) + 8, kind) + body


def rebuilt(data: bytes, change: Callable[[bytes, bytes], bytes | None]) -> bytes:
    """The file with each box as `change(kind, body)` says; None leaves it. The media must lie before the index."""
    made, place = b"", 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + size]
        changed = change(kind, body)
        if changed is not None:
            body = changed
        elif kind in _CONTAINERS:
            body = rebuilt(body, change)
        made += box(kind, body)
        place += size
    return made


def _with_references(workshop: Workshop, reference: bytes) -> bytes:
    """A film whose samples are said to lie in another file (data reference, 8.7.2)."""
    dref = struct.pack(">II", 0, 1) + reference
    return rebuilt(workshop.video("drefs.mov"), lambda kind, _: dref if kind == b"dref" else None)


def _url_reference(workshop: Workshop, trap: Trap, where: str) -> bytes:
    return _with_references(workshop, box(b"url ", bytes(4) + where.encode() + b"\0"))


def _alias_reference(workshop: Workshop, trap: Trap) -> bytes:
    """An alias record of the Macintosh as FFmpeg reads it: volume, file name, and the absolute path as tag 18."""
    path = str(trap.canary).encode()
    head = bytearray(150)
    struct.pack_into(">HH", head, 4, 150, 2)
    name = trap.canary.name.encode()
    head[50 : 51 + len(name)] = bytes([len(name)]) + name
    tags = b""
    for kind, value in ((2, path.replace(b"/", b":")), (18, path)):
        tags += struct.pack(">HH", kind, len(value)) + value + b"\0" * (len(value) % 2)
    record = bytes(head) + tags + struct.pack(">HH", 0xFFFF, 0)
    return _with_references(workshop, box(b"alis", bytes(4) + record))


def _reference_movie(workshop: Workshop, trap: Trap) -> bytes:
    where = trap.address.encode() + b"\0"
    rdrf = box(b"rdrf", bytes(4) + b"url " + struct.pack(">I", len(where)) + where)
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"rmra", box(b"rmda", rdrf)))


def _packed_index(workshop: Workshop, trap: Trap) -> bytes:
    """An index that unpacks to 2 GB of zeros."""
    packer = zlib.compressobj(9)
    begin = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = begin + block * 2040 + packer.flush()
    cmov = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", 2040 << 20) + packed)
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"cmov", cmov))


def _endless_samples(workshop: Workshop, trap: Trap) -> bytes:
    """A track of a thousand million samples of one byte each, in one run."""

    def change(kind: bytes, body: bytes) -> bytes | None:
        if kind == b"stsz":
            return struct.pack(">III", 0, 1, 1_000_000_000)
        if kind == b"stsc":
            return struct.pack(">IIIII", 0, 1, 1, 1_000_000_000, 1)
        if kind == b"stts":
            return struct.pack(">IIII", 0, 1, 1_000_000_000, 512)
        return None

    return rebuilt(workshop.video("endless.mov"), change)


def _deep_boxes(workshop: Workshop, trap: Trap) -> bytes:
    body = b""
    for _ in range(20_000):
        body = box(b"trak", body)
    return box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", body)


def _slow_sound(workshop: Workshop, trap: Trap) -> bytes:
    """The header of the sound says four samples a second: a resampler works 4,000 times as long for each."""

    def change(kind: bytes, body: bytes) -> bytes | None:
        if kind == b"stsd" and b"sowt" in body:
            return body[:40] + struct.pack(">I", 4 << 16) + body[44:]
        if kind == b"mdhd" and body[12:16] == struct.pack(">I", 44100):
            return body[:12] + struct.pack(">I", 4) + body[16:]
        return None

    return rebuilt(workshop.video("slow.mov", "-c:a", "pcm_s16le", sound="sine=440:d=4"), change)


# -- other containers ---------------------------------------------------------------------------------------------


def _attachments(workshop: Workshop, trap: Trap) -> bytes:
    """Attachments that point and that carry names of other places; the film itself is sound."""
    note = workshop.folder / "list.m3u8"
    note.write_bytes(text("m3u8-file", trap))
    script = workshop.folder / "script.ass"
    script.write_bytes(text("ass", trap))
    options: list[str] = []
    for number, (file, kind, name) in enumerate(
        ((note, "application/vnd.apple.mpegurl", "../../canary.txt"), (script, "font/ttf", str(trap.canary)))
    ):
        options += ["-attach", str(file), f"-metadata:s:t:{number}", f"mimetype={kind}"]
        options += [f"-metadata:s:t:{number}", f"filename={name}"]
    return workshop.video("attached.mkv", *options, "-metadata", f"title=file:{trap.canary}")


def _linked_segments(workshop: Workshop, trap: Trap) -> bytes:
    """Matroska that names the files before and after it (PrevFilename, NextFilename)."""
    data = workshop.video("linked.mkv", "-live", "1")
    place = data.index(bytes.fromhex("1549a966")) + 4
    length = 9 - data[place].bit_length()
    size = int.from_bytes(data[place : place + length], "big") & ((1 << 7 * length) - 1)
    body = data[place + length : place + length + size]
    for element in ("3c83ab", "3e83bb"):
        name = str(trap.neighbour).encode()
        body += bytes.fromhex(element) + (0x4000 | len(name)).to_bytes(2, "big") + name
    return data[:place] + (0x0100000000000000 | len(body)).to_bytes(8, "big") + body + data[place + length + size :]


def _subtitled(workshop: Workshop, trap: Trap, name: str, codec: str) -> bytes:
    """A sound film with a track of subtitles that point elsewhere."""
    subtitles = workshop.folder / "pointing.srt"
    subtitles.write_bytes(text("srt", trap))
    return workshop.video(name, "-map", "0", "-map", "1", "-map", "2", "-c:s", codec, also=("-i", str(subtitles)))


def _subtitles_in_avi(workshop: Workshop, trap: Trap) -> bytes:
    """AVI whose second stream is a subtitle file in one piece (GAB2): demuxers guess what it is, and open it."""
    data = bytearray(workshop.video("inner.avi", "-c:v", "mpeg4", "-c:a", "pcm_s16le", sound="sine=440:d=2:r=48000"))
    at = data.index(b"auds")
    data[at : at + 4] = b"txts"
    first = data.index(b"01wb", data.index(b"movi"))
    size = struct.unpack_from("<I", data, first + 4)[0]
    inner = text("m3u8-file", trap)
    body = b"GAB2\0" + struct.pack("<HI", 2, 2) + b"a\0" + struct.pack("<HI", 4, len(inner)) + inner
    data[first + 8 : first + 8 + size] = body.ljust(size, b"\n")
    return bytes(data.replace(b"01wb", b"01tx"))


def _script_commands(workshop: Workshop, trap: Trap) -> bytes:
    """Windows Media with a command to open an address (Script Command Object, ASF 3.6)."""
    data = workshop.video("script.wmv", "-c:v", "wmv2", "-c:a", "wmav2")
    word, where = "URL".encode("utf-16-le"), trap.address.encode("utf-16-le")
    body = bytes(16) + struct.pack("<HHH", 1, 1, 3) + word
    body += struct.pack("<IHH", 0, 0, len(where) // 2) + where
    made = bytes.fromhex("301afb1e620bd011a39b00a0c90348f6") + struct.pack("<Q", len(body) + 24) + body
    size, count = struct.unpack_from("<QI", data, 16)
    return data[:16] + struct.pack("<QI", size + len(made), count + 1) + data[28:30] + made + data[30:]


def _growing_picture(workshop: Workshop, trap: Trap) -> bytes:
    """Small pictures first, then some whose own headers say 60,000 by 60,000."""
    data = bytearray(workshop.video("growing.mkv", "-c:v", "mjpeg", "-q:v", "5", sound=""))
    start = struct.pack(">HH", 96, 128)
    places = [n for n in range(len(data)) if data[n : n + 2] == b"\xff\xc0" and data[n + 5 : n + 9] == start]
    for place in places[20:]:
        data[place + 5 : place + 9] = struct.pack(">HH", 60_000, 60_000)
    return bytes(data)


def _many_tracks(workshop: Workshop, trap: Trap) -> bytes:
    return workshop.video("many.mov", "-c:a", "pcm_s16le", "-map", "0", *["-map", "1"] * 300, sound="sine=440:d=0.1")


def _polyglot(workshop: Workshop, trap: Trap) -> bytes:
    data = workshop.video("poly.mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof")
    return box(b"ftyp", b"isom\0\0\0\0isom") + box(b"free", text("m3u8-file", trap)) + data


def _flipped(workshop: Workshop, name: str, seed: int) -> bytes:
    """A sound film in which every thousandth byte, or so, is another one."""
    data = bytearray(workshop.video(name))
    chance = random.Random(seed)
    for _ in range(max(4, len(data) // 1000)):
        data[chance.randrange(64, len(data))] = chance.randrange(256)
    return bytes(data)


Maker = Callable[[Workshop, Trap], bytes]
#: Name -> codes that may come of it ("ready": it became a recording), and how it is made.
FILES: dict[str, tuple[tuple[str, ...], Maker]] = {
    "dref-url.mov": (("ready", "undecodable"), lambda w, t: _url_reference(w, t, f"file://{t.neighbour}")),
    "dref-http.mov": (("ready", "undecodable"), lambda w, t: _url_reference(w, t, t.address)),
    "dref-alias.mov": (("undecodable",), _alias_reference),
    "reference.mov": (("undecodable", "not-a-video"), _reference_movie),
    "packed-index.mov": (("too-complex", "undecodable"), _packed_index),
    "endless.mov": (("too-complex", "undecodable"), _endless_samples),
    "deep.mp4": (("undecodable", "not-a-video"), _deep_boxes),
    "slow-sound.mov": (("ready",), _slow_sound),
    "late-sound.mkv": (("too-long",), lambda w, t: w.video("late.mkv", "-af", "asetpts=PTS+180000/TB")),
    "many-tracks.mov": (("undecodable", "ready"), _many_tracks),
    "polyglot.mp4": (("ready",), _polyglot),
    "attached.mkv": (("ready",), _attachments),
    "linked.mkv": (("ready",), _linked_segments),
    "subtitles.mkv": (("ready",), lambda w, t: _subtitled(w, t, "text.mkv", "srt")),
    "script.mkv": (("ready",), lambda w, t: _subtitled(w, t, "script.mkv", "ass")),
    "subtitles.mp4": (("ready",), lambda w, t: _subtitled(w, t, "text.mp4", "mov_text")),
    "chapters.webm": (
        ("ready",),
        lambda w, t: w.video(
            "chapters.webm", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "16", "-c:a", "libopus", "-metadata", f"title=$(cat {t.canary})"
        ),
    ),
    "gab2.avi": (("ready",), _subtitles_in_avi),
    "commands.wmv": (("ready",), _script_commands),
    "growing.mkv": (("ready", "undecodable"), _growing_picture),
    "encrypted.mp4": (
        ("encrypted",),
        lambda w, t: w.video(
            "secret.mp4", "-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 31 + "1", "-encryption_kid", "0" * 32
        ),
    ),
    **{
        f"flipped-{seed}-{name}": (
            ("ready", "undecodable", "broken-times", "too-long", "truncated", "too-complex", "audio-only", "image",
             "not-a-video", "picture-too-large"),
            lambda w, t, name=name, seed=seed: _flipped(w, name, seed),
        )
        for seed, name in enumerate(("a.mp4", "b.mkv", "c.ts", "d.avi"), 1)
    },
}  # fmt: skip
