"""What an upload costs the web process: 2 GB through both doors, and the most memory that its processes hold.

    python bench/upload.py [--bytes N]

A server of its own is started on free ports with `vignette web`; the bytes are sent by the client behind
`vignette upload`, three parts at once. Memory is the sum of the resident set of every process of the server, sampled
five times a second; shared pages count once for each. Left out: what the client, PostgreSQL and SeaweedFS use.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.access import SYSTEM
from app.cli import bring_up_to_date, build, open_storage
from app.cli_verbs.sending import Job, Sender
from app.db.people import Role
from app.db.vocabulary import TermKind
from app.domain import cases, people, sign_in, vocabulary
from app.domain.places import Place
from app.embedded.instance import running
from app.settings import Settings

LIMIT_MB = 300
BLOCK = 8 * 1024 * 1024
DOORS = {"proxy": "proxy", "s3": "redirect"}


def resident(pid: int) -> int:
    """Bytes that a process and all below it hold in memory."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return own + sum(resident(int(child)) for child in below)


class Watch(threading.Thread):
    """Samples the memory of a process tree until stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self.first = pid, 0, resident(pid)
        self.over = threading.Event()

    def run(self) -> None:
        """Sample."""
        while not self.over.wait(0.2):
            self.peak = max(self.peak, resident(self.pid))


@contextlib.contextmanager
def web(settings: Settings) -> Iterator[int]:
    """`vignette web` as a child; gives its process number once it answers."""
    names = ("database_url", "secret_key", "s3_endpoint", "s3_access_key", "s3_secret_key", "data", "port", "delivery")
    environment = {f"VIGNETTE_{name.upper()}": str(getattr(settings, name)) for name in names}
    child = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "web"],
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{settings.port}/sign-in", timeout=5)
                break
            time.sleep(0.1)
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=30)


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare(settings: Settings) -> tuple[str, str]:
    """A facilitator's token and a case."""
    bring_up_to_date(settings)
    open_storage(settings)
    with build(settings).session() as session:
        person = people.add(session, SYSTEM, email="bench@example.org", role=Role.FACILITATOR, place=Place())
        token = sign_in.make_token(session, SYSTEM, person, "bench", ["all"])
        themes = vocabulary.terms_of(session, TermKind.THEME)[:1]
        return token, str(cases.create(session, SYSTEM, cases.Content(title="Bench", themes=themes)).id)


def measure(settings: Settings, door: str, token: str, job: Job) -> dict[str, Any]:
    """Send the file through one door."""
    settings = replace(settings, port=free_port(), delivery=DOORS[door])
    with web(settings) as pid:
        watch = Watch(pid)
        watch.start()
        begun = time.monotonic()
        Sender(f"http://127.0.0.1:{settings.port}", token, lambda sentence: None).send(job)
        seconds = time.monotonic() - begun
        watch.over.set()
        watch.join()
    size = job.file.stat().st_size
    return {
        "idle_mb": round(watch.first / 1e6),
        "peak_mb": round(watch.peak / 1e6),
        "seconds": round(seconds, 1),
        "mb_per_second": round(size / 1e6 / seconds, 1),
    }


def main() -> None:
    """Measure both doors, print a table, and last one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=2 * 1024**3)
    size = parser.parse_args().bytes
    with tempfile.TemporaryDirectory(prefix="vignette-bench-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        file = home / "large.mp4"
        with file.open("wb") as out:
            for start in range(0, size, BLOCK):
                out.write(os.urandom(min(BLOCK, size - start)))
        with running(Settings(data=home / "data")) as settings:
            token, case_id = prepare(settings)
            found = {door: measure(settings, door, token, Job(file, case_id, door)) for door in DOORS}
    print(f"{'door':8}{'idle MB':>10}{'peak MB':>10}{'seconds':>10}{'MB/s':>10}")
    for door, row in found.items():
        print(f"{door:8}{row['idle_mb']:>10}{row['peak_mb']:>10}{row['seconds']:>10}{row['mb_per_second']:>10}")
    worst = max(row["peak_mb"] for row in found.values())
    print(
        json.dumps({"name": "upload", "peak_mb": worst, "limit": LIMIT_MB, "bytes": size, "subject": found, "runs": 1})
    )
    sys.exit(worst > LIMIT_MB)


if __name__ == "__main__":
    main()
