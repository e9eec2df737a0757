"""The DASH manifest, as others read it: a parser of another house, and ffmpeg's player over a real socket."""

from __future__ import annotations

import itertools
import re
import subprocess
from dataclasses import replace
from fractions import Fraction

import pytest
from flask import Flask
from mpegdash.parser import MPEGDASHParser
from sqlalchemy.orm import Session

from app.db import db
from app.media import dash, fmp4
from app.media.commands import ffmpeg_path
from app.media.playlists import Variant
from app.settings import Settings
from app.web import create_app
from tests.support import browser as server
from tests.support.world import Browser
from tests.watching import film
from tests.watching.conftest import Scene


def test_another_parser_reads_the_same_bytes(app: Flask, scene: Scene, reel: film.Reel) -> None:
    answer = Browser(app, scene.viewer).get(f"{scene.path}/manifest.mpd")
    assert (answer.status_code, answer.mimetype) == (200, "application/dash+xml")
    read = MPEGDASHParser.parse(answer.text)
    assert read.type == "static"
    sets = read.periods[0].adaptation_sets
    assert [(s.content_type, s.segment_alignment) for s in sets] == [("video", True), ("audio", None)]
    shown = {r.id: r for s in sets for r in s.representations}
    assert list(shown) == ["480p", "360p", "audio"]
    for name, representation in shown.items():
        body = reel.parts[name].body
        parts = representation.segment_lists[0]
        assert representation.base_urls[0].base_url_value.startswith(f"media/{name}.mp4?v=")
        covered = int(parts.initializations[0].range.partition("-")[2]) + 1
        for url in parts.segment_urls:
            first, last = map(int, url.media_range.split("-"))
            assert first == covered
            covered = last + 1
        assert covered == len(body), "the ranges cover the whole object"
        line = parts.segment_timelines[0].Ss
        assert len(line) == len(parts.segment_urls)
        assert all(a.t + a.d == b.t for a, b in itertools.pairwise(line)), "no gap and no overlap"
        assert sum(s.d for s in line) / parts.timescale == pytest.approx(film.SECONDS, abs=0.1)
        assert re.fullmatch(r"avc1\.[0-9a-f]{6}|mp4a\.40\.2", representation.codecs)


# ffmpeg's reader of HLS asks for open-ended ranges on a connection that it keeps, and mixes them up, unless told not to
@pytest.mark.parametrize(("path", "options"), [("manifest.mpd", []), ("master.m3u8", ["-http_seekable", "0"])])
def test_ffmpeg_plays_it_with_a_token(
    settings: Settings, session: Session, scene: Scene, path: str, options: list[str]
) -> None:
    token = scene.world.token(scene.viewer, "read")
    session.commit()
    app = create_app(replace(settings, delivery="auto"))
    with server.serving(app) as address:
        argv = [ffmpeg_path(), "-hide_banner", "-nostdin", "-loglevel", "error", "-stats", *options]
        argv += ["-headers", f"Authorization: Bearer {token}\r\n", "-i", f"{address}{scene.path}/{path}"]
        done = subprocess.run(
            [*argv, "-map", "0:v:0", "-map", "0:a:0", "-f", "null", "-"], capture_output=True, text=True, timeout=60
        )
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    assert done.returncode == 0, done.stderr
    frames = [int(number) for number in re.findall(r"frame=\s*(\d+)", done.stderr)]
    assert frames[-1] == film.SECONDS * 25, done.stderr


def test_codecs_are_apart_and_a_rung_with_other_keyframes_is_told_of() -> None:
    def index(codecs: str, seconds: float) -> fmp4.Index:
        parts = tuple(fmp4.Fragment(500 + n * 100, 100, n * seconds, seconds, 25, 60) for n in range(4))
        return fmp4.Index("video", codecs, 640, 360, 90_000, 500, parts)

    variants = [
        Variant("a", index("avc1.64001e", 4), Fraction(30000, 1001)), Variant("b", index("avc1.64001e", 5), Fraction(25)),
        Variant("c", index("av01.0.04M.08", 4), Fraction(25)),
    ]  # fmt: skip
    written = dash.manifest(variants, None, uri=lambda name: f"{name}?a=1&b=2", audio_name="x")
    first, second = MPEGDASHParser.parse(written).periods[0].adaptation_sets
    assert [r.id for r in first.representations] == ["a", "b"]
    assert re.findall('segmentAlignment="([a-z]+)"', written) == ["false", "true"]
    assert first.representations[0].frame_rate == "30000/1001"
    assert second.representations[0].base_urls[0].base_url_value == "c?a=1&b=2"
