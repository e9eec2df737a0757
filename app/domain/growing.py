"""What can be watched of a recording before it has a rendition: the chunks that are encoded so far, in order from the first,
and the first minutes of its sound. They live as long as their run.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import Session

from app.db.recordings import Artefact, ArtefactKind
from app.db.runs import Run, StageRun, StageState
from app.domain.runs import UNFINISHED
from app.errors import NotFound
from app.media.fmp4 import Index
from app.media.playlists import Piece
from app.pipeline.workflows import INGEST

#: What the sound is called in addresses.
SOUND = "audio"
CHUNKS, FIRST_SOUND = "transcode", "first_sound"

Stored = Mapping[str, Any]


@dataclass(frozen=True)
class Growing:
    """Chunks from the first on, without a hole: for each one its object by rung. `sound` is the object of the first
    minutes of sound, where it was made by itself."""

    chunks: tuple[Mapping[str, Stored], ...]
    sound: Stored | None

    @property
    def rungs(self) -> list[str]:
        """Names of the rungs."""
        return list(self.chunks[0]) if self.chunks else []

    def pieces(self, rung: str) -> list[Piece]:
        """The chunks of one rung; none when there is no such rung."""
        if rung not in self.rungs:
            return []
        return [Piece(number, Index.from_json(chunk[rung]["index"])) for number, chunk in enumerate(self.chunks)]


def of(session: Session, recording_id: uuid.UUID) -> Growing | None:
    """What there is so far in the recording's unfinished run; None when there is no such run, or nothing in it yet."""
    query = (
        select(StageRun.stage, StageRun.chunk, StageRun.outputs)
        .join(Run, Run.id == StageRun.run_id)
        .where(_in_work(recording_id), StageRun.stage.in_((CHUNKS, FIRST_SOUND)))
        .order_by(StageRun.chunk)
    )
    chunks: list[Mapping[str, Stored]] = []
    sound: Stored | None = None
    for stage, number, outputs in session.execute(query):
        if stage == FIRST_SOUND:
            sound = outputs.get("piece")
        elif number == len(chunks) and all("index" in stored for stored in outputs.get("objects", {}).values()):
            chunks.append(outputs["objects"])
    return Growing(tuple(chunks), sound) if chunks or sound else None


def is_growing(session: Session, recording_id: uuid.UUID) -> bool:
    """Whether the picture is still being encoded, and no rendition is there to be watched instead: one query."""
    rendition = exists().where(Artefact.recording_id == recording_id, Artefact.kind == ArtefactKind.RENDITION)
    chunks = (
        select(StageRun.id).join(Run, Run.id == StageRun.run_id).where(_in_work(recording_id), StageRun.stage == CHUNKS)
    )
    return session.scalar(chunks.where(~rendition).limit(1)) is not None


def seconds(session: Session, recording_id: uuid.UUID) -> float | None:
    """How much can be watched so far; None when it is not growing."""
    if not is_growing(session, recording_id):
        return None
    found = of(session, recording_id)
    if found is None or not found.chunks:
        return 0.0
    return sum(piece.index.duration for piece in found.pieces(found.rungs[0]))


def piece(session: Session, recording_id: uuid.UUID, name: str, number: int) -> Artefact:
    """The object of one chunk, as an artefact that is kept nowhere: one query.

    Raises:
        NotFound: there is no such chunk (yet, or any more).
    """
    stage = FIRST_SOUND if name == SOUND else CHUNKS
    stored_as = StageRun.outputs["piece"] if name == SOUND else StageRun.outputs["objects"][name]
    query = (
        select(stored_as)
        .select_from(StageRun)
        .join(Run, Run.id == StageRun.run_id)
        .where(_in_work(recording_id), StageRun.stage == stage, StageRun.chunk == number)
    )
    found = session.scalar(query)
    if not found or "size" not in found:
        raise NotFound
    media_type = "audio/mp4" if name == SOUND else "video/mp4"
    return Artefact(key=found["key"], size=found["size"], sha256=found["sha256"], media_type=media_type)


def _in_work(recording_id: uuid.UUID) -> ColumnElement[bool]:
    return and_(
        Run.recording_id == recording_id,
        Run.workflow == INGEST.name,
        Run.state.in_(UNFINISHED),
        StageRun.state == StageState.SUCCEEDED,
    )
