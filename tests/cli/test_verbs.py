"""The verbs on the server's data and the upload client, against the real database, storage and a real server."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import urllib3
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli import main
from app.cli_verbs import sending
from app.db.cases import Case
from app.db.grants import Grant
from app.db.people import Role
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState, Upload
from app.domain import days, people, second_factors
from app.settings import Settings
from app.storage.s3 import Storage
from tests.factors.support import add_app
from tests.ingest.support import MIB, Makers, makers
from tests.support.browser import serving
from tests.support.world import PASSWORD

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings) -> Run:
    names = ("database_url", "secret_key", "s3_endpoint", "s3_access_key", "s3_secret_key", "s3_bucket", "data")
    environment = {f"VIGNETTE_{name.upper()}": str(getattr(settings, name)) for name in names}

    def invoke(*words: str, stdin: str = "") -> Result:
        return CliRunner(env=environment).invoke(main, list(words), input=stdin, catch_exceptions=False)

    return invoke


def last(result: Result) -> dict[str, Any]:
    """The object on the last line of standard output of a verb that worked."""
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_people(run: Run, session: Session) -> None:
    made = last(
        run("user", "add", "f@example.org", "--role", "facilitator", "--area", "ney", "--name", "F", "--password-stdin",
            "--json", stdin=f"{PASSWORD}\n")
    )  # fmt: skip
    assert made["link"] is None
    person = people.by_email(session, "f@example.org")
    assert person is not None
    assert [(role.role, role.place_name) for role in person.roles] == [(Role.FACILITATOR, person.roles[0].area.name)]
    linked = last(run("user", "add", "v@example.org", "--role", "viewer", "--area", "all", "--json"))
    assert "/set-password/" in linked["link"]
    token = last(run("token", "F@example.org", "--scope", "upload", "--scope", "read", "--json"))["token"]
    assert token.startswith("vgn_")
    for words in (
        ("token", "nobody@example.org", "--scope", "all"),
        ("token", "f@example.org", "--scope", "everything"),
        ("user", "add", "x@example.org", "--role", "viewer"),
        ("user", "add", "x@example.org", "--role", "viewer", "--area", "Atlantis"),
        ("user", "add", "x", "--role", "viewer", "--area", "NEY"),
        ("user", "add", "x@example.org", "--role", "viewer", "--organisation", "NEY"),
    ):
        refused = run(*words)
        assert refused.exit_code == 1
        assert refused.stderr.strip()
        assert "Traceback" not in refused.stderr


def test_case_grant_publish_and_explain(run: Run, session: Session) -> None:
    world = makers(session).world
    theme = session.scalars(select(Case)).one().terms[0]
    case_id = last(
        run("case", "add", "Made here", "--theme", theme.name, "--area", "NEY", "--review-on", "2031-01-31", "--json")
    )["id"]
    case = session.get_one(Case, uuid.UUID(case_id))
    assert (case.area_id, [t.id for t in case.terms]) == (world.area("NEY").id, [theme.id])
    recording = world.recording(case)
    viewer = world.person("v@example.org", Role.VIEWER, "NEY")
    world.person("far@example.org", Role.VIEWER, "SW")
    session.commit()
    key = str(recording.id)
    not_yet = run("publish", key)
    assert (not_yet.exit_code, "not shared with anybody" in not_yet.stderr) == (1, True)
    granted = last(run("grant", key, "--to", "region:NEY", "--until", "2031-03-31", "--reason", "Course", "--json"))
    assert granted["until"] == days.end_of(date(2031, 3, 31)).isoformat()
    assert last(run("grant", key, "--to", f"user:{viewer.email}", "--json"))["published"] is False
    assert session.scalars(select(Grant)).all()
    assert last(run("publish", key, "--json"))["published"] is True
    near = run("explain-access", "v@example.org", key)
    assert "may watch this recording, because it is published" in near.stdout
    far = last(run("explain-access", "far@example.org", key, "--json"))
    assert far["allowed"] is False
    assert "may not watch" in far["sentences"][0]
    for words in (
        ("grant", key, "--to", "region:NOWHERE"),
        ("grant", key, "--to", "rubbish"),
        ("grant", key, "--to", "region:NEY", "--until", "soon"),
        ("grant", "not-an-id", "--to", "region:NEY"),
        ("publish", "00000000-0000-4000-8000-000000000000"),
        ("explain-access", "v@example.org", "00000000-0000-4000-8000-000000000000"),
        ("case", "add", "T", "--theme", "no such theme"),
    ):
        refused = run(*words)
        assert (refused.exit_code, "Traceback" in refused.stderr) == (1, False), words
        assert refused.stderr.strip()


# -- upload ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Three parts of bytes; what they mean is for the pipeline to say."""
    path = tmp_path / "a film; $(name).mp4"
    path.write_bytes(bytes(range(256)) * (17 * MIB // 256))
    return path


@pytest.fixture
def send(run: Run, app: Flask, there: Makers, session: Session, film: Path) -> Any:
    token = there.world.token(there.person, "upload")
    session.commit()
    with serving(app) as address:

        def invoke(*more: str, file: Path = film, given: str = token) -> Result:
            words = ("upload", str(file), "--case", str(there.case.id), "--title", "Sent", "--url", address)
            return run(*words, "--token", given, *more, "--json")

        yield invoke


@pytest.mark.parametrize("state", [RecordingState.READY, RecordingState.FAILED, RecordingState.REJECTED])
def test_upload_and_wait(
    send: Any, session: Session, storage: Storage, film: Path, monkeypatch: pytest.MonkeyPatch, state: RecordingState
) -> None:
    def worker(seconds: float) -> None:
        """Stands in for the pipeline while the client waits."""
        recording = session.scalars(select(Recording)).one()
        recording.state = state
        recording.reason = "" if state is RecordingState.READY else "The file could not be read as a video."
        session.commit()

    monkeypatch.setattr(sending.time, "sleep", worker)
    result = send("--wait")
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["state"] == state.value
    assert result.exit_code == (0 if state is RecordingState.READY else 1)
    if state is not RecordingState.READY:
        assert found["reason"] in result.stderr
    source = session.scalars(select(Artefact).where(Artefact.kind == ArtefactKind.SOURCE)).one()
    assert storage.get_bytes(source.key) == film.read_bytes()
    assert session.scalars(select(Recording)).one().source_name == film.name


def test_upload_goes_on_where_it_stopped(
    send: Any, session: Session, storage: Storage, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending.time, "sleep", lambda seconds: None)
    real = urllib3.PoolManager.request
    lock, sent = threading.Lock(), []

    def dies_after_one(self: Any, method: str, url: str, *rest: Any, **options: Any) -> Any:
        if method == "PUT":
            with lock:
                if sent:
                    raise urllib3.exceptions.ProtocolError("the line is cut")
                sent.append(url)
        return real(self, method, url, *rest, **options)

    monkeypatch.setattr(urllib3.PoolManager, "request", dies_after_one)
    cut = send()
    assert cut.exit_code == 1
    assert "go on where it stopped" in cut.stderr
    monkeypatch.setattr(urllib3.PoolManager, "request", real)
    done = send()
    assert "Going on: 1 of 3 parts are there already." in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "processing"
    assert len(session.scalars(select(Upload)).all()) == 1
    source = session.scalars(select(Artefact).where(Artefact.kind == ArtefactKind.SOURCE)).one()
    assert storage.get_bytes(source.key) == film.read_bytes()


def test_upload_falls_back_to_the_server(
    send: Any, session: Session, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending.time, "sleep", lambda seconds: None)
    real = urllib3.PoolManager.request

    def blocked(self: Any, method: str, url: str, *rest: Any, **options: Any) -> Any:
        if method == "PUT" and "/api/v1/" not in url:
            raise urllib3.exceptions.ConnectTimeoutError("storage is behind a wall")
        return real(self, method, url, *rest, **options)

    monkeypatch.setattr(urllib3.PoolManager, "request", blocked)
    result = send()
    assert result.exit_code == 0, result.stderr
    assert "sending through the server" in result.stderr
    assert session.scalars(select(Recording)).one().state is RecordingState.PROCESSING


def test_tokens_and_second_factors(run: Run, session: Session, settings: Settings) -> None:
    last(run("user", "add", "a@example.org", "--role", "admin", "--area", "all", "--json"))
    person = people.by_email(session, "a@example.org")
    assert person is not None
    last(run("token", "a@example.org", "--scope", "read", "--name", "nightly", "--json"))
    found = last(run("tokens", "list", "A@example.org", "--json"))["tokens"]
    assert [(token["name"], token["scopes"], token["last_used_at"]) for token in found] == [("nightly", ["read"], None)]
    assert run("tokens", "revoke", "a@example.org", str(uuid.uuid4())).exit_code == 1
    assert last(run("tokens", "revoke", "a@example.org", found[0]["id"], "--json"))["revoked"]
    assert last(run("tokens", "list", "a@example.org", "--json"))["tokens"] == []
    add_app(session, settings.secret_key, person)
    assert last(run("user", "reset-factors", "a@example.org", "--json"))["reset"]
    assert not second_factors.has_any(session, person.id)


def test_upload_refused(send: Any, session: Session, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    refused = send(file=empty)
    assert refused.exit_code == 1
    assert json.loads(refused.stdout.splitlines()[-1]) == {
        "recording": None,
        "state": "rejected",
        "reason": "The selected file is empty",
    }
    wrong = send(given="vgn_wrong")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "The token is wrong" in wrong.stderr
    assert session.scalars(select(Recording)).all() == []


def test_captions_again(run: Run, session: Session, storage: Storage) -> None:
    there = makers(session)
    recording = there.world.recording(there.case, state=RecordingState.READY)
    there.world.artefact(storage, recording, ArtefactKind.AUDIO, b"sound")
    session.commit()
    assert run("captions", "again", str(recording.id), "--language", "klingon").exit_code == 1
    begun = last(run("captions", "again", str(recording.id), "--language", "cy", "--json"))
    assert (begun["recording"], begun["language"]) == (str(recording.id), "cy")
    refused = run("captions", "again", str(recording.id))
    assert refused.exit_code == 1
    assert "being processed" in refused.stderr
    assert run("captions", "again", str(there.case.id)).exit_code == 1
