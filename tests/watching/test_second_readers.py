"""Our playlists and media through readers that are not ours: a strict parser, and FFmpeg's own HLS over a socket."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import m3u8
import pytest
from flask import Flask

from app.db import db
from app.domain import sign_in
from app.media.commands import ffmpeg_path
from app.settings import Settings
from app.web import create_app
from tests.support import browser as serving
from tests.support.world import Browser
from tests.watching import film
from tests.watching.conftest import Scene

RATE = 25


@pytest.fixture
def proxied(settings: Settings) -> Iterator[Flask]:
    """The application as one port serves it whole: FFmpeg sends the session's cookie to every address it is led to."""
    app = create_app(replace(settings, delivery="proxy"))
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def byte_range(words: str) -> tuple[int, int]:
    length, _, offset = words.partition("@")
    return int(length), int(offset)


def test_a_strict_parser_reads_what_we_mean(app: Flask, scene: Scene, reel: film.Reel) -> None:
    browser = Browser(app, scene.viewer)
    master = m3u8.M3U8(browser.get(f"{scene.path}/master.m3u8").text, strict=True)
    assert master.is_variant and master.is_independent_segments
    assert [item.uri for item in master.playlists] == ["480p.m3u8", "360p.m3u8"]
    assert [(item.type, item.uri, item.group_id) for item in master.media] == [("AUDIO", "audio.m3u8", "audio")]
    assert {item.uri for item in master.iframe_playlists} == {"480p.iframes.m3u8", "360p.iframes.m3u8"}
    for variant in master.playlists:
        told = variant.stream_info
        assert told.codecs.startswith("avc1.") and "mp4a.40.2" in told.codecs
        assert (told.frame_rate, told.resolution[1]) == (RATE, int(variant.uri.partition("p.")[0]))
        assert told.audio == "audio"
        check_media(browser, scene, reel, variant.uri, told.bandwidth)
    check_media(browser, scene, reel, "audio.m3u8", None)
    for frames in master.iframe_playlists:
        check_frames(browser, scene, reel, frames.uri)


def check_media(browser: Browser, scene: Scene, reel: film.Reel, uri: str, bandwidth: int | None) -> None:
    """A media playlist: whole, in order, within its target duration and what the multivariant playlist told of it."""
    found = m3u8.M3U8(browser.get(f"{scene.path}/{uri}").text, strict=True)
    assert found.is_endlist and found.playlist_type == "vod" and found.is_independent_segments
    assert int(found.version) >= 6, "a map in a playlist of pictures and sound needs version 6"
    body = reel.parts[uri.partition(".")[0]].body
    (init,) = found.segment_map
    place = sum(byte_range(init.byterange))
    assert byte_range(init.byterange)[1] == 0 and body[4:8] == b"ftyp"
    for segment in found.segments:
        length, offset = byte_range(segment.byterange)
        assert (segment.uri, offset) == (init.uri, place)
        assert body[offset + 4 : offset + 8] == b"moof", "a segment begins with a fragment"
        assert round(segment.duration) <= found.target_duration
        if bandwidth is not None:
            sound = len(reel.parts["audio"].body) * 8 / film.SECONDS
            assert length * 8 / segment.duration + sound <= bandwidth * 1.05
        place += length
    assert place == len(body)
    assert sum(segment.duration for segment in found.segments) == pytest.approx(film.SECONDS, abs=0.05)


def check_frames(browser: Browser, scene: Scene, reel: film.Reel, uri: str) -> None:
    """A playlist of keyframes: each range holds the beginning of a fragment."""
    found = m3u8.M3U8(browser.get(f"{scene.path}/{uri}").text, strict=True)
    assert found.is_i_frames_only and found.is_endlist
    body = reel.parts[uri.partition(".")[0]].body
    places = [byte_range(segment.byterange) for segment in found.segments]
    assert all(body[offset + 4 : offset + 8] == b"moof" for _, offset in places)
    assert all(a[1] + a[0] <= b[1] for a, b in pairwise(places))


def decoded(*arguments: str) -> list[list[str]]:
    """Stream, decoding time, presentation time, duration, size and checksum of all that is decoded."""
    argv = [ffmpeg_path(), "-hide_banner", "-nostdin", "-loglevel", "error", *arguments, "-f", "framecrc", "-"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120)
    return [re.split(r",\s*", line) for line in done.stdout.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("rung", ["480p", "360p"])
def test_ffmpeg_plays_every_picture_and_all_the_sound(
    rung: str, proxied: Flask, scene: Scene, reel: film.Reel, tmp_path: Path
) -> None:
    with proxied.app_context():
        _, token = sign_in.open_session(db.session(), scene.viewer.id, "reader", timedelta(hours=1), proved=True)
        db.session.commit()
    cookie = f"{proxied.session_interface.cookie}={token}"  # type: ignore[attr-defined]
    picture, sound = tmp_path / "picture.mp4", tmp_path / "sound.mp4"
    picture.write_bytes(reel.parts[rung].body)
    sound.write_bytes(reel.parts["audio"].body)
    with serving.serving(proxied) as address:
        # Each range by itself: asked to seek, FFmpeg 9 takes the rest of the object for the range, and loses its place.
        reading = ["-http_seekable", "0", "-headers", f"Cookie: {cookie}\r\n"]
        played = [
            *decoded(*reading, "-i", f"{address}{scene.path}/{rung}.m3u8", "-map", "0:v"),
            *decoded(*reading, "-i", f"{address}{scene.path}/audio.m3u8", "-map", "0:a"),
        ]
        chosen = decoded(*reading, "-i", f"{address}{scene.path}/master.m3u8", "-map", "0:v:0", "-map", "0:a:0")
    assert played == [*decoded("-i", str(picture), "-map", "0:v"), *decoded("-i", str(sound), "-map", "0:a")]
    # FFmpeg shows pictures that are reordered without an edit list some frames late; there must be no hole
    times = [int(words[2]) for words in chosen if words[0] == "0"]
    assert [time - times[0] for time in times] == list(range(RATE * film.SECONDS))
    assert len([words for words in chosen if words[0] == "1"]) == len(decoded("-i", str(sound), "-map", "0:a"))
