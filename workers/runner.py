"""Running one stage: take it up, call its code, and write down how it ended."""

from __future__ import annotations

import errno
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import logs
from app.core import Core
from app.db.recordings import Artefact, ArtefactKind
from app.db.runs import Run, StageRun, StageState
from app.domain import stage_runs
from app.errors import NotFound, RejectedMedia, Unavailable, VignetteError
from app.media import sandbox
from app.pipeline.spec import Stage
from app.pipeline.workflows import WORKFLOWS
from workers import machine
from workers.context import PATIENCE_SECONDS, Result, SkipStageError, StageContext, StopStageError
from workers.pulse import DATABASE_AWAY, Held, Pulse
from workers.registry import Registry
from workers.room import Need, NoRoomError, need
from workers.scratch import Scratch, in_words

log = logging.getLogger(__name__)

#: After this long a worker comes by again for a stage that this machine had no room for.
ROOM_SECONDS = 10
FULL = "Waiting: the worker's disk is full."
BROKEN = "Something went wrong while the video was processed."

#: What the machine has too little of at this moment: room on a disk, memory or processes. Nobody's fault, and it passes.
_MACHINE_IS_SHORT = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN)

#: Writes an end; True when it counted, False when a newer attempt has the stage.
End = Callable[[Session], bool]


