"""What the tests of runs and workers share: a recording with a source, and workflows of the tests' own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from app.db.cases import Case
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.pipeline.spec import Stage, Workflow
from app.pipeline.workflows import WORKFLOWS
from app.storage import keys


def add_recording(session: Session, *, size: int = 4, sha256: str = "") -> Recording:
    """A recording whose upload is complete, as `app.domain` leaves it."""
    case = Case(title="A synthetic case", invented=True)
    session.add(case)
    session.flush()
    recording = Recording(case_id=case.id, title="A synthetic recording", state=RecordingState.UPLOADING)
    session.add(recording)
    session.flush()
    session.add(
        Artefact(
            recording_id=recording.id,
            kind=ArtefactKind.SOURCE,
            name="",
            key=keys.source(recording.id, uuid.uuid4()),
            media_type="application/octet-stream",
            size=size,
            sha256=sha256,
        )
    )
    session.flush()
    return recording


@pytest.fixture
def recording(session: Session) -> Recording:
    return add_recording(session)


SMALL = Workflow(
    "small",
    planner="look",
    stages=(
        Stage(name="look", label="Look", retries=1),
        Stage(name="cut", label="Cut", needs=("look",), per_chunk=True, queue="encode", retries=1),
        Stage(name="extra", label="Extra", needs=("look",), optional=True, retries=0, when="extra"),
        Stage(name="glue", label="Glue", needs=("cut", "extra"), makes=("rendition",), reads=("source",), retries=1),
    ),
)
PLAN = {"facts": {"chunks": 2, "extra": True, "source": "abc", "audio": False}}


@pytest.fixture
def small() -> Iterator[Workflow]:
    """The workflow `SMALL`, known for the time of the test."""
    WORKFLOWS[SMALL.name] = SMALL
    yield SMALL
    del WORKFLOWS[SMALL.name]
