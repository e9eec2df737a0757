"""AV1 beside H.264 in a real Chromium: it plays where it can be decoded, and nobody else is troubled with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy.orm import Session

from app.db.recordings import ArtefactKind
from app.media import fmp4
from app.media.commands import ffmpeg_path
from app.settings import Settings
from app.storage.s3 import Storage
from tests.support import browser as server
from tests.watching import film
from tests.watching.conftest import Scene
from tests.watching.test_in_the_browser import VIDEO, at_work, sign_in_as

pytestmark = pytest.mark.browser

CANNOT = """
const able = MediaSource.isTypeSupported.bind(MediaSource);
MediaSource.isTypeSupported = (type) => !type.includes("av01") && able(type);
"""


@pytest.fixture
def with_av1(scene: Scene, session: Session, storage: Storage, tmp_path: Path) -> Scene:
    """The scene with an AV1 rendition beside each other one."""
    for rung, size in (("480p", "854x480"), ("360p", "640x360")):
        file = tmp_path / f"{rung}.mp4"
        coding = ["-c:v", "libsvtav1", "-preset", "12", "-crf", "50", "-g", "50", "-pix_fmt", "yuv420p"]
        moving = ["-movflags", "+frag_keyframe+empty_moov+default_base_moof+skip_trailer"]
        picture = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={film.SECONDS}"]
        subprocess.run([ffmpeg_path(), "-loglevel", "error", *picture, *coding, *moving, str(file)], check=True)
        with file.open("rb") as opened:
            detail = fmp4.index(opened).to_json()
        scene.world.artefact(
            storage, scene.recording, ArtefactKind.RENDITION, file.read_bytes(), f"{rung}-av1", detail=detail,
            media_type="video/mp4",
        )  # fmt: skip
    session.commit()
    return scene


@pytest.mark.parametrize("able", [True, False], ids=["where it can be decoded", "where it cannot"])
def test_a_player_takes_what_it_can_decode(chromium: Browser, settings: Settings, with_av1: Scene, able: bool) -> None:
    with at_work(settings, "proxy") as (app, address):
        page = chromium.new_page()
        if not able:
            page.add_init_script(CANNOT)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        sign_in_as(page, app, address, with_av1.viewer)
        page.goto(f"{address}{with_av1.path}?shown=yes")
        page.locator("[data-source=hls]").wait_for(state="attached")
        server.wait_until(page, f"{VIDEO}.readyState >= 2")
        page.get_by_role("button", name="Play", exact=True).click()
        server.wait_until(page, f"{VIDEO}.currentTime > 1 && {VIDEO}.getVideoPlaybackQuality().totalVideoFrames > 10")
        media = {url.partition("/media/")[2].partition(".mp4")[0] for url in asked if "/media/" in url} - {"audio"}
        assert media
        assert {name.endswith("-av1") for name in media} == {able}
        options = page.locator("[data-part=quality] option").all_inner_texts()
        assert [text for text in options if text in ("480p", "360p")] == ["480p", "360p"], "each size once"
        page.close()
