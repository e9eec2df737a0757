"""Captions: what is said, heard by a confined engine, cut into cues and kept as a version."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

import app.captions
from app import logs
from app.captions import engines, models, spoken
from app.captions.audio import BLOCK_SECONDS
from app.captions.cues import build_cues
from app.db.cases import Case
from app.db.recordings import ArtefactKind, Recording
from app.domain import captions, hearing
from app.errors import Misconfigured, Unavailable
from app.media import encode, sandbox
from workers.context import Result, SkipStageError, StageContext, StageFailedError
from workers.heard import HeardSoFar

log = logging.getLogger(__name__)

#: Address space, not memory in use: the engine's libraries map far more than they touch.
LIMITS = sandbox.Limits(wall_seconds=12 * 3600, cpu_seconds=48 * 3600, memory_bytes=16 << 30, file_bytes=1 << 20)
#: CUDA maps all memory of machine and GPU at once.
GPU_LIMITS = replace(LIMITS, memory_bytes=1 << 46)
#: Part of what windows are kept under: raise it when the same sound gives other words.
_HEARING_VERSION = 1


@dataclass(frozen=True)
class _Task:
    """What is heard and how. `audio` is the SHA-256 of the sound as it is kept."""

    engine: str
    model: Path
    language: str
    otherwise: str
    glossary: tuple[str, ...]
    duration: float
    audio: str

    @property
    def how(self) -> str:
        """A digest of everything that decides which words come of it."""
        parts = [_HEARING_VERSION, BLOCK_SECONDS, self.engine, models.digest(self.model), self.language, self.otherwise]
        told = json.dumps([*parts, self.glossary, self.audio])
        return hashlib.sha256(told.encode()).hexdigest()[:32]


def run(context: StageContext) -> Result:
    """Silence gives a version without cues.

    Raises:
        SkipStageError: there is no sound, no engine or no model.
        StageFailedError: the engine could not do it.
    """
    if context.core.settings.caption_engine == "none":
        raise SkipStageError("Captions are switched off here.", hearing.OFF)
    if not context.has(ArtefactKind.AUDIO):
        raise SkipStageError("There is no sound to caption.", hearing.NO_SOUND)
    task = _task(context, _model(context))
    wave = encode.pcm(context.fetch(ArtefactKind.AUDIO), context.scratch, context.cancelled)
    transcript = _hear(context, wave, task)
    cues = build_cues(transcript.words, duration=task.duration)
    file = context.scratch / "words.json"
    file.write_text(
        json.dumps(
            {
                "language": transcript.language,
                "language_probability": transcript.language_probability,
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
        hearing.withdraw_misheard(session, recording.id, transcript.language)

    outputs = {"words": len(transcript.words), "cues": len(cues), "language": transcript.language}
    return Result(outputs=outputs, artefacts=[words], apply=apply)


def _model(context: StageContext) -> Path:
    settings = context.core.settings
    try:
        return models.fetch(settings.caption_model, models.default_cache(), lambda sentence, fraction: None)
    except (Misconfigured, Unavailable) as error:
        logs.event(log, "no speech model", logging.WARNING, code=error.code, engine=settings.caption_engine)
        raise SkipStageError(hearing.WAITING_SENTENCE, hearing.NO_MODEL) from error


def _task(context: StageContext, model: Path) -> _Task:
    settings = context.core.settings
    with context.core.session() as session:
        recording = session.get_one(Recording, context.recording_id)
        glossary = session.scalar(select(Case.glossary).where(Case.id == recording.case_id))
        return _Task(
            engine=settings.caption_engine,
            model=model.resolve(),
            language=recording.spoken_language or settings.caption_language,
            otherwise=spoken.fallback(settings.caption_language),
            glossary=tuple(glossary or ()),
            duration=(recording.duration_ms or 0) / 1000,
            audio=context.find(session, ArtefactKind.AUDIO).sha256,
        )


def _hear(context: StageContext, wave: Path, task: _Task) -> engines.Transcript:
    gpu = _gpu() if context.core.settings.caption_device != "cpu" else ()
    if not gpu:
        return _hear_on(context, wave, task, "cpu", ())
    try:
        return _hear_on(context, wave, task, "cuda", gpu)
    except StageFailedError:
        if context.core.settings.caption_device == "cuda":
            raise
        logs.event(log, "the GPU could not be used", logging.WARNING)
        return _hear_on(context, wave, task, "cpu", ())


def _gpu() -> tuple[Path, ...]:
    """The device files through which a GPU is used; none where there is no GPU."""
    return tuple(sorted(Path("/dev").glob("nvidia*"))) if Path("/dev/nvidiactl").exists() else ()


def _hear_on(
    context: StageContext, wave: Path, task: _Task, device: str, device_files: tuple[Path, ...]
) -> engines.Transcript:
    so_far = HeardSoFar(context, task.how)
    before = so_far.load()
    listener = engines.Listener(context.progress, so_far.keep, before=before)
    fd = os.open(wave, os.O_RDONLY | os.O_CLOEXEC)
    try:
        argv = engines.command(
            task.engine, task.model, before[-1].language if before else task.language, task.glossary,
            fd=fd, otherwise=task.otherwise, first=before[-1].last if before else 0,
            threads=context.core.settings.encode_threads, device=device,
        )  # fmt: skip
        sandbox.run(
            argv,
            scratch=context.scratch / f"hearing-{device}",
            pass_fds=(fd,),
            limits=GPU_LIMITS if device_files else LIMITS,
            on_line=listener.feed,
            cancelled=context.cancelled,
            readable=(task.model, Path(app.captions.__file__).parent),
            devices=device_files,
            env=engines.environment(),
        )
        return listener.transcript()
    except (Unavailable, sandbox.Failed) as error:
        raise StageFailedError("The captions could not be made.", code="captions-failed") from error
    finally:
        os.close(fd)
