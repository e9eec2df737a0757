"""The button, the call and the verb that have ready recordings processed again."""

from __future__ import annotations

import json
import uuid

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli import main
from app.db.recordings import ArtefactKind, Recording, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import runs
from app.settings import Settings
from app.storage.s3 import Storage
from tests.ingest.support import Api, Makers, check_page, makers
from tests.support.world import Browser


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def browser(app: Flask, there: Makers) -> Browser:
    return Browser(app, there.person)


@pytest.fixture
def processed(there: Makers, session: Session, storage: Storage) -> Recording:
    """A ready recording with its source, made by a version whose measurements do not suffice any more."""
    made: Recording = there.world.recording(there.case, owner_id=there.person.id, title="Processed before")
    there.world.artefact(storage, made, ArtefactKind.SOURCE, b"film")
    run = Run(recording_id=made.id, workflow="ingest", state=RunState.SUCCEEDED)
    session.add(run)
    session.flush()
    session.add(StageRun(run_id=run.id, stage="probe", position=0, state=StageState.SUCCEEDED))
    session.commit()
    return made


def unfinished(session: Session) -> Run:
    session.expire_all()
    return session.scalars(select(Run).where(Run.state.in_(runs.UNFINISHED))).one()


def test_the_button(browser: Browser, processed: Recording, session: Session) -> None:
    path = f"/recordings/{processed.id}"
    page = check_page(browser.get(f"{path}/manage"), "Processed before")
    assert "<li>Checking the file</li>" in page
    assert browser.post(f"{path}/reprocess").status_code == 302
    page = check_page(browser.get(f"{path}/manage"), "Processed before")
    assert "0% is done. The recording can be watched as it was" in page
    assert "Process this recording again" not in page
    run = unfinished(session)
    assert (run.replaces, run.priority < 0, run.recording.state) == (True, True, RecordingState.READY)
    assert browser.post(f"{path}/reprocess").status_code == 409
    assert browser.post(f"{path}/cancel").status_code == 302
    session.refresh(run)
    assert (run.state, run.recording.state) == (RunState.CANCELLED, RecordingState.READY)
    assert "Try again" in browser.get(f"{path}/manage").text


def test_the_call(app: Flask, there: Makers, processed: Recording, session: Session) -> None:
    api = Api(app, there.world.token(there.person, "upload"))
    session.commit()
    path = f"/recordings/{processed.id}"
    answer = api.call("POST", f"{path}/reprocess")
    assert (answer.status_code, answer.json) == (202, {"id": str(processed.id), "state": "ready", "published": False})
    assert unfinished(session).requested_by_id == there.person.id
    assert api.call("POST", f"{path}/reprocess").status_code == 409
    assert api.call("GET", path).json["state"] == "ready"


def test_the_verb(there: Makers, processed: Recording, session: Session, settings: Settings) -> None:
    there.world.recording(there.case, title="Never processed here")
    session.commit()
    names = ("database_url", "secret_key", "s3_endpoint", "s3_access_key", "s3_secret_key", "s3_bucket", "data")
    environment = {f"VIGNETTE_{name.upper()}": str(getattr(settings, name)) for name in names}

    def run(*words: str) -> tuple[int, str, str]:
        done = CliRunner(env=environment).invoke(main, ["reprocess", *words], catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    status, out, _ = run("--all", "--list")
    assert (status, out.splitlines()) == (
        0,
        [f"{processed.id}  Processed before: Checking the file", "1 of 2 recordings is stale."],
    )
    assert session.scalars(select(Run).where(Run.state.in_(runs.UNFINISHED))).all() == []
    status, out, _ = run("--all", "--json")
    told = json.loads(out.splitlines()[-1])
    assert (status, told["recordings"], told["started"], told["left_out"]) == (0, 2, [str(processed.id)], 1)
    assert unfinished(session).replaces
    status, out, _ = run("--all", "--stale")
    assert out.splitlines()[-1].endswith("1 recording could not be: being processed already, or without a source.")
    status, _, err = run(str(processed.id))
    assert (status, err) == (1, "This recording is being processed already.\n")
    assert run()[0] == 1
    assert run(str(uuid.uuid4()))[0] == 1
