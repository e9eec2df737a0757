"""An instance with a few recordings, a bucket that no other test writes to, and the command as a child process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.core import Core, build_core
from app.db import Base, db
from app.db.captions import CaptionOrigin, CaptionTrack, CaptionVersion
from app.db.people import Role
from app.db.recordings import Artefact, ArtefactKind, RecordingState, Upload
from app.db.runs import StageRun, StageState
from app.domain import runs, sign_in
from app.domain.backup import Instance
from app.embedded import roles
from app.settings import PREFIX, Settings
from app.storage import keys
from app.storage.s3 import Storage
from tests.support.services import Services
from tests.support.world import World

BUCKET = "operations"


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    """The test's own database, and a bucket that is empty."""
    own = replace(settings, s3_bucket=BUCKET)
    storage = Storage(own)
    storage.ensure_bucket()
    empty(storage)
    yield own
    empty(storage)


def empty(storage: Storage) -> None:
    """Remove every object."""
    for key, _ in list(storage.objects("")):
        storage.delete(key)


@dataclass(frozen=True)
class Scene:
    """What the instance holds: keys by what they are."""

    source: str
    rendition: str
    captions: str
    older_captions: str
    chunk: str
    upload_id: uuid.UUID
    waiting_stage_id: uuid.UUID
    digests: dict[str, str]


@pytest.fixture
def scene(core: Core, settings: Settings) -> Scene:
    """A ready recording, one whose run is unfinished, one that is being uploaded, and somebody signed in."""
    storage = core.storage
    with core.session() as session:
        world = World(session)
        person = world.person("keeper@example.org", Role.ADMIN)
        sign_in.open_session(session, person.id, "test", sign_in.TOKEN_LIFE)
        sign_in.first_admin_link(session)
        ready = world.recording(title="A title that nobody else may read", published=True)
        source = world.artefact(storage, ready, ArtefactKind.SOURCE, b"as uploaded" * 1000)
        source.sha256 = ""
        rendition = world.artefact(storage, ready, ArtefactKind.RENDITION, b"480p" * 5000, "480p")
        track = CaptionTrack(recording_id=ready.id, language="en", current_version=2)
        track.versions = [CaptionVersion(number=n, origin=CaptionOrigin.AUTOMATIC) for n in (1, 2)]
        session.add(track)
        for number in (1, 2):
            key = keys.caption_version(ready.id, "en", number)
            stored = storage.put_bytes(key, f"WEBVTT {number}".encode(), "text/vtt")
        captions = Artefact(
            recording_id=ready.id, kind=ArtefactKind.CAPTIONS, name="en", key=stored.key, media_type="text/vtt",
            size=stored.size, sha256=stored.sha256,
        )  # fmt: skip
        session.add(captions)

        working = world.recording(state=RecordingState.UPLOADING)
        world.artefact(storage, working, ArtefactKind.SOURCE, b"another").sha256 = ""
        run = runs.start(session, working)
        chunk = storage.put_bytes(keys.chunk(working.id, run.id, 0, "480p", 1), b"chunk" * 100, "video/mp4")
        outputs = {"objects": {"480p": {"key": chunk.key, "sha256": chunk.sha256}}, "kept": []}
        session.add(
            StageRun(
                run_id=run.id, stage="transcode", position=3, state=StageState.SUCCEEDED, attempt=1, outputs=outputs
            )
        )
        waiting = session.scalars(select(StageRun).where(StageRun.state == StageState.QUEUED)).one()

        sending = world.recording(state=RecordingState.UPLOADING)
        key = keys.source(sending.id, uuid.uuid4())
        upload = Upload(
            recording=sending, created_by_id=person.id, key=key, filename="role play.mp4", size=9, part_size=8 << 20,
            storage_upload_id=storage.begin_multipart(key, "application/octet-stream"),
        )  # fmt: skip
        session.add(upload)
        session.flush()
        older = keys.caption_version(ready.id, "en", 1)
        return Scene(
            source.key, rendition.key, captions.key, older, chunk.key, upload.id, waiting.id, stored_digests(storage)
        )


def stored_digests(storage: Storage) -> dict[str, str]:
    """SHA-256 of everything that storage holds, by key."""
    return {key: hashlib.sha256(storage.get_bytes(key)).hexdigest() for key, _ in list(storage.objects(""))}


def rows(core: Core, *without: str) -> dict[str, list[str]]:
    """Every row of every table of ours and of the job queue, as text."""
    tables = [table.name for table in Base.metadata.sorted_tables] + ["procrastinate_jobs", "alembic_version"]
    with core.session() as session:
        connection = session.connection()
        return {
            name: sorted(str(tuple(row)) for row in connection.exec_driver_sql(f"SELECT * FROM {name}"))  # noqa: S608
            for name in tables
            if name not in without
        }


@pytest.fixture
def instance(core: Core) -> Instance:
    """The core as backup and restore take it."""
    return instance_of(core)


def instance_of(core: Core) -> Instance:
    """A core as backup and restore take it."""
    settings = core.settings
    return Instance(core.session, settings.owner_libpq_url, core.storage, roles.named_in(settings.libpq_url))


@pytest.fixture
def fresh_core(services: Services, core: Core) -> Iterator[Core]:
    """Another instance: its database has no table yet. Its bucket is the same."""
    name = f"{core.settings.database_url.rpartition('/')[2]}_fresh"
    url = services.create_database(name)
    made = build_core(replace(core.settings, database_url=url, owner_database_url=services.owner_url(url)))
    yield made
    with made.app.app_context():
        db.session.remove()
        db.engine.dispose()
    services.drop_database(name)


@dataclass(frozen=True)
class Answer:
    """What a verb did."""

    status: int
    told: dict[str, Any]
    said: str


Command = Callable[..., Answer]


@pytest.fixture
def command(settings: Settings) -> Command:
    """`vignette VERB ... --json` on the test's instance."""
    return lambda *words: run_command(environment(settings), *words)


def environment(settings: Settings) -> dict[str, str]:
    """Settings that differ from the defaults, as environment variables."""
    default = Settings()
    return {
        PREFIX + f.name.upper(): str(getattr(settings, f.name))
        for f in fields(Settings)
        if getattr(settings, f.name) != getattr(default, f.name)
    }


def run_command(env: dict[str, str], *words: object) -> Answer:
    """`vignette VERB ... --json` with these settings."""
    argv = [sys.executable, "-m", "app.cli", *map(str, words), "--json"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        argv, cwd=root, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, check=False, timeout=180
    )
    lines = done.stdout.splitlines()
    return Answer(done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr)
