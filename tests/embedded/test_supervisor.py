"""`vignette up` over stand-ins for worker and web server: starts, restarts, stops, and what it says."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.embedded import processes
from app.embedded.instance import is_running
from app.settings import INSTANCE_FILE, Settings

_SECONDS = 60


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="vignette-embedded-"))
    folder.chmod(0o711)
    yield folder / "data"
    shutil.rmtree(folder)


class Run:
    """A stand-in process whose JSON lines are read one after another."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.embedded.standin", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.seen: list[dict[str, Any]] = []

    def next(self) -> dict[str, Any] | None:
        """The next line, or None at the end."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            return None
        source, _, text = line.rpartition(" | ")
        self.seen.append({"from": source, **json.loads(text)})
        return self.seen[-1]

    def until(self, **wanted: Any) -> dict[str, Any]:
        """The next line that has all of `wanted`; text matches as a part."""
        while event := self.next():
            if all(str(value) in str(event.get(key, "")) for key, value in wanted.items()):
                return event
        assert self.process.stderr is not None
        raise AssertionError(f"ended without {wanted}: {self.seen} {self.process.stderr.read()}")

    def ready(self) -> dict[str, int]:
        """Wait until it is ready and both children have spoken; returns their process ids."""
        while not (any(e["what"] == "ready" for e in self.seen) and len(self.children()) == 2):
            assert self.next(), self.seen
        return self.children()

    def children(self) -> dict[str, int]:
        """Process ids of worker and web server, after the start."""
        return {event["from"]: event["pid"] for event in self.seen if event["what"] == "child"}

    def answer(self) -> tuple[int, str]:
        """Exit status and standard error."""
        _, error = self.process.communicate(timeout=_SECONDS)
        return self.process.returncode, error


@contextlib.contextmanager
def started(*arguments: object) -> Iterator[Run]:
    run = Run(*arguments)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
        run.process.communicate()


def free_port() -> int:
    return processes.free_ports(1)[0]


def watch(pid: int) -> int:
    return os.pidfd_open(pid)


def ended(watched: int) -> bool:
    try:
        return bool(select.select([watched], [], [], 20)[0])
    finally:
        os.close(watched)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_child(data: Path, sign: signal.Signals) -> None:
    with started("up", data, free_port(), "bare") as run:
        watched = [watch(pid) for pid in run.ready().values()]
        run.process.send_signal(sign)
        run.until(what="end")
        assert run.answer() == (0, "")
        assert all(map(ended, watched))


def test_kill_of_the_supervisor_leaves_no_child(data: Path) -> None:
    with started("up", data, free_port(), "bare") as run:
        watched = [watch(pid) for pid in run.ready().values()]
        run.process.kill()
        assert all(map(ended, watched))


def test_a_killed_child_is_told_and_started_again_ever_later(data: Path) -> None:
    with started("up", data, free_port(), "bare") as run:
        run.ready()
        for seconds in (1, 2):
            os.kill(run.children()["worker"], signal.SIGKILL)
            run.until(what="say", sentence=f"worker was ended by signal SIGKILL. It starts again in {seconds} s.")
            run.until(what="child", **{"from": "worker"})


def test_two_instances_run_side_by_side_and_one_data_folder_only_once(data: Path) -> None:
    other = data.with_name("other")
    with started("up", data, free_port(), "bare") as one, started("up", other, free_port(), "bare") as two:
        one.ready()
        two.ready()
        with started("up", data, free_port(), "bare") as again:
            status, sentence = again.answer()
        assert status == 1
        assert sentence.startswith(f"Another Vignette already runs on the data folder {data}.")
        assert one.process.poll() is None


def test_a_port_in_use_is_a_sentence_before_anything_starts(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("up", data, port, "whole") as run:
            status, sentence = run.answer()
    assert (status, sentence) == (
        1,
        f"Port {port} of 127.0.0.1 is in use or not ours to use. Choose another, for example PORT={port + 1}.\n",
    )
    assert not data.exists()


def test_a_whole_instance_and_commands_beside_it(data: Path) -> None:
    # A command on a data folder where nothing runs starts the services, and a second one shares them.
    with started("use", data) as first:
        address = first.until(what="using")["database"]
        with started("use", data) as second:
            assert second.until(what="using")["database"] == address
            assert is_running(data)
            # The first, whose services they are, is done; it waits for the second.
            assert first.process.stdin is not None
            first.process.stdin.write("\n")
            first.process.stdin.flush()
            with psycopg.connect(Settings(data=data).completed().owner_database_url) as connection:
                connection.execute("CREATE TABLE kept (word text)")
                connection.execute("INSERT INTO kept VALUES ('before')")
            second.process.communicate("\n", timeout=_SECONDS)
        assert first.answer() == (0, "")
    assert not is_running(data)
    assert stat.S_IMODE((data / INSTANCE_FILE).stat().st_mode) == 0o600

    with started("up", data, free_port(), "whole") as run:
        run.until(what="migrate", database="postgresql://vignette:")
        run.until(what="ready", link="/first-admin/x")
        complete = Settings(data=data).completed()
        complete.check_complete()
        with psycopg.connect(complete.owner_database_url) as connection:
            assert connection.execute("SELECT word FROM kept").fetchall() == [("before",)]
            server = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
        # A command uses what runs.
        with started("use", data) as command:
            assert command.until(what="using")["database"] == complete.database_url
            command.process.communicate("\n", timeout=_SECONDS)
        # A killed database comes back with its data.
        postmaster = int((data / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        run.until(what="say", sentence="PostgreSQL was ended by signal SIGKILL.")
        run.until(what="say", sentence="PostgreSQL was started again.")
        with psycopg.connect(complete.owner_database_url) as connection:
            assert connection.execute("SELECT pg_postmaster_start_time()").fetchone() != server
            assert connection.execute("SELECT word FROM kept").fetchall() == [("before",)]
        # Killed itself, it leaves no service behind.
        postmaster = int((data / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        watched = [watch(postmaster), *(watch(pid) for pid in _weeds(data))]
        assert len(watched) == 2
        run.process.kill()
        assert all(map(ended, watched))
    assert not is_running(data)
    assert Settings(data=data).completed().secret_key == complete.secret_key


def _weeds(data: Path) -> list[int]:
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [n for n in numbers if f"-dir={data}/seaweedfs/data" in processes.command_line(n)]
