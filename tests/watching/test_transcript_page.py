"""The transcript on its own page, described versions, and words found in what is said in several languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.db.people import Role
from app.storage.s3 import Storage
from tests.support.world import Browser
from tests.watching import film
from tests.watching.conftest import Scene

URDU = [(0, 2_000, "", "مجھے افسوس ہے"), (3_000, 5_000, "", "آپ کا شکریہ")]


def text_of(page: str) -> str:
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_it_reads_as_paragraphs_with_times_and_says_whose_copy_it_is(app: Flask, scene: Scene) -> None:
    page = Browser(app, scene.viewer).get(f"{scene.path}/transcript").text
    assert "<strong>Doctor:</strong>" in page
    assert f'href="{scene.path}?t=2"' in page
    assert f'data-copy="{app.extensions["vignette"].settings.base_url}{scene.path}?t=2"' in page
    assert "Confidential. This case is real" in page
    assert re.search(r"Printed by Vera Viewer · viewer@example\.org on \d+ \w+ \d{4}", page)
    assert "Download this transcript" not in page
    assert "Download this transcript" in Browser(app, scene.maker).get(f"{scene.path}/transcript").text
    assert Browser(app, scene.stranger).get(f"{scene.path}/transcript").status_code == 404
    assert f'href="{scene.path}/transcript"' in Browser(app, scene.viewer).get(scene.path).text


def test_words_are_looked_for_without_scripts(app: Flask, scene: Scene) -> None:
    viewer = Browser(app, scene.viewer)
    page = viewer.get(f"{scene.path}/transcript?q=SORRY+that").text
    assert "<mark>sorry that</mark>" in page
    assert "“SORRY that” is there once." in text_of(page)
    assert 'href="#at-1"' in page and 'id="at-1"' in page
    page = viewer.get(f"{scene.path}/transcript?q=<script>alert(1)</script>%00%0a(").text
    assert "<script>alert" not in page and "is not in this transcript" in page


def test_words_from_outside_are_words(app: Flask, session: Session, storage: Storage, scene: Scene) -> None:
    cues = [(0, 1_000, "<b>Dr</b>", "<img src=x onerror=a()> =1+1")]
    film.caption(session, storage, scene.recording, cues, number=2)
    session.commit()
    page = Browser(app, scene.viewer).get(f"{scene.path}/transcript").text
    assert "<img src=x" not in page and "&lt;img src=x onerror=a()&gt; =1+1" in page
    assert "<b>Dr" not in page


def test_it_is_there_in_each_language_that_is_shown(
    app: Flask, session: Session, storage: Storage, scene: Scene
) -> None:
    film.caption(session, storage, scene.recording, URDU, language="ur")
    film.caption(session, storage, scene.recording, [(0, 900, "", "Llais")], language="cy", checked=False)
    session.commit()
    viewer, maker = Browser(app, scene.viewer), Browser(app, scene.maker)
    page = viewer.get(f"{scene.path}/transcript?language=ur").text
    assert 'lang="ur" dir="rtl"' in page and "مجھے افسوس ہے" in page
    assert "Cymraeg" not in page
    assert "Good morning" not in text_of(page)
    assert "Llais" not in viewer.get(f"{scene.path}/transcript?language=cy").text
    assert "Automatic captions, not yet checked" in maker.get(f"{scene.path}/transcript?language=cy").text


def test_nothing_checked_nothing_to_read(app: Flask, session: Session, storage: Storage, scene: Scene) -> None:
    film.caption(session, storage, scene.recording, [(0, 900, "", "Unheard of.")], number=2, checked=False)
    session.commit()
    page = Browser(app, scene.viewer).get(f"{scene.path}/transcript").text
    assert "Unheard" not in page
    assert "Nobody has checked the captions of this recording yet." in page


def test_what_is_said_is_found_by_the_rules_of_its_language(
    app: Flask, session: Session, storage: Storage, scene: Scene
) -> None:
    english = [(0, 900, "", "She was complaining of broken hips."), (7_000, 8_000, "", "Letters, and the ward.")]
    film.caption(session, storage, scene.recording, english, number=2)
    film.caption(session, storage, scene.recording, URDU, language="ur")
    film.caption(session, storage, scene.recording, [(0, 900, "", "Llythyr cudd")], language="cy", checked=False)
    session.commit()
    viewer = Browser(app, scene.viewer)

    def hits(words: str) -> list[tuple[str, float]]:
        found: Any = viewer.get("/api/v1/search", query_string={"q": words}).json["hits"]
        return [(hit["kind"], hit["start"]) for hit in found]

    assert hits("complained hip") == [("speech", 0)]  # by the stem
    assert hits('"broken hip"') == [("speech", 0)]
    assert hits('"hip broken"') == []
    assert hits('"broken hips letters and the ward"') == [("speech", 0)]  # from one caption to the next
    assert hits('"letters broken"') == []
    assert hits('"افسوس ہے آپ"') == [("speech", 0)]
    assert hits("افسوس") == [("speech", 0)]  # as it is written
    assert hits("شکریہ") == [("speech", 3)]
    assert hits("the") == []  # too common a word of English
    assert hits("llythyr") == []  # nobody has checked it
    assert [hit["start"] for hit in Browser(app, scene.maker).get("/api/v1/search?q=llythyr").json["hits"]] == [0]
    page = viewer.get("/library?q=letter").text
    assert f'href="{scene.path}?t=7"' in page


# -- audio description ---------------------------------------------------------------------------------------------------


@pytest.fixture
def described(session: Session, scene: Scene) -> Any:
    """Another recording of the same case, not yet published."""
    made = scene.world.recording(scene.recording.case, title="Saying sorry, described", published=False)
    session.commit()
    return made


def decide(browser: Browser, scene: Scene, **form: str) -> Any:
    return browser.post(f"{scene.path}/audio-description", form)


def test_that_none_is_needed_is_said_with_a_reason(app: Flask, session: Session, scene: Scene) -> None:
    maker, viewer = Browser(app, scene.maker), Browser(app, scene.viewer)
    path = f"/api/v1/recordings/{scene.recording.id}/audio-description"
    assert viewer.get(path).json["status"] == "missing"
    assert "Can be followed without the picture" in viewer.get("/library").text
    assert "Saying sorry" not in text_of(viewer.get("/library?by_ear=yes").text)
    refused = decide(maker, scene, status="not-needed")
    assert refused.status_code == 400 and "Say why none is needed" in refused.text
    assert decide(maker, scene, status="not-needed", reason="All of it is <b>said</b>.").status_code == 302
    shown = viewer.get(path).json
    assert (shown["status"], shown["reason"], shown["by"]) == ("not-needed", "All of it is <b>said</b>.", "Max Maker")
    assert "Not needed: All of it is &lt;b&gt;said&lt;/b&gt;." in viewer.get(scene.path).text
    assert "Saying sorry" in text_of(viewer.get("/library?by_ear=yes").text)
    assert "Decided by Max Maker" in maker.get(f"{scene.path}/audio-description").text
    assert viewer.get(f"{scene.path}/audio-description").status_code == 403
    assert maker.send("PUT", path, {"status": "missing"}).json["status"] == "missing"
    assert maker.send("PUT", path, {"status": "perhaps"}).status_code == 400


def test_a_described_version_is_told_only_to_those_who_may_view_it(
    app: Flask, session: Session, scene: Scene, described: Any
) -> None:
    maker, viewer = Browser(app, scene.maker), Browser(app, scene.viewer)
    path = f"/api/v1/recordings/{scene.recording.id}/audio-description"
    assert decide(maker, scene, status="described").status_code == 400
    assert decide(maker, scene, status="described", described=str(described.id)).status_code == 302
    assert viewer.get(path).json == {
        "status": "missing", "reason": "", "by": "", "at": None, "described": None, "described_version_of": None,
    }  # fmt: skip
    assert str(described.id) not in viewer.get(scene.path).text
    assert maker.get(path).json["described"] == str(described.id)
    assert f"/recordings/{described.id}" in maker.get(scene.path).text
    described.published_at = scene.recording.published_at
    scene.world.grant(described, area="NEY")
    session.commit()
    assert viewer.get(path).json["described"] == str(described.id)
    assert "Watch the described version" in viewer.get(scene.path).text
    assert "This is the described version of" in viewer.get(f"/recordings/{described.id}").text
    assert text_of(viewer.get("/library?by_ear=yes").text).count("Saying sorry, described") == 1


def test_only_recordings_of_the_case_that_one_may_edit_can_be_named(
    app: Flask, session: Session, scene: Scene, described: Any
) -> None:
    other = scene.world.recording(scene.world.case("Another case"), title="Of another case", published=True)
    southern = scene.world.person("south@example.org", Role.FACILITATOR, "SW")
    far = scene.world.recording(scene.recording.case, title="Far away", area="SW", owner_id=southern.id)
    session.commit()
    maker = Browser(app, scene.maker)
    page = maker.get(f"{scene.path}/audio-description").text
    assert "Saying sorry, described" in page and "Of another case" not in page and "Far away" not in page
    for id in (other.id, far.id, scene.recording.id, "x"):
        assert decide(maker, scene, status="described", described=str(id)).status_code == 400
