"""Recordings and cases over the API: the shape of one, lists, scopes, and what others may not learn."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.captions import CaptionOrigin, CaptionTrack, CaptionVersion, Cue
from app.db.people import Role
from app.db.recordings import ArtefactKind, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import runs
from app.media.fmp4 import Fragment, Index
from app.pipeline import ledger
from app.pipeline.workflows import INGEST
from app.storage.s3 import Storage
from tests.ingest.support import Api, Makers, makers


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def api(app: Flask, session: Session, there: Makers) -> Api:
    token = there.world.token(there.person, "read", "upload")
    session.commit()
    return Api(app, token)


def test_one_recording_as_it_grows(app: Flask, api: Api, there: Makers, session: Session, storage: Storage) -> None:
    world = there.world
    made = world.recording(there.case, state=RecordingState.PROCESSING, owner_id=there.person.id)
    run = Run(recording_id=made.id, workflow="ingest", state=RunState.RUNNING)
    session.add(run)
    session.flush()
    runs.add_rows(session, run, ledger.rows(INGEST, None))
    session.scalars(select(StageRun).where(StageRun.stage == "probe")).one().state = StageState.SUCCEEDED
    session.commit()
    path = f"/recordings/{made.id}"
    shown = api.call("GET", path).json
    assert shown["case"] == {"id": str(there.case.id), "title": there.case.title}
    assert (shown["state"], shown["duration_seconds"], shown["renditions"]) == ("processing", None, [])
    assert 0 < shown["progress"] < 1
    assert shown["stages"][0]["name"] == "probe"
    assert shown["stages"][0]["state"] == "done"
    links = shown["links"]
    assert [links[name] for name in ("playlist", "captions", "poster", "storyboard", "peaks", "manifest")] == [None] * 6
    index = Index("video", "avc1.64001e", 854, 480, 15360, 800, (Fragment(800, 125_000, 0.0, 2.0, 50, 9000),))
    world.artefact(storage, made, ArtefactKind.RENDITION, b"x", "480p", detail=index.to_json())
    world.artefact(storage, made, ArtefactKind.POSTER, b"x")
    made.watchable_at, made.state, made.duration_ms = made.created_at, RecordingState.READY, 45_200
    track = CaptionTrack(recording_id=made.id, language="en", current_version=2)
    session.add(track)
    session.flush()
    for number, words in ((1, ("old", "old", "old")), (2, ("One", "Two"))):
        session.add(
            CaptionVersion(
                track_id=track.id,
                number=number,
                origin=CaptionOrigin.AUTOMATIC,
                cues=[Cue(position=n, start_ms=n * 1000, end_ms=n * 1000 + 900, text=t) for n, t in enumerate(words)],
            )
        )
    session.commit()
    shown = api.call("GET", path).json
    assert (shown["progress"], shown["duration_seconds"]) == (1.0, 45.2)
    assert shown["renditions"] == [{"name": "480p", "width": 854, "height": 480, "bandwidth": 500_000, "size": 1}]
    assert shown["captions"] == [{"language": "en", "status": "automatic", "cues": 2, "no_speech": False}]
    assert shown["links"]["playlist"].endswith(f"{made.id}/master.m3u8")
    assert shown["links"]["captions"].endswith("/captions/en.vtt")
    assert shown["links"]["poster"]
    assert shown["links"]["storyboard"] is None
    made.published_at = made.created_at
    world.grant(made, area="NEY")
    viewer = Api(app, world.token(world.person("v@example.org", Role.VIEWER, "NEY"), "all"))
    session.commit()
    seen = viewer.call("GET", path).json
    assert (seen["captions"], seen["links"]["captions"]) == ([], None), "nobody has checked them yet"
    track.published_version = 2
    session.commit()
    shown = api.call("GET", path).json
    assert [track["status"] for track in shown["captions"]] == ["reviewed"]
    assert viewer.call("GET", path).json == {
        name: value for name, value in shown.items() if name not in ("stages", "seconds_left")
    }


def test_silence_is_said(api: Api, there: Makers, session: Session) -> None:
    made = there.world.recording(there.case)
    track = CaptionTrack(recording_id=made.id, language="en", current_version=1)
    session.add(track)
    session.flush()
    session.add(CaptionVersion(track_id=track.id, number=1, origin=CaptionOrigin.AUTOMATIC))
    session.commit()
    shown = api.call("GET", f"/recordings/{made.id}").json
    assert shown["captions"] == [{"language": "en", "status": "automatic", "cues": 0, "no_speech": True}]
    assert shown["links"]["captions"] is None


def test_lists_are_paged_and_filtered(api: Api, there: Makers, session: Session) -> None:
    made = [there.world.recording(there.case, title=f"R {n}") for n in range(5)]
    made[0].state = RecordingState.FAILED
    there.world.recording(there.world.case("Far", "SW"), area="SW", title="Far away")
    session.commit()
    seen: list[str] = []
    address = "/recordings?sort=title&limit=2"
    while address:
        page = api.call("GET", address.removeprefix("/api/v1")).json
        seen += [item["title"] for item in page["items"]]
        address = page["links"]["next"]
    assert seen == [f"R {n}" for n in range(5)]
    assert [item["title"] for item in api.call("GET", "/recordings?state=failed").json["items"]] == ["R 0"]
    assert api.call("GET", f"/recordings?case={uuid.uuid4()}").json["items"] == []
    for wrong in ("limit=0", "limit=101", "limit=x", "state=x", "case=x", "after=x"):
        assert api.call("GET", f"/recordings?{wrong}").status_code == 400, wrong


def test_cases(api: Api, there: Makers, app: Flask, session: Session) -> None:
    full = Api(app, there.world.token(there.person, "all"))
    session.commit()
    body = {"title": "New", "themes": [there.case.terms[0].name], "review_on": "2031-01-31", "place": "NEY"}
    made = full.call("POST", "/cases", body)
    assert made.status_code == 201
    assert made.json["themes"] == [there.case.terms[0].code]
    assert api.call("GET", made.headers["Location"].removeprefix("/api/v1")).json == made.json
    assert {item["title"] for item in api.call("GET", "/cases").json["items"]} == {"New", there.case.title}
    assert api.call("POST", "/cases", body).status_code == 403, "an upload token writes no cases"
    wrong = full.call("POST", "/cases", {"title": 5, "themes": "x", "review_on": "soon"})
    assert set(wrong.json["errors"]) == {"title", "themes", "review_on"}
    assert full.call("POST", "/cases", {**body, "place": "SW"}).status_code == 400


def test_others_learn_nothing(app: Flask, there: Makers, session: Session) -> None:
    made = there.world.recording(there.case)
    outsider = there.world.person("x@example.org", Role.FACILITATOR, "SW")
    theirs = Api(app, there.world.token(outsider, "all"))
    reader = Api(app, there.world.token(there.person, "read"))
    session.commit()
    for kind, row in (("recordings", made.id), ("cases", there.case.id)):
        known, unknown = theirs.call("GET", f"/{kind}/{row}"), theirs.call("GET", f"/{kind}/{uuid.uuid4()}")
        assert known.status_code == unknown.status_code == 404
        assert known.data == unknown.data
        assert theirs.call("GET", f"/{kind}").json["items"] == []
        assert app.test_client().get(f"/api/v1/{kind}").status_code == 401
    assert reader.call("POST", f"/recordings/{made.id}/publish").status_code == 403
    assert "stages" not in reader.call("GET", f"/recordings/{made.id}").json, "a read token manages nothing"
