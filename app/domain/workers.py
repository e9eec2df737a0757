"""Workers as the database knows them: they sign in, give signs of life, and hear whether they are to take jobs.

A worker that is drained takes no new job, finishes what it has and then waits; it goes on giving signs of life, so that
one sees when its machine can be switched off. The drain is of this process: the one that is started after it works.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app import clock
from app.access import Actor
from app.db.workers import Worker, WorkerState
from app.domain import audit
from app.domain.stage_runs import LET_GO
from app.errors import Conflict, Invalid, NotFound

#: How long one that is gone is still listed.
REMEMBERED = timedelta(days=7)
#: Without a sign of life for this long a worker counts as lost.
SILENT_SECONDS = 30
PRESENT = (WorkerState.WORKING, WorkerState.DRAINING, WorkerState.DRAINED)


def enter(session: Session, name: str, machine: str, pid: int, queues: Sequence[str]) -> None:
    """A worker process has started. One of the same name that was before it is forgotten."""
    values: dict[str, Any] = {
        "machine": machine[:64],
        "pid": pid,
        "queues": list(queues),
        "state": WorkerState.WORKING,
        "started_at": func.clock_timestamp(),
        "heartbeat_at": func.clock_timestamp(),
        "facts": {},
    }
    row = insert(Worker).values(id=uuid.uuid4(), name=name, **values)
    session.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))


def beat(session: Session, name: str, facts: Mapping[str, Any], *, closed: bool, idle: bool) -> WorkerState | None:
    """A sign of life, with what the worker measures of its machine; the answer is what it is to be.

    Args:
        closed: it takes no jobs, as it was told before.
        idle: it takes none and holds no stage, so that a draining one counts as drained.

    Returns:
        The state; None where nobody knows the worker, and it is to enter again.
    """
    row = session.execute(
        select(Worker.state, LET_GO).where(Worker.name == name).with_for_update(of=Worker)
    ).one_or_none()
    if row is None:
        return None
    known: WorkerState = row[0]
    state = known
    if known is WorkerState.GONE:
        state = WorkerState.DRAINING if closed else WorkerState.WORKING  # it was only silent
    elif known is WorkerState.DRAINING and idle:
        state = WorkerState.DRAINED
    session.execute(
        update(Worker)
        .where(Worker.name == name)
        .values(state=state, facts=dict(facts), heartbeat_at=func.clock_timestamp())
        .execution_options(synchronize_session=False)
    )
    return state


def leave(session: Session, name: str) -> None:
    """A worker process ends."""
    session.execute(
        update(Worker)
        .where(Worker.name == name)
        .values(state=WorkerState.GONE, heartbeat_at=func.clock_timestamp())
        .execution_options(synchronize_session=False)
    )


def sweep(session: Session, silent_seconds: float = SILENT_SECONDS) -> None:
    """Mark workers that have gone silent, and forget those that have been gone for long. A worker that froze in the middle
    of a sign of life holds its row: it is left for later, so that nobody waits for it."""
    session.execute(
        text(
            "UPDATE workers SET state = 'gone' WHERE id IN ("
            "  SELECT id FROM workers WHERE state <> 'gone'"
            "  AND heartbeat_at < clock_timestamp() - make_interval(secs => :seconds) FOR UPDATE SKIP LOCKED)"
        ),
        {"seconds": silent_seconds},
    )
    session.execute(
        delete(Worker).where(Worker.state == WorkerState.GONE, Worker.heartbeat_at < clock.now() - REMEMBERED)
    )


def listing(session: Session) -> list[Worker]:
    """All that are there, and those that have gone lately, the latest of them first."""
    gone = Worker.state == WorkerState.GONE
    return list(session.scalars(select(Worker).order_by(gone, Worker.machine, Worker.heartbeat_at.desc(), Worker.name)))


def present(worker: Worker, now: datetime) -> bool:
    """Whether the worker is there, as far as one can tell."""
    return worker.state in PRESENT and now - worker.heartbeat_at < timedelta(seconds=SILENT_SECONDS)


def find(session: Session, word: str) -> Worker:
    """The worker of this name or id.

    Raises:
        Invalid: there is none.
    """
    query = select(Worker).where(Worker.name == word)
    with contextlib.suppress(ValueError):  # no id, so a name
        query = select(Worker).where(Worker.id == uuid.UUID(word))
    found = session.scalar(query)
    if found is None:
        raise Invalid(f"There is no worker {word!r}. `vignette work list` names all.")
    return found


def drain(session: Session, actor: Actor, worker_id: uuid.UUID) -> Worker:
    """Let a worker take no more jobs.

    Raises:
        NotFound: there is no such worker.
        Conflict: it is not there any more.
    """
    worker = _locked(session, worker_id)
    if worker.state is WorkerState.WORKING:
        worker.state = WorkerState.DRAINING
        audit.record(session, actor, "worker:drain", "worker", worker.id, name=worker.name)
    return worker


def undrain(session: Session, actor: Actor, worker_id: uuid.UUID) -> Worker:
    """Let a drained worker take jobs again.

    Raises:
        NotFound: there is no such worker.
        Conflict: it is not there any more.
    """
    worker = _locked(session, worker_id)
    if worker.state in (WorkerState.DRAINING, WorkerState.DRAINED):
        worker.state = WorkerState.WORKING
        audit.record(session, actor, "worker:undrain", "worker", worker.id, name=worker.name)
    return worker


def _locked(session: Session, worker_id: uuid.UUID) -> Worker:
    worker = session.get(Worker, worker_id, with_for_update=True, populate_existing=True)
    if worker is None:
        raise NotFound
    if worker.state is WorkerState.GONE:
        raise Conflict("This worker has ended. What it was doing is taken up by another one.")
    return worker
