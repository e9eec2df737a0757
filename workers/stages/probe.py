"""Measure the source and plan what is made of it."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.cases import Case
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.media import ladder, probe
from workers.context import Result, StageContext


def run(context: StageContext) -> Result:
    """Raises `RejectedMedia` when the file cannot become a recording."""
    settings = context.core.settings
    source, sha256 = context.source()
    found = probe.probe(
        source,
        context.scratch / "probe",
        max_duration_seconds=settings.max_duration_seconds,
        cancelled=context.cancelled,
    )
    threads = settings.encode_threads or min(4, os.cpu_count() or 1)
    plan = ladder.plan(found, chunk_seconds=settings.chunk_seconds, threads=threads)
    media = plan.to_json()
    with context.core.session() as session:
        recording = session.get_one(Recording, context.recording_id)
        glossary = session.scalar(select(Case.glossary).where(Case.id == recording.case_id))
        language = recording.spoken_language or settings.caption_language
    facts = {
        "source": sha256,
        "plan": _digest(media),
        "captions": _digest([settings.caption_engine, settings.caption_model, language, glossary]),
        "audio": plan.sound is not None,
        "copy": plan.copied is not None,
        "encode": bool(plan.encoded),
        "others": len(plan.encoded) > 1,
        "chunks": len(plan.chunks),
    }

    def apply(session: Session) -> None:
        recording = session.get_one(Recording, context.recording_id)
        top = plan.rungs[0]
        recording.duration_ms = round(plan.duration_seconds * 1000)
        recording.width, recording.height = top.width, top.height
        recording.has_audio = plan.sound is not None
        row = session.scalars(
            select(Artefact).where(Artefact.recording_id == recording.id, Artefact.kind == ArtefactKind.SOURCE)
        ).one()
        row.sha256 = sha256  # an upload in parts knows the digests of its parts only

    return Result(plan={"facts": facts, "media": media, "probe": found.to_json()}, apply=apply)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
