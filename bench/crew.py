"""Worker processes for measuring: production workers over services of their own, one recording after another.

The services run on all cores; what is measured is told by wall clock, so nothing else may run on the machine.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.cli import bring_up_to_date, open_storage
from app.core import Core, build_core
from app.db.cases import Case
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.domain import runs
from app.embedded.instance import running
from app.pipeline.spec import QUEUES
from app.settings import PREFIX, Settings
from app.storage import keys

POLL_SECONDS = 0.05
#: The seconds between a worker's looks at its queue are part of what people wait for, so they are as in production.
_START = "import sys; from app.settings import Settings; from workers.worker import run_worker; sys.exit(run_worker(Settings.load()))"


@dataclass
class Crew:
    """A core, and the folder that its workers share."""

    core: Core
    folder: Path

    @contextlib.contextmanager
    def at_work(self, cores: Sequence[int | None]) -> Iterator[None]:
        """One worker for each entry: pinned to that core, or free where it is None. They run until the block ends."""
        with self.core.session() as session:
            before = session.scalar(text("SELECT now()"))
        started = [self._start(core) for core in cores]
        try:
            self._wait_for(len(started) * len(QUEUES), before)
            yield
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait()

    def _wait_for(self, consumers: int, since: Any) -> None:
        """Until so many queues have somebody who looks at them, and a moment more for what they import."""
        query = text("SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > :since")
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with self.core.session() as session:
                if (session.scalar(query, {"since": since}) or 0) >= consumers:
                    time.sleep(2)
                    return
            time.sleep(0.2)
        raise RuntimeError("the workers did not start")

    def _start(self, core: int | None) -> subprocess.Popen[bytes]:
        settings = self.core.settings
        environment = {PREFIX + f.name.upper(): str(getattr(settings, f.name)) for f in fields(settings)}
        argv = [sys.executable, "-c", _START]
        # they must not outlive a measurement that is cut off
        pin = ["setpriv", "--pdeathsig", "KILL", "--"]
        pin += [] if core is None else ["taskset", "--cpu-list", str(core)]
        return subprocess.Popen(
            [*pin, *argv],
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
            stdout=subprocess.DEVNULL,
        )

    def process(self, source: Path, *, until: Callable[[Recording], bool] | None = None) -> float:
        """Wall seconds from the upload's completion until the recording is ready, or until what is asked for is true of
        it; the run is waited for in any case."""
        with self.core.session() as session:
            case = Case(title="Measured", invented=True)
            session.add(case)
            recording = Recording(id=uuid.uuid4(), case=case, title="Measured", state=RecordingState.UPLOADING)
            session.add(recording)
            session.flush()
            key = keys.source(recording.id, uuid.uuid4())
            stored = self.core.storage.put_file(key, source, "application/octet-stream")
            session.add(
                Artefact(
                    recording_id=recording.id, kind=ArtefactKind.SOURCE, key=key,
                    media_type="application/octet-stream", size=stored.size, sha256="",
                )
            )  # fmt: skip
            runs.start(session, recording)
            recording_id = recording.id
        began, reached = time.monotonic(), None
        while True:
            with self.core.session() as session:
                recording = session.get_one(Recording, recording_id)
                state = recording.state
                if reached is None and (state is RecordingState.READY or (until is not None and until(recording))):
                    reached = time.monotonic() - began
            if state is not RecordingState.PROCESSING:
                break
            time.sleep(POLL_SECONDS)
        if state is not RecordingState.READY or reached is None:
            raise RuntimeError(f"the recording ended as {state.value}")
        return reached


@contextlib.contextmanager
def crew(**changes: object) -> Iterator[Crew]:
    """A crew over PostgreSQL and S3 of its own; `changes` are settings."""
    with tempfile.TemporaryDirectory(prefix="vignette-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        base = Settings(data=folder / "data", caption_engine="none", log_level="ERROR", encode_threads=1, **changes)  # type: ignore[arg-type]
        with running(base, lambda _: None) as settings:
            bring_up_to_date(settings)
            open_storage(settings)
            yield Crew(build_core(replace(settings, data=folder / "work")), folder)
