"""Choosing the poster: the page, the call, and what the worker is told."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.recordings import ArtefactKind, Recording, RecordingState
from app.db.runs import Run, RunState
from app.domain import posters, runs
from app.errors import Invalid
from app.media.fmp4 import Fragment, Index
from app.settings import Settings
from app.storage.s3 import Storage
from app.web import create_app
from tests.ingest.support import Api, Makers, check_page, makers
from tests.support.world import Browser


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def film(there: Makers, session: Session, storage: Storage) -> Recording:
    """A ready recording of 45 s with two renditions, a poster and two candidates."""
    made: Recording = there.world.recording(there.case, owner_id=there.person.id, title="Filmed")
    for name, codec, height in (("480p", "avc1.64001e", 480), ("480p-av1", "av01.0.04M.08", 480)):
        index = Index("video", codec, 854, height, 15360, 800, (Fragment(800, 125_000, 0.0, 2.0, 50, 9000),))
        there.world.artefact(storage, made, ArtefactKind.RENDITION, b"x", name, detail=index.to_json())
    for name, second in (("", 20.0), ("candidate-0", 5.0), ("candidate-1", 20.0)):
        detail = {"second": second}
        there.world.artefact(storage, made, ArtefactKind.POSTER, name.encode() or b"machine", name, detail=detail)
    session.commit()
    return made


def planned(session: Session) -> dict[str, object]:
    """What the worker of the unfinished run is told; the run is then cancelled, so that another can follow."""
    session.expire_all()
    run = session.scalars(select(Run).where(Run.state == RunState.RUNNING)).one()
    runs.cancel(session, run)
    session.commit()
    return run.plan


def test_one_of_the_candidates_or_another_moment(
    settings: Settings, there: Makers, film: Recording, session: Session, storage: Storage
) -> None:
    browser = Browser(create_app(settings), there.person)
    path = f"/recordings/{film.id}/poster"
    page = check_page(browser.get(path), "Poster - My recordings")
    assert "The picture at 5 seconds" in page
    assert browser.get(f"{path}/0.jpg", follow_redirects=False).status_code in (200, 302)
    assert browser.get(f"{path}/7.jpg").status_code == 404
    assert browser.post(path, {"choice": "0"}).status_code == 302
    assert planned(session) == {"second": 5.0, "rendition": "480p"}, (
        "never from a rendition that is expensive to decode"
    )
    assert browser.post(path, {"choice": "moment", "second": "0:12.5"}).status_code == 302
    assert planned(session)["second"] == 12.5
    for second, why in (("", "Enter a time like 1:15"), ("9:99", "Enter a time"), ("0:45", "before the end")):
        answer = browser.post(path, {"choice": "moment", "second": second})
        assert answer.status_code == 400
        assert why in answer.text
    assert "Select a picture" in browser.post(path, {}).text
    assert browser.post(path, {"choice": "9"}).status_code == 400
    there.world.artefact(storage, film, ArtefactKind.POSTER, b"person", "chosen", detail={"second": 3.0})
    session.commit()
    assert posters.current(session, film.id).name == "chosen"
    assert browser.post(path, {"choice": "automatic"}).status_code == 302
    session.expire_all()
    assert posters.current(session, film.id).name == ""
    assert session.scalars(select(Run).where(Run.state == RunState.RUNNING)).all() == []


def test_over_the_api(app: Flask, there: Makers, film: Recording, session: Session) -> None:
    api = Api(app, there.world.token(there.person, "upload"))
    session.commit()
    path = f"/recordings/{film.id}/poster"
    assert api.call("PUT", path, {"seconds": 99.0}).status_code == 202
    assert planned(session)["second"] == 44.5, "the last frame stands for all that comes after"
    assert api.call("PUT", path, {"seconds": None}).status_code == 202
    for wrong in ({}, {"seconds": -1}, {"seconds": "1"}, {"seconds": True}):
        assert api.call("PUT", path, wrong).status_code == 400
    film.state = RecordingState.PROCESSING
    session.commit()
    assert api.call("PUT", path, {"seconds": 1}).status_code == 409


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7), ("1:15", 75), ("01:02:03", 3723), ("0:00.5", 0.5), (" 90,25 ", 90.25)]
)
def test_times_as_people_write_them(text: str, seconds: float) -> None:
    assert posters.read_second(text, None) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1:60", "1:2:3:4", "1e3"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(Invalid):
        posters.read_second(text, None)
