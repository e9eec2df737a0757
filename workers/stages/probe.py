"""Measure the source and plan what is made of it."""

from __future__ import annotations

import os

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.recordings import Artefact, ArtefactKind, Recording
from app.domain import planning
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
        glossary = planning.glossary_of(session, context.recording_id)
    facts = {
        "source": sha256,
        **planning.digests(media, settings, glossary),
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
