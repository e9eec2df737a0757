"""Real worker processes over the test's own services, and small videos made on the spot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from sqlalchemy.orm import Session

from app.core import Core
from app.db.recordings import Recording
from app.db.runs import Run
from app.domain import runs
from app.settings import PREFIX, Settings
from tests.workers.conftest import add_recording

#: Signs of life fast enough for tests; the proportions are those of the real ones.
TIMINGS = "beat=0.2, heartbeat=0.5, stalled=2.5, sweep=0.5, poll=0.3, upkeep=600, model=0.5, stop=4"
_START = """
import sys
from app import logs
from app.settings import Settings
from workers.worker import Timings, run_worker
{first}
logs.configure("INFO", "worker")
sys.exit(run_worker(Settings.load(), [q for q in sys.argv[1].split(",") if q], timings=Timings({timings})))
"""


class WorkerProcess:
    """`python` with one worker in it; its log is kept in a file. `first` is code that it runs before it starts."""

    def __init__(
        self, settings: Settings, log: Path, queues: str = "", *, timings: str = TIMINGS, first: str = ""
    ) -> None:
        environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
        for name in ("database_url", "s3_endpoint", "s3_bucket", "s3_access_key", "s3_secret_key", "secret_key", "data",
                     "chunk_seconds", "caption_engine", "caption_model", "encode_threads", "worker_encode", "machine_encode", "max_duration_seconds"):  # fmt: skip
            environment[PREFIX + name.upper()] = str(getattr(settings, name))
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START.format(timings=timings, first=first), queues],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As the kernel does it when memory is short: no goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 15) -> int:
        """As an operator does it. Returns the exit status."""
        self.process.terminate()
        return self.process.wait(seconds)

    def says(self, words: str) -> bool:
        """Whether the log has these words."""
        return words in self.log.read_text()

    def starts(self) -> int:
        """How many workers that share the log have started."""
        return self.log.read_text().count("worker started")

    def end(self) -> None:
        """Whatever state it is in."""
        if self.process.poll() is None:
            self.kill()


def children(pid: int) -> list[int]:
    """Process ids of all that a process has started, near and far."""
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []  # it has ended meanwhile
    for task in tasks:
        try:
            near = [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in near:
            found += [child, *children(child)]
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def strays(data: Path) -> list[int]:
    """Processes that still work in an instance's folder: programs that outlived their worker."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str((folder / "cwd").readlink()).startswith(str(data.resolve())):
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or somebody else's
    return found


def wait_until(what: Callable[[], Any], seconds: float, says: str = "") -> Any:
    """The first true answer; fails the test when there is none in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := what():
            return answer
        time.sleep(0.05)
    pytest.fail(f"not within {seconds} s: {says or what}")


def make_video(path: Path, *, seconds: float, size: str = "320x180", rate: int = 10, sound: bool = True) -> Path:
    """Moving bars and a tone, in a codec that is never copied."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y"]
    argv += ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    if sound:
        argv += ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}", "-c:a", "aac"]
    subprocess.run([*argv, "-c:v", "mpeg4", "-q:v", "4", "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


def ingest(core: Core, file: Path) -> tuple[uuid.UUID, uuid.UUID]:
    """Store a file as a recording's source and start its run. Returns ids of recording and run."""
    with core.session() as session:
        recording = add_recording(session, size=file.stat().st_size)
        key = recording.artefacts[0].key
        core.storage.put_file(key, file, "application/octet-stream")
        return recording.id, runs.start(session, recording).id


def in_session(core: Core, ask: Callable[[Session], Any]) -> Any:
    """What a question to the database gives, in a session of its own."""
    with core.session() as session:
        return ask(session)


def ended(core: Core, recording_id: uuid.UUID) -> bool:
    """Whether all runs of a recording have ended."""

    def ask(session: Session) -> bool:
        return session.query(Run).filter(Run.recording_id == recording_id, Run.state.in_(runs.UNFINISHED)).count() == 0

    return bool(in_session(core, ask))


def state_of(core: Core, recording_id: uuid.UUID) -> tuple[str, str]:
    """State and reason of a recording."""

    def ask(session: Session) -> tuple[str, str]:
        recording = session.get_one(Recording, recording_id)
        return recording.state.value, recording.reason

    found: tuple[str, str] = in_session(core, ask)
    return found
