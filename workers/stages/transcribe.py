"""Captions: what is said, heard by a confined engine, cut into cues and kept as a version."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

import app.captions
from app import logs
from app.captions import engines, models
from app.captions.cues import build_cues
from app.db.cases import Case
from app.db.recordings import ArtefactKind, Recording
from app.domain import captions
from app.errors import Misconfigured, Unavailable
from app.media import encode, sandbox
from workers.context import Result, SkipStageError, StageContext, StageFailedError

log = logging.getLogger(__name__)

WAITING_FOR_MODEL = "Captions are waiting for a model."
#: Address space, not memory in use: the engine's libraries map far more than they touch.
LIMITS = sandbox.Limits(wall_seconds=12 * 3600, cpu_seconds=48 * 3600, memory_bytes=16 << 30, file_bytes=1 << 20)


def run(context: StageContext) -> Result:
    """Silence gives a version without cues.

    Raises:
        SkipStageError: there is no sound, no engine or no model.
        StageFailedError: the engine could not do it.
    """
    settings = context.core.settings
    if settings.caption_engine == "none":
        raise SkipStageError(WAITING_FOR_MODEL)
    if not context.has(ArtefactKind.AUDIO):
        raise SkipStageError("There is no sound to caption.")
    model = _model(context)
    duration = context.plan.duration_seconds
    wave = encode.pcm(context.fetch(ArtefactKind.AUDIO), context.scratch, context.cancelled)
    transcript = _hear(context, wave, model)
    cues = build_cues(transcript.words, duration=duration)
    file = context.scratch / "words.json"
    file.write_text(
        json.dumps(
            {
                "language": transcript.language,
                "engine": transcript.engine,
                "model": transcript.model,
                "words": [[word.start, word.end, word.text, word.probability] for word in transcript.words],
            },
            ensure_ascii=False,
        )
    )
    detail = {"seconds": transcript.seconds, "speech_seconds": transcript.speech_seconds}
    words = context.keep(ArtefactKind.WORDS, transcript.language, file, "words.json", "application/json", detail)

    def apply(session: Session) -> None:
        recording = session.get_one(Recording, context.recording_id)
        captions.store_automatic(session, context.core.storage, recording, transcript, cues)

    return Result(outputs={"words": len(transcript.words), "cues": len(cues)}, artefacts=[words], apply=apply)


def _model(context: StageContext) -> Path:
    settings = context.core.settings
    try:
        return models.fetch(settings.caption_model, models.default_cache(), lambda sentence, fraction: None)
    except (Misconfigured, Unavailable) as error:
        logs.event(log, "no speech model", logging.WARNING, code=error.code, engine=settings.caption_engine)
        raise SkipStageError(WAITING_FOR_MODEL) from error


def _hear(context: StageContext, wave: Path, model: Path) -> engines.Transcript:
    settings = context.core.settings
    with context.core.session() as session:
        glossary = session.scalar(
            select(Case.glossary)
            .join(Recording, Recording.case_id == Case.id)
            .where(Recording.id == context.recording_id)
        )
    listener = engines.Listener(context.progress)
    fd = os.open(wave, os.O_RDONLY | os.O_CLOEXEC)
    try:
        argv = engines.command(
            settings.caption_engine, model.resolve(), settings.caption_language, glossary or (),
            fd=fd, threads=settings.encode_threads,
        )  # fmt: skip
        sandbox.run(
            argv,
            scratch=context.scratch / "hearing",
            pass_fds=(fd,),
            limits=LIMITS,
            on_line=listener.feed,
            cancelled=context.cancelled,
            readable=(model, Path(app.captions.__file__).parent),
            env=engines.environment(),
        )
        return listener.transcript()
    except (Unavailable, sandbox.Failed) as error:
        raise StageFailedError("The captions could not be made.", code="captions-failed") from error
    finally:
        os.close(fd)
