"""A real worker is drained while it works: it finishes what it has, takes nothing more, says so, and goes on when told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.access import SYSTEM
from app.core import Core, build_core
from app.db import db
from app.db.runs import StageRun
from app.db.workers import Worker, WorkerState
from app.domain import workers
from app.errors import Conflict, Invalid
from app.settings import Settings
from tests.workers.harness import WorkerProcess, ended, in_session, ingest, make_video, state_of, wait_until


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(
        settings, chunk_seconds=2, caption_engine="none", encode_threads=1, worker_encode=2, machine_encode=1
    )


@pytest.fixture
def core(settings: Settings) -> Iterator[Core]:
    made = build_core(settings)
    yield made
    with made.app.app_context():
        db.engine.dispose()


def the_worker(core: Core) -> Any:
    """The one worker as the database has it."""

    def ask(session: Session) -> Any:
        row = session.scalars(select(Worker)).one_or_none()
        return (row.state, row.id, row.pid, row.queues, row.facts) if row is not None else None

    return in_session(core, ask)


def count(core: Core, *states: str) -> int:
    query = select(StageRun.id).where(StageRun.state.in_(states))
    return len(in_session(core, lambda session: session.scalars(query).all()))


def test_a_worker_is_drained_and_goes_on(core: Core, settings: Settings, tmp_path: Path) -> None:
    recording, _ = ingest(core, make_video(tmp_path / "film.mp4", seconds=10, size="320x180", rate=25))
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    try:
        wait_until(lambda: count(core, "succeeded") > 1 and count(core, "running"), 60, "it works")
        state, worker_id, pid, queues, _ = the_worker(core)
        assert (state, pid, queues) == (WorkerState.WORKING, worker.pid, ["light", "encode", "transcribe"])
        in_session(core, lambda session: workers.drain(session, SYSTEM, worker_id).id)
        wait_until(lambda: the_worker(core)[0] is WorkerState.DRAINED, 60, "it says that it is drained")
        assert count(core, "running") == 0
        assert count(core, "queued") > 0  # what it left for others
        assert not ended(core, recording)
        assert the_worker(core)[4]["disk_free_bytes"] > 0
        in_session(core, lambda session: workers.undrain(session, SYSTEM, worker_id).id)
        wait_until(lambda: ended(core, recording), 90, "the run ends")
        assert state_of(core, recording) == ("ready", "")
        assert worker.stop() == 0
        assert the_worker(core)[0] is WorkerState.GONE
        assert [path for path in (settings.data / "scratch").rglob("*") if path.is_file()] == []
    finally:
        worker.end()


# -- what the database knows ---------------------------------------------------------------------------------------------


def enter(session: Session, name: str = "m-1") -> Worker:
    workers.enter(session, name, "m", os.getpid(), ["light"])
    return session.scalars(select(Worker).where(Worker.name == name).execution_options(populate_existing=True)).one()


def state(session: Session, worker: Worker) -> WorkerState:
    session.refresh(worker)
    return worker.state


def test_a_drained_worker_says_so_only_when_it_is_idle(session: Session) -> None:
    worker = enter(session)
    assert workers.beat(session, "m-1", {}, closed=False, idle=False) is WorkerState.WORKING
    workers.drain(session, SYSTEM, worker.id)
    session.flush()
    assert workers.beat(session, "m-1", {"a": 1}, closed=False, idle=False) is WorkerState.DRAINING
    assert workers.beat(session, "m-1", {}, closed=True, idle=True) is WorkerState.DRAINED
    assert workers.beat(session, "m-1", {}, closed=True, idle=True) is WorkerState.DRAINED
    assert enter(session).state is WorkerState.WORKING  # the process that comes after it is not drained


def test_a_silent_worker_is_gone_until_it_is_heard_again(session: Session) -> None:
    worker = enter(session)
    workers.sweep(session, 60)
    assert state(session, worker) is WorkerState.WORKING
    session.execute(text("UPDATE workers SET heartbeat_at = now() - interval '61 seconds'"))
    workers.sweep(session, 60)
    assert state(session, worker) is WorkerState.GONE
    with pytest.raises(Conflict):
        workers.drain(session, SYSTEM, worker.id)
    assert workers.beat(session, "m-1", {}, closed=False, idle=False) is WorkerState.WORKING
    workers.leave(session, "m-1")
    session.execute(text("UPDATE workers SET heartbeat_at = now() - interval '8 days'"))
    workers.sweep(session, 60)
    assert workers.beat(session, "m-1", {}, closed=False, idle=False) is None


def test_workers_are_found_by_name_or_id(session: Session) -> None:
    worker = enter(session)
    assert workers.find(session, "m-1").id == workers.find(session, str(worker.id)).id == worker.id
    with pytest.raises(Invalid, match="work list"):
        workers.find(session, "nobody")
