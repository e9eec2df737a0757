"""Measure the source and plan what is made of it."""

from __future__ import annotations

import os

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.recordings import Artefact, ArtefactKind, Recording
from app.domain import planning
from app.media import ladder, probe, sniff
from workers.context import Result, StageContext
from workers.stages import sound


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
    with context.core.session() as session:
        chosen = session.get_one(Recording, context.recording_id).sound_tracks
    plan = ladder.plan(found, chunk_seconds=settings.chunk_seconds, threads=threads, sounds=chosen)
    if not plan.rungs and plan.sound is None:
        raise sniff.rejected("undecodable")
    media = plan.to_json()
    with context.core.session() as session:
        glossary, language = planning.spoken_in(session, context.recording_id, settings)
    facts = {
        "source": sha256,
        **planning.digests(media, settings, glossary, language),
        "audio": plan.sound is not None,
        "long_audio": plan.sound is not None and plan.duration_seconds > sound.LONG_SECONDS,
        "heard_only": not plan.rungs,
        "copy": plan.copied is not None,
        "encode": bool(plan.encoded),
        "others": len(plan.encoded) > 1,
        "grows": plan.grows,
        "chunks": len(plan.chunks),
    }

    def apply(session: Session) -> None:
        recording = session.get_one(Recording, context.recording_id)
        top = plan.rungs[0] if plan.rungs else None
        recording.duration_ms = round(plan.duration_seconds * 1000)
        recording.width, recording.height = (top.width, top.height) if top is not None else (None, None)
        recording.damage = [part.to_json() for part in found.missing]
        recording.has_audio = plan.sound is not None
        row = session.scalars(
            select(Artefact).where(Artefact.recording_id == recording.id, Artefact.kind == ArtefactKind.SOURCE)
        ).one()
        row.sha256 = sha256  # an upload in parts knows the digests of its parts only

    return Result(plan={"facts": facts, "media": media, "probe": found.to_json()}, apply=apply)
