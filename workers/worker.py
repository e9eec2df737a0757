"""The worker process: takes jobs of its queues, gives signs of life, and puts right what lost workers left.

It ends within seconds of SIGTERM or SIGINT, giving its stages back so that others take them up at once. A worker that
finds that others have given it up (its machine slept, say) ends with `GIVEN_UP`, to be started again by what
watches over it: its job queue's state is not to be trusted any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import procrastinate
import procrastinate.exceptions
import psycopg

from app import logs
from app.core import Core, build_core
from app.db import db
from app.db.workers import WorkerState
from app.domain import runs, stage_runs, workers
from app.errors import Unavailable
from app.media import sandbox
from app.pipeline.spec import QUEUES, Queue
from app.settings import Settings
from workers import machine, mailing, periodic
from workers.awaited import AwaitedModel
from workers.pulse import DATABASE_AWAY, Pulse
from workers.registry import STAGES, Registry
from workers.runner import Runner
from workers.scratch import Scratch

log = logging.getLogger(__name__)

#: Exit status of a worker that others have given up (EX_TEMPFAIL of sysexits.h).
GIVEN_UP = 75
#: A worker that stands still inside a transaction (its machine froze, its line is cut) loses its locks after this long:
#: others could neither take its stages nor even look for lost ones. More than any single change of a stage takes.
IDLE_SECONDS = 30
_AWAY = (*DATABASE_AWAY, procrastinate.exceptions.ConnectorException, psycopg.Error)


@dataclass(frozen=True)
class Timings:
    """Seconds. `stalled` must be several times `heartbeat` and `beat`."""

    beat: float = 0.5
    heartbeat: float = 3
    stalled: float = 15
    sweep: float = 4
    poll: float = 2
    upkeep: float = 600
    mail: float = 2
    rehash: float = 600
    model: float = 30
    stop: float = 4


def run_worker(
    settings: Settings,
    queues: Sequence[Queue] | None = None,
    *,
    timings: Timings = Timings(),
    registry: Registry = STAGES,
) -> int:
    """Work until told to end. Returns the exit status: 0, or `GIVEN_UP`.

    Args:
        settings: complete settings.
        queues: the queues to work on; None or none means all.

    Raises:
        Misconfigured: bubblewrap is required, and does not work here.
    """
    sandbox.behave(sandbox.Manners(settings.worker_nice, settings.worker_ionice, settings.bubblewrap))
    worker = Worker(build_core(settings, idle_seconds=IDLE_SECONDS), tuple(queues or QUEUES), timings, registry)
    return asyncio.run(worker.main())


class Worker:
    """One worker process."""

    def __init__(self, core: Core, queues: Sequence[Queue], timings: Timings, registry: Registry) -> None:
        self.core = core
        self.queues = queues
        self.timings = timings
        self.name = f"{socket.gethostname()}-{os.getpid()}"[:100]
        self.status = 0
        self._stop = asyncio.Event()
        #: set while no jobs are to be taken, because the worker is being drained
        self._closed = asyncio.Event()
        #: queues that jobs are taken from, or finished of
        self._open_queues: set[Queue] = set()
        self._entered = False
        self._upkeep_guard = threading.Lock()
        self._mail_guard = threading.Lock()
        self._rehash_guard = threading.Lock()
        self._report_guard = threading.Lock()
        self._model_guard = threading.Lock()
        self._model = AwaitedModel(core)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.disk = Scratch(core.settings.data, core.settings.worker_disk_bytes)
        self.pulse = Pulse(core, timings.beat, self.give_up)
        self.runner = Runner(core, self.pulse, self.disk, registry, self.name, self.give_up)

    def give_up(self) -> None:
        """End, to be started again. May be called from any thread."""
        self.status = GIVEN_UP
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def main(self) -> int:
        """The process's life."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        threads = sum(self._concurrency(queue) for queue in self.queues) + 8
        self._loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="stage"))
        self.pulse.start()
        logs.event(log, "worker started", worker=self.name, queue=",".join(self.queues))
        tasks = [asyncio.create_task(self._consume(queue), name=queue) for queue in self.queues]
        tasks.append(asyncio.create_task(self._every(self.timings.sweep, self._sweep), name="sweep"))
        tasks.append(asyncio.create_task(self._every(self.timings.upkeep, self._upkeep), name="upkeep"))
        tasks.append(asyncio.create_task(self._every(self.timings.mail, self._mail), name="mail"))
        tasks.append(asyncio.create_task(self._every(self.timings.heartbeat, self._report), name="report"))
        tasks.append(asyncio.create_task(self._every(self.timings.rehash, self._rehash), name="rehash"))
        if "transcribe" in self.queues:
            tasks.append(asyncio.create_task(self._every(self.timings.model, self._look_for_model), name="model"))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        await self._wind_down(tasks)
        return self.status

    def _concurrency(self, queue: Queue) -> int:
        return int(getattr(self.core.settings, f"worker_{queue}"))

    def _stage(self, stage_run_id: str) -> None:
        """The task: runs in a thread."""
        self.runner.run(uuid.UUID(stage_run_id))

    async def _consume(self, queue: Queue) -> None:
        """Take jobs of one queue while the worker is not drained and the machine has places for more of them."""
        while not self._stop.is_set():
            concurrency = self._concurrency(queue)
            limit = int(getattr(self.core.settings, f"machine_{queue}", 0))
            places = self.disk.slots(queue, limit, concurrency) if limit else []
            if not self._closed.is_set() and (places or not limit):
                self._open_queues.add(queue)
                try:
                    await self._until_closed(self._take(queue, len(places) or concurrency))
                finally:
                    self._open_queues.discard(queue)
            for place in places:
                place.close()
            await self._pause(1)

    async def _until_closed(self, taking: Coroutine[Any, Any, None]) -> None:
        """Take jobs until the worker is drained; what has begun is finished, however this ends."""
        work = asyncio.create_task(taking)
        closed = asyncio.create_task(self._closed.wait())
        try:
            await asyncio.wait({work, closed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            work.cancel()
            await asyncio.wait({work})
        if not work.cancelled():
            work.result()

    async def _take(self, queue: Queue, concurrency: int) -> None:
        """Take jobs of one queue until cancelled, or the database goes away."""
        connector = procrastinate.PsycopgConnector(
            conninfo=self.core.settings.libpq_url, min_size=1, max_size=4, timeout=10
        )
        jobs = procrastinate.App(connector=connector)
        jobs.task(name=runs.TASK)(self._stage)
        try:
            async with jobs.open_async():
                await jobs.run_worker_async(
                    queues=[queue],
                    name=f"{self.name}-{queue}",
                    concurrency=concurrency,
                    install_signal_handlers=False,
                    update_heartbeat_interval=self.timings.heartbeat,
                    stalled_worker_timeout=self.timings.stalled,
                    fetch_job_polling_interval=self.timings.poll,
                    delete_jobs="always",
                )
        except _AWAY as error:
            logs.event(log, "the job queue is away", logging.WARNING, queue=queue, code=type(error).__name__)

    async def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            pause = seconds
            try:
                await asyncio.to_thread(work)
            except (*_AWAY, Unavailable) as error:
                logs.event(log, "upkeep must wait", logging.WARNING, code=type(error).__name__)
                # nobody could give a sign of life meanwhile: wait until all have had the time for it
                pause = max(seconds, self.timings.stalled)
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    def _sweep(self) -> None:
        with self._upkeep_guard:
            with self.core.session() as session:
                lost = stage_runs.recover(session, self.timings.stalled)
            with self.core.session() as session:
                workers.sweep(session, 2 * self.timings.stalled)
            if lost:
                logs.event(log, "stages taken from lost workers", logging.WARNING, count=lost)
            self.disk.sweep(lambda ids: periodic.unfinished(self.core, ids))

    def _upkeep(self) -> None:
        with self._upkeep_guard:
            periodic.upkeep(self.core)

    def _report(self) -> None:
        """A sign of life of the worker itself, and whether it is to take jobs."""
        closed = self._closed.is_set()
        idle = closed and not self._open_queues and not self.pulse.held
        told = machine.facts(self.disk.root)
        with self._report_guard, self.core.session() as session:
            state = workers.beat(session, self.name, told, closed=closed, idle=idle) if self._entered else None
            if state is None:
                workers.enter(session, self.name, socket.gethostname(), os.getpid(), self.queues)
                state = WorkerState.WORKING
        self._entered = True
        wants_closed = state is not WorkerState.WORKING
        if wants_closed != closed and self._loop is not None:
            logs.event(log, "worker draining" if wants_closed else "worker takes jobs again", worker=self.name)
            self._loop.call_soon_threadsafe(self._closed.set if wants_closed else self._closed.clear)

    def _rehash(self) -> None:
        with self._rehash_guard:
            periodic.rehash(self.core, self.timings.rehash, self._stop.is_set)

    def _look_for_model(self) -> None:
        # fetching takes minutes: an end of the worker does not wait for it
        with self._model_guard:
            self._model.look()

    def _mail(self) -> None:
        # A lock of its own: a slow mail server holds nothing else up
        with self._mail_guard:
            mailing.send_due(self.core, self._stop.is_set)

    async def _wind_down(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Take no more jobs, stop the stages, give back what does not stop in time."""
        self._stop.set()
        began = time.monotonic()
        self.pulse.shut_down()
        for task in tasks:
            task.cancel()
        done, late = await asyncio.wait(tasks, timeout=self.timings.stop)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a part of the worker broke", exc_info=error)
                self.status = self.status or 1
        guards = (
            self._upkeep_guard, self._mail_guard, self._rehash_guard, self._report_guard, self._model_guard,
        )  # fmt: skip
        stuck = bool(late) or any(guard.locked() for guard in guards)
        if late:
            self._leave_behind()
        self.pulse.end()
        try:
            self.disk.sweep(lambda ids: periodic.unfinished(self.core, ids))
            with self.core.session() as session:
                workers.leave(session, self.name)
        except DATABASE_AWAY:
            logs.event(log, "the next worker will sweep", logging.WARNING)
        self.disk.close()
        logs.event(log, "worker ended", exit_status=self.status, seconds=round(time.monotonic() - began, 3))
        if stuck or self.status == GIVEN_UP:
            # Threads that do not end would be waited for, and so would what the queue's library left behind when the jobs
            # that it held were taken by others.
            logging.shutdown()
            os._exit(self.status)
        with self.core.app.app_context():
            db.engine.dispose()

    def _leave_behind(self) -> None:
        """Give back stages whose code did not stop in time; their late ends are refused."""
        try:
            for held in self.pulse.held:
                with self.core.session() as session:
                    stage_runs.release(session, held.stage_run_id, held.attempt)
        except DATABASE_AWAY as error:
            log.warning("stages could not be given back", exc_info=error)
