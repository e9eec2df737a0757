"""The sign of life of everything that this process works on, and the answer to it: go on, or stop and why."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

from app import logs
from app.core import Core
from app.domain import stage_runs

log = logging.getLogger(__name__)

Word = Literal["go", "cancel", "superseded", "shutdown", "timeout"]

#: The database is away, or has let go of us because we stood still; the same call may work a moment later.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)


@dataclass(eq=False)
class Held:
    """One attempt at one stage. `progress` (0 to 1) is written by the stage, `word` by the pulse.

    `ending` is set once its end is being written down: the ledger's answer to a beat then says nothing about others.
    """

    stage_run_id: uuid.UUID
    attempt: int
    deadline: float
    progress: float = 0.0
    word: Word = "go"
    ending: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, word: Word) -> None:
        """Ask the stage to stop; the first reason stays, except that being superseded overrules all."""
        with self.lock:
            if self.word == "go" or word == "superseded":
                self.word = word


class Pulse(threading.Thread):
    """Beats for all held attempts about twice a second."""

    def __init__(self, core: Core, every_seconds: float, on_superseded: Callable[[], None]) -> None:
        super().__init__(name="pulse", daemon=True)
        self._core = core
        self._every = every_seconds
        self._on_superseded = on_superseded
        self._held: set[Held] = set()
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._closing = False

    @contextmanager
    def holding(self, held: Held) -> Iterator[Held]:
        """Beat for an attempt inside the block."""
        with self._guard:
            self._held.add(held)
        if self._closing:
            held.tell("shutdown")
        try:
            yield held
        finally:
            with self._guard:
                self._held.discard(held)

    @property
    def held(self) -> list[Held]:
        """What this process works on now."""
        with self._guard:
            return list(self._held)

    def shut_down(self) -> None:
        """Ask all stages to stop, also those that begin from now on."""
        self._closing = True
        for held in self.held:
            held.tell("shutdown")

    def end(self) -> None:
        """End the thread."""
        self._ended.set()

    def run(self) -> None:
        """The thread's body."""
        while not self._ended.wait(self._every):
            for held in self.held:
                if time.monotonic() > held.deadline:
                    held.tell("timeout")
                try:
                    with self._core.session() as session:
                        word = stage_runs.beat(session, held.stage_run_id, held.attempt, held.progress)
                except DATABASE_AWAY:
                    logs.event(log, "no sign of life could be given", logging.WARNING, attempt=held.attempt)
                    continue
                if word != "go" and not held.ending:
                    held.tell(word)
                    if word == "superseded":
                        self._on_superseded()
