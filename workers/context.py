"""What the code of a stage is given, and what it gives back."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import logs
from app.core import Core
from app.db.recordings import Artefact, ArtefactKind
from app.db.runs import Run, StageRun
from app.domain import replacing
from app.domain.replacing import Made
from app.errors import NotFound, Unavailable, VignetteError
from app.media.ladder import Plan
from app.storage import keys
from app.storage.s3 import Stored
from workers.pulse import Held
from workers.scratch import Scratch

log = logging.getLogger(__name__)

#: How long what a stage has made is offered to a database or a storage that is away. After that it is made again.
PATIENCE_SECONDS = 300


class StopStageError(Exception):
    """The stage was asked to stop; why is in `Held.word`."""


class SkipStageError(Exception):
    """The stage finds nothing to do. The message is a sentence for people, `why` a word for programs."""

    def __init__(self, sentence: str, why: str = "") -> None:
        super().__init__(sentence)
        self.why = why


class StageFailedError(VignetteError):
    """The stage could not do it; trying again may help. The message is a sentence for people."""

    code = "stage-failed"


@dataclass(frozen=True)
class Result:
    """What a stage leaves. `outputs` is JSON for later stages, `plan` is the planner's; `apply` joins the transaction
    that ends the stage and runs only if this end counts."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    artefacts: Sequence[Made] = ()
    plan: Mapping[str, Any] | None = None
    apply: Callable[[Session], None] | None = None


@dataclass(frozen=True)
class StageContext:
    """One attempt at one stage. `scratch` is empty and removed afterwards."""

    core: Core
    recording_id: uuid.UUID
    run_id: uuid.UUID
    stage: str
    chunk: int
    run_plan: Mapping[str, Any]
    scratch: Path
    disk: Scratch
    held: Held

    @property
    def attempt(self) -> int:
        """Number of this attempt."""
        return self.held.attempt

    @property
    def plan(self) -> Plan:
        """How the recording is encoded."""
        return Plan.from_json(self.run_plan["media"])

    def progress(self, fraction: float) -> None:
        """Say how far the stage is, 0 to 1; may be called as often as one likes."""
        self.held.progress = fraction

    def cancelled(self) -> bool:
        """Whether the stage is to stop; cheap."""
        return self.held.word != "go"

    def check(self) -> None:
        """Raise `StopStageError` when the stage is to stop."""
        if self.cancelled():
            raise StopStageError

    # -- reading ----------------------------------------------------------------------------------------------------

    def source(self) -> tuple[Path, str]:
        """The uploaded file on this disk and its SHA-256.

        Raises:
            Unavailable, NotFound: see `Scratch.source`.
        """
        with self.core.session() as session:
            row = self.find(session, ArtefactKind.SOURCE)
            key, size, sha256 = row.key, row.size, row.sha256
        return self.disk.source(self.core.storage, self.run_id, key, size, sha256, self.check)

    def find(self, session: Session, kind: ArtefactKind, name: str = "") -> Artefact | Made:
        """The recording's artefact of this kind and name, as this run sees it. Raises `NotFound`."""
        found = replacing.find(session, session.get_one(Run, self.run_id), kind, name)
        if found is None:
            raise NotFound
        return found

    def has(self, kind: ArtefactKind, name: str = "") -> bool:
        """Whether the recording has such an artefact."""
        with self.core.session() as session:
            try:
                self.find(session, kind, name)
            except NotFound:
                return False
            return True

    def fetch(self, kind: ArtefactKind, name: str = "") -> Path:
        """An artefact as a file in scratch. Raises `NotFound` or `Unavailable`."""
        with self.core.session() as session:
            row = self.find(session, kind, name)
            key, sha256 = row.key, row.sha256
        return self.fetch_object(key, sha256, f"{kind.value}-{name}")

    def fetch_object(self, key: str, sha256: str, name: str) -> Path:
        """An object as a file in scratch, checked on the way. Raises `NotFound` or `Unavailable`."""
        self.check()
        folder = self.scratch / "fetched"
        folder.mkdir(exist_ok=True)
        path = folder / name
        if self.core.storage.fetch(key, path) != sha256:
            raise Unavailable("An object arrived damaged from storage.")
        return path

    def outputs_of(self, stage: str) -> list[Mapping[str, Any]]:
        """What a stage that came before has left, by chunk."""
        query = select(StageRun.outputs).where(StageRun.run_id == self.run_id, StageRun.stage == stage)
        with self.core.session() as session:
            return list(session.scalars(query.order_by(StageRun.chunk)))

    # -- writing ----------------------------------------------------------------------------------------------------

    def store(self, key: str, file: Path, media_type: str) -> Stored:
        """Store a file, patiently: work that is done is not thrown away because storage restarts.

        Raises:
            Unavailable: storage did not take it for minutes.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            self.check()
            try:
                return self.core.storage.put_file(key, file, media_type)
            except Unavailable:
                if time.monotonic() > until:
                    raise
                logs.event(log, "storage is away", logging.WARNING)
                time.sleep(1)

    def keep(
        self, kind: ArtefactKind, name: str, file: Path, file_name: str, media_type: str, detail: Mapping[str, Any]
    ) -> Made:
        """Store a file that stays; it becomes an artefact when the stage has ended well."""
        key = keys.artefact(self.recording_id, self.run_id, file_name, self.attempt)
        stored = self.store(key, file, media_type)
        return Made(kind, name, key, media_type, stored.size, stored.sha256, detail)
