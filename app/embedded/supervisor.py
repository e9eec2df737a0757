"""`vignette up`: everything of a one-machine instance as children of one foreground process.

Order of the start: PostgreSQL and S3 beside one another, migrations, worker and web server; of the stop: web server and
worker, S3, PostgreSQL. A child that ends by itself is said so in a sentence and started again after 1, 2, 4 ... 30 s.
When this process is killed the kernel ends its children (see `app.embedded.processes`).

All children are started in the main thread; the only other threads copy the children's output.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import TextIO

from app.embedded import processes
from app.embedded.instance import Instance, is_running
from app.embedded.postgres import Postgres
from app.embedded.seaweedfs import SeaweedFS
from app.embedded.webserver import check_port
from app.errors import Conflict, Unavailable, VignetteError
from app.settings import PREFIX, UNPREFIXED, Settings

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS = 0.2
_ROTATE_SECONDS = 60.0
_BACK_OFF_SECONDS = (1, 2, 4, 8, 16, 30)
_CALM_SECONDS = 60
"""A child that ran this long starts with the shortest back-off again."""
_WEB_SECONDS = 60
_STOP_SECONDS = 15


class _Stop(BaseException):
    """Raised by the signal handler wherever the main thread is: the finally clauses do the rest."""


@dataclass(frozen=True)
class Program:
    """A child that is ours: the name its output is marked with, and its argv. One that is to run `once` may end, and
    nothing waits for it."""

    name: str
    argv: tuple[str, ...]
    once: bool = False


def programs(settings: Settings) -> tuple[Program, ...]:
    """The real ones, run by this interpreter: worker and web server, and one that fetches the speech model if it is not
    here yet, so that the first recording does not wait for it."""
    python = (sys.executable, "-P", "-m")
    always = tuple(Program(name, (*python, "app.cli", name)) for name in ("worker", "web"))
    if settings.caption_engine == "none":
        return always
    fetch = (*python, "app.captions.models", "fetch", "--model", settings.caption_model)
    return (*always, Program("weights", fetch, once=True))


@dataclass
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None


@dataclass
class _Trouble:
    """How often something ended by itself, and when it may start again (`time.monotonic`)."""

    started: float = field(default_factory=time.monotonic)
    failures: int = 0
    due: float | None = None

    def ended(self) -> int:
        """Note an end; returns the seconds to wait."""
        now = time.monotonic()
        self.failures = 1 if now - self.started > _CALM_SECONDS else self.failures + 1
        seconds = _BACK_OFF_SECONDS[min(self.failures, len(_BACK_OFF_SECONDS)) - 1]
        self.due = now + seconds
        return seconds

    def restarted(self) -> None:
        self.started, self.due = time.monotonic(), None


class Supervisor:
    """One run of an instance.

    Args:
        migrate: brings the database of complete settings up to date.
        link: the one-time link for the first admin; None once there is one.
        ready: called with the address and that link when people can come.
        say: takes progress, one sentence a call.
        output: where the children's lines go.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        migrate: Callable[[Settings], None],
        link: Callable[[Settings], str | None],
        ready: Callable[[str, str | None], None],
        say: Callable[[str], None],
        output: TextIO,
        programs: Sequence[Program],
    ) -> None:
        self.instance = Instance(settings)
        self._migrate, self._link, self._ready, self._say = migrate, link, ready, say
        self._output = output
        self._output_lock = threading.Lock()
        self._children = [_Child(program) for program in programs]
        self._troubles: dict[str, _Trouble] = {}
        self._stopping = False

    def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP; returns when everything has stopped.

        Raises:
            VignetteError: the start failed; everything that had started is stopped.
        """
        previous = {sign: signal.signal(sign, self._on_signal) for sign in _SIGNALS}
        try:
            check_port(self.instance.given)
            with self._owned():
                try:
                    self._start()
                    self._watch()
                finally:
                    self._stopping = True
                    self._stop()
        except _Stop:
            self._say("Stopped.")
        finally:
            for sign, handler in previous.items():
                signal.signal(sign, handler)

    # -- start and stop ------------------------------------------------------------------------------------------

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            raise _Stop

    @contextlib.contextmanager
    def _owned(self) -> Iterator[None]:
        """Own the data folder. A command that runs the services for a moment is waited for, another `up` is not."""
        data = self.instance.data
        deadline = time.monotonic() + 60
        told = False
        while True:
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(
                        self.instance.owned(f"Another Vignette already runs on the data folder {data}.")
                    )
                    stack.enter_context(processes.exclusive(data / ".up", "Another Vignette is starting."))
                except Conflict:
                    if _held(data / ".up") or time.monotonic() > deadline:
                        raise Conflict(
                            f"Another Vignette already runs on the data folder {data}. Stop it, or choose another "
                            "folder, for example DATA=./data2."
                        ) from None
                else:
                    yield
                    return
            if not told and is_running(data):
                self._say("Another command is using the data folder; waiting for it to finish.")
                told = True
            time.sleep(_LOOK_SECONDS)

    def _start(self) -> None:
        settings = self.instance.start(self._say, self._bring_up_to_date)
        for child in self._children:
            self._spawn(child, settings)
        if any(child.program.name == "web" for child in self._children):
            self._wait_for_web(settings)
        self._ready(settings.base_url, self._link(settings))

    def _bring_up_to_date(self, settings: Settings) -> None:
        settings.check_complete()
        self._say("Bringing the database up to date.")
        self._migrate(settings)

    def _spawn(self, child: _Child, settings: Settings) -> None:
        child.process = processes.spawn(
            child.program.argv,
            account=None,
            cwd=Path.cwd(),
            env=environment(self.instance.given),
            output=subprocess.PIPE,
            death_signal="KILL",
        )
        threading.Thread(target=self._copy, args=(child.program.name, child.process), daemon=True).start()

    def _copy(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        with process.stdout as lines:
            for line in lines:
                with self._output_lock:
                    self._output.write(f"{name} | {line.decode(errors='replace').rstrip()}\n")
                    self._output.flush()

    def _wait_for_web(self, settings: Settings) -> None:
        deadline = time.monotonic() + _WEB_SECONDS
        while not _answers(settings):
            for child in self._children:
                code = child.process.poll() if child.process is not None and not child.program.once else None
                if code is not None:
                    raise Unavailable(f"The {child.program.name} process {_how_it_ended(code)} while starting.")
            if time.monotonic() > deadline:
                raise Unavailable(f"The web server does not answer on port {settings.port} after {_WEB_SECONDS} s.")
            time.sleep(0.05)

    def _stop(self) -> None:
        self._say("Stopping.")
        running = [child.process for child in reversed(self._children) if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
        self.instance.stop()

    # -- watching ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        rotate_at = time.monotonic() + _ROTATE_SECONDS
        while True:
            for service in self.instance.services:
                self._tend(service.name, service.process, lambda s=service: self._restart_service(s))  # type: ignore[misc]
            for child in self._children:
                if child.program.once and child.process is not None:
                    child.process.poll()  # an ended child stays in the process table until asked for
                else:
                    self._tend(child.program.name, child.process, lambda c=child: self._restart_child(c))  # type: ignore[misc]
            if time.monotonic() > rotate_at:
                rotate_at += _ROTATE_SECONDS
                for service in self.instance.services:
                    processes.rotate_log(service.log)
            time.sleep(_LOOK_SECONDS)

    def _tend(self, name: str, process: subprocess.Popen[bytes] | None, restart: Callable[[], None]) -> None:
        trouble = self._troubles.setdefault(name, _Trouble())
        code = process.poll() if process is not None else None
        if process is not None and code is None:
            return
        if trouble.due is None:
            seconds = trouble.ended()
            how = _how_it_ended(code) if code is not None else "could not be started"
            self._say(f"{name} {how}. It starts again in {seconds} s.")
        elif time.monotonic() >= trouble.due:
            trouble.restarted()
            restart()

    def _restart_child(self, child: _Child) -> None:
        self._spawn(child, self.instance.given)
        self._say(f"{child.program.name} was started again.")

    def _restart_service(self, service: Postgres | SeaweedFS) -> None:
        """Start a service again; children learn its address at their own start, so a new address restarts them."""
        address = _address(service)
        try:
            service.start()
            self.instance.publish()
        except VignetteError as error:
            service.stop()
            self._say(str(error))
            return
        self._say(f"{service.name} was started again.")
        if _address(service) != address:
            for child in (child for child in self._children if not child.program.once):
                if child.process is not None:
                    processes.stop(child.process, [(signal.SIGTERM, _STOP_SECONDS)])
                self._restart_child(child)


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a child: ours, with `settings` (as given, without the secrets of `instance.json`, which the
    child reads itself) in place of what ours says about them."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX) and k not in UNPREFIXED}
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    stated = {PREFIX + f.name.upper(): str(values[f.name]) for f in fields(settings) if values[f.name] != f.default}
    return inherited | stated | {"PYTHONUNBUFFERED": "1"}


def _address(service: Postgres | SeaweedFS) -> str:
    return service.url if isinstance(service, Postgres) else service.endpoint


def _answers(settings: Settings) -> bool:
    """Any HTTP answer will do: the application's own health is for `/readyz`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - not binding
    connection = http.client.HTTPConnection(host, settings.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by signal {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _held(lock: Path) -> bool:
    """True when a process holds the lock file."""
    try:
        with processes.exclusive(lock, "held"):
            return False
    except Conflict:
        return True