@dataclass(frozen=True)
class Runner:
    """What a process needs to run stages."""

    core: Core
    pulse: Pulse
    disk: Scratch
    registry: Registry
    worker: str
    on_superseded: Callable[[], None]

    def run(self, stage_run_id: uuid.UUID) -> None:
        """Run a stage if it is to be run and this machine has room for it. Raises only what ends the worker."""
        asked = self._ask(stage_run_id)
        if asked is None:
            return
        run_id, stage, wanted = asked
        with ExitStack() as stack:
            try:
                self._check_memory(stage)
                scratch = stack.enter_context(self.disk.folder(run_id, wanted))
            except NoRoomError as reason:
                logs.event(log, "no room for a stage", run_id=run_id, stage=stage.name, code=reason.code)
                with self.core.session() as session:
                    stage_runs.postpone(session, stage_run_id, str(reason), after_seconds=ROOM_SECONDS)
                return
            except OSError as error:
                if error.errno not in _MACHINE_IS_SHORT:
                    raise
                logs.event(
                    log, "no room for a stage", logging.WARNING, run_id=run_id, code=errno.errorcode[error.errno]
                )
                with self.core.session() as session:
                    stage_runs.postpone(session, stage_run_id, FULL, after_seconds=ROOM_SECONDS)
                return
            self._take_up(stage_run_id, scratch)

    def _ask(self, stage_run_id: uuid.UUID) -> tuple[uuid.UUID, Stage, Need] | None:
        """Run, stage and the room that it needs; None when it is not to be run."""
        with self.core.session() as session:
            row = session.get(StageRun, stage_run_id)
            if row is None or row.state != StageState.QUEUED:
                return None
            run = session.get_one(Run, row.run_id)
            source = select(Artefact.size).where(
                Artefact.recording_id == run.recording_id, Artefact.kind == ArtefactKind.SOURCE
            )
            workflow = WORKFLOWS[run.workflow]
            stage = workflow.stage(row.stage)
            return run.id, stage, need(workflow, stage, run.plan, session.scalar(source) or 0)

    def _check_memory(self, stage: Stage) -> None:
        """Let a busy machine finish something first when memory is short. Where nothing else is going on, waiting would
        free none."""
        least = self.core.settings.worker_free_memory_bytes
        if stage.queue == "light" or not least or not self.pulse.held:
            return
        free = machine.free_memory(folder=machine.cgroup())
        if free is not None and free < least:
            raise NoRoomError(
                "Waiting: not enough memory on the worker's machine: "
                f"{in_words(least, up=True)} needed, {in_words(free)} free."
            )

    def _take_up(self, stage_run_id: uuid.UUID, scratch: Path) -> None:
        with self.core.session() as session:
            attempt = stage_runs.begin(session, stage_run_id, self.worker)
            if attempt is None:
                return
            row = session.get_one(StageRun, stage_run_id)
            run = session.get_one(Run, row.run_id)
            given: dict[str, Any] = {
                "recording_id": run.recording_id, "run_id": run.id, "stage": row.stage, "chunk": row.chunk,
                "run_plan": run.plan,
            }  # fmt: skip
            workflow = run.workflow
        stage = WORKFLOWS[workflow].stage(given["stage"])
        held = Held(stage_run_id, attempt, time.monotonic() + stage.timeout_seconds)
        fields = {name: given[name] for name in ("recording_id", "run_id", "stage", "chunk")}
        with logs.bind(**fields, attempt=attempt), self.pulse.holding(held):
            began = time.monotonic()
            context = StageContext(core=self.core, scratch=scratch, disk=self.disk, held=held, **given)
            with sandbox.metered() as meter:
                action, end = self._try(context, self.registry[workflow, stage.name])
            held.ending = True
            counted = self._write(held, end, meter.cpu_seconds)
            seconds = round(time.monotonic() - began, 3)
            logs.event(
                log,
                "stage ended",
                action=action if counted else "superseded",
                seconds=seconds,
                cpu_seconds=round(meter.cpu_seconds, 3),
            )
            if not counted and self._is_superseded(held):
                self.on_superseded()

    def _try(self, context: StageContext, code: Callable[[StageContext], Result]) -> tuple[str, End]:
        """Call the code. Returns what came of it, in a word, and how it is written down."""
        held = context.held
        named = (held.stage_run_id, held.attempt)
        try:
            result = code(context)
        except (StopStageError, sandbox.Cancelled):
            return _stopped(held)
        except SkipStageError as reason:
            sentence, why = str(reason), reason.why
            return "skipped", lambda session: stage_runs.skip(session, *named, sentence, why)
        except RejectedMedia as error:
            sentence, code_ = str(error), error.code
            return "rejected", lambda session: stage_runs.reject(session, *named, sentence, code_)
        except NoRoomError as reason:
            sentence = str(reason)
            return "no room", lambda session: stage_runs.put_back(session, *named, sentence, after_seconds=ROOM_SECONDS)
        except (Unavailable, *DATABASE_AWAY) as error:
            logs.event(log, "a service is away", logging.WARNING, code=type(error).__name__)
            return "away", _failure(held, "A service that is needed did not answer.", "unavailable", transient=True)
        except sandbox.NoRoom as error:
            return _short(held, error.code)
        except NotFound:
            return "failed", _failure(held, "A file that is needed is not kept any more.", "file-missing", final=True)
        except sandbox.SandboxError as error:
            log.warning("a program failed", exc_info=error)
            return "failed", _failure(held, str(error) if error.code == "limit-exceeded" else BROKEN, error.code)
        except VignetteError as error:
            log.warning("a stage failed", exc_info=error)
            return "failed", _failure(held, str(error), error.code)
        except Exception as error:  # the edge: whatever it was, the ledger must hear of it
            if isinstance(error, OSError) and error.errno in _MACHINE_IS_SHORT:
                return _short(held, errno.errorcode[error.errno])
            log.error("a stage broke", exc_info=error)
            return "failed", _failure(held, BROKEN, "broken")
        return "succeeded", lambda session: stage_runs.finish(
            session, *named, result.outputs, artefacts=result.artefacts, plan=result.plan, apply=result.apply
        )

    def _is_superseded(self, held: Held) -> bool:
        """Whether an end was refused because others have given this worker up. An end that was written, and only its
        confirmation lost, is refused the second time too, and means nothing."""
        with self.core.session() as session:
            return stage_runs.beat(session, held.stage_run_id, held.attempt, held.progress) == "superseded"

    def _write(self, held: Held, end: End, cpu_seconds: float) -> bool:
        """Write an end down, patiently: work that is done is not thrown away because the database restarts. What it
        cost is counted with it, and also when it came to nothing."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self.core.session() as session:
                    counted = end(session)
                    stage_runs.charge(session, held.stage_run_id, cpu_seconds)
                    return counted
            except Unavailable:
                end = _failure(held, "Storage did not answer.", "unavailable", transient=True)
            except DATABASE_AWAY:
                if time.monotonic() > until or held.word == "shutdown":
                    raise
                time.sleep(1)


def _failure(held: Held, sentence: str, code: str, *, final: bool = False, transient: bool = False) -> End:
    return lambda session: stage_runs.fail(
        session, held.stage_run_id, held.attempt, sentence, code, final=final, transient=transient
    )


def _short(held: Held, code: str) -> tuple[str, End]:
    """How a stage ends for which the machine had no room."""
    logs.event(log, "the machine is short of room", logging.WARNING, code=code)
    sentence = "The worker's machine has too little room on its disk or in memory."
    return "away", _failure(held, sentence, "no-room", transient=True)


def _stopped(held: Held) -> tuple[str, End]:
    """How a stage ends that was asked to stop."""
    if held.word == "timeout":
        return "timeout", _failure(held, "Processing took longer than is allowed.", "timeout")
    if held.word == "superseded":
        return "superseded", lambda session: False
    return held.word, lambda session: stage_runs.release(session, held.stage_run_id, held.attempt)
