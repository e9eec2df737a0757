"""Files that are made to harm, through a real worker process: what each costs, and what it touches.

    python bench/hostile.py

Every text and file of `tests/media/hostile.py` is uploaded in turn. Told for each: what became of it, the reason's code,
seconds from the upload's completion to the end of the run, and the most memory that any process of the worker held.
A canary file, a neighbour's recording and a web server on loopback watch all the while. Left out: captions.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chaos import TIMINGS, prepared

from app.core import Core, build_core
from app.db.recordings import Recording
from tests.media.hostile import FILES, TEXTS, Trap, Workshop, text
from tests.support.services import running_services
from tests.workers.harness import WorkerProcess, children, ended, in_session, ingest, wait_until

LIMIT_SECONDS = 60
LIMIT_BYTES = 1_500_000_000


@dataclass
class Found:
    """What became of one file."""

    name: str
    state: str
    code: str
    seconds: float
    peak_bytes: int
    touched: list[str]
    expected: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Whether a limit was broken, or nobody could say why the file was refused."""
        surprising = (self.code or self.state) not in self.expected
        return self.seconds > LIMIT_SECONDS or self.peak_bytes > LIMIT_BYTES or bool(self.touched) or surprising


def held(pid: int) -> int:
    """Most bytes that any of the worker's processes has held so far (`VmHWM` of proc(5))."""
    most = 0
    for process in (pid, *children(pid)):
        with contextlib.suppress(OSError, IndexError):
            status = Path(f"/proc/{process}/status").read_text()
            most = max(most, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
    return most


def watched(core: Core, worker: WorkerProcess, recording_id: uuid.UUID) -> tuple[float, int]:
    """Seconds to the end of the run, and the most memory meanwhile."""
    began, most = time.monotonic(), 0
    while not ended(core, recording_id) and time.monotonic() - began < 4 * LIMIT_SECONDS:
        until = time.monotonic() + 0.25
        while time.monotonic() < until:
            most = max(most, held(worker.pid))
    return time.monotonic() - began, most


def main() -> None:
    """Print a table and, last, one JSON line."""
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="vignette-hostile-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        services = stack.enter_context(running_services(folder))
        url = services.create_database("hostile")
        settings = replace(
            services.settings, database_url=url, owner_database_url=services.owner_url(url), data=folder / "data",
            caption_engine="none", encode_threads=1, worker_encode=1, max_duration_seconds=3600,
        )  # fmt: skip
        core = prepared(build_core(settings).settings)
        trap = Trap(folder / "trap")
        stack.callback(trap.close)
        workshop = Workshop(folder / "workshop")
        workshop.folder.mkdir()
        worker = WorkerProcess(core.settings, folder / "worker.log", timings=TIMINGS)
        stack.callback(worker.end)
        wait_until(worker.starts, 300, "the worker starts")
        made = {name: ((code,), lambda name=name: text(name, trap)) for name, (code, _) in TEXTS.items()}
        made |= {name: (codes, lambda make=make: make(workshop, trap)) for name, (codes, make) in FILES.items()}
        upload = folder / "upload"
        for name, (codes, make) in made.items():
            upload.write_bytes(make())
            trap.touched()
            recording_id, _ = ingest(core, upload)
            seconds, most = watched(core, worker, recording_id)
            state, code = in_session(
                core,
                lambda s, i=recording_id: (s.get_one(Recording, i).state.value, s.get_one(Recording, i).reason_code),
            )
            found.append(Found(name, state, code, round(seconds, 1), most, trap.touched(), codes))
            one = found[-1]
            print(
                f"{name:24} {state:10} {code:20} {seconds:6.1f} s {most / 1e6:7.0f} MB"
                f"{' !! ' + str(one.touched) if one.wrong else ''}",
                flush=True,
            )
        if worker.stop() != 0:
            raise RuntimeError("the worker did not end well")
    wrong = [one.name for one in found if one.wrong]
    print(
        json.dumps(
            {
                "name": "hostile",
                "wrong_files": wrong,
                "limit": {"wrong_files": 0, "seconds": LIMIT_SECONDS, "bytes": LIMIT_BYTES},
                "subject": {
                    "longest_seconds": max(one.seconds for one in found),
                    "peak_bytes": max(one.peak_bytes for one in found),
                    "touched": sum(bool(one.touched) for one in found),
                },
                "reference": {},
                "runs": len(found),
            }
        )
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
