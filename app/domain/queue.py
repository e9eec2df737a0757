"""Deferring a job inside the transaction that makes it necessary: both happen, or neither does."""

from __future__ import annotations

from typing import Any

import procrastinate
from sqlalchemy.orm import Session

#: Knows how to write jobs; it never opens a connection of its own, since each job names the session's.
_writer = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def defer(
    session: Session,
    task: str,
    *,
    queue: str,
    lock: str | None = None,
    priority: int = 0,
    after_seconds: int = 0,
    **arguments: Any,
) -> None:
    """Write a job for `task` in the session's own transaction. Arguments must be JSON.

    Args:
        queue: "light", "encode" or "transcribe": what the machine needs for it.
        lock: jobs of one lock run one after another.
        priority: higher runs first.
        after_seconds: how long the job waits before a worker may take it.
    """
    session.flush()
    connection = session.connection().connection.driver_connection
    _writer.configure_task(
        task,
        queue=queue,
        lock=lock,
        priority=priority,
        connection=connection,
        schedule_in={"seconds": after_seconds} if after_seconds else None,
    ).defer(**arguments)
