"""The one door through which a media or caption program starts.

Whatever reads an uploaded file is treated as if it were already taken over by it. Such a program gets its input as an
open file descriptor and never as a name; an empty folder of its own; an environment without a secret in it; limits
on memory, processor time, file size and wall time; no network and no view of other files where the kernel can
withhold them (network namespace, Landlock); and it dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from app.errors import Misconfigured, VignetteError
from app.media import bubblewrap

_LAUNCHER = Path(__file__).with_name("launcher.py")
_TAIL_BYTES = 1 << 20
_STDERR_TAIL_BYTES = 16 << 10
_LONGEST_LINE = 1 << 20
_POLL_SECONDS = 0.1
_LAST_MOMENT_SECONDS = 2
_OUT_OF_MEMORY = ("Cannot allocate memory", "MemoryError", "bad_alloc", "std::length_error", "failed to map segment")

_FILE_TOO_LARGE = "File too large"  # EFBIG, from programs that ignore SIGXFSZ
# At the end of a line that is not indented: those are the tags of the file, in which anything may be written.
_NO_ROOM = re.compile(r"^\S.*(No space left on device|Disk quota exceeded)\W*$", re.MULTILINE)
_STOOD_STILL_SECONDS = 5.0

# What a dynamically linked program needs to start and to count its processors. Nothing here is ours or a person's.
_SYSTEM_READABLE = (
    "/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/fonts", "/etc/mime.types",
    "/etc/ssl/openssl.cnf",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/sys/vm",
    "/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom", "/dev/random",
)  # fmt: skip
_SYSTEM_WRITABLE = ("/dev/null",)


@dataclass(frozen=True)
class Limits:
    """What a program may use. Bytes and seconds. JSON-serialisable by `to_json`."""

    wall_seconds: float = 3600
    cpu_seconds: int = 4 * 3600
    # Under 2 GiB the ladder of four rungs fails to start its threads; 4 GiB leaves room for one 4K source.
    memory_bytes: int = 4 << 30
    file_bytes: int = 64 << 30
    open_files: int = 128

    def to_json(self) -> dict[str, Any]:
        """A plain object that `from_json` reads again."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Limits:
        """The limits that `to_json` wrote."""
        return replace(cls(), **value)


@dataclass(frozen=True)
class Manners:
    """How programs of this process stand towards others on the machine. `nice` is added to the process's own niceness;
    `disk` says when they get the disk: "low" after others, "idle" when nobody else wants it, "normal". `bubblewrap` is
    "auto", "off" or "required"."""

    nice: int = 10
    disk: str = "low"
    bubblewrap: str = "auto"


_manners = Manners()


def behave(manners: Manners) -> None:
    """Set the manners of all programs that this process starts from now on. Called once, where a process begins.

    Raises:
        Misconfigured: bubblewrap is required, and does not work here.
    """
    global _manners  # a property of the process, as its own niceness is
    if manners.bubblewrap == "required" and not bubblewrap.works():
        raise Misconfigured(
            "VIGNETTE_BUBBLEWRAP is required, but bwrap is not installed or may not make namespaces here. Install the "
            "package bubblewrap, or set it to auto."
        )
    _manners = manners


@dataclass(frozen=True)
class Completed:
    """A program that ended with status 0. Tails are the last bytes, decoded; times are in seconds."""

    returncode: int
    stdout_tail: str
    stderr_tail: str
    cpu_seconds: float
    wall_seconds: float


class SandboxError(VignetteError):
    """A program in the sandbox did not end well. `stderr_tail` is for the log; it never holds a file's name."""

    code = "processing-failed"

    def __init__(self, sentence: str, *, stderr_tail: str = "", code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.stderr_tail = stderr_tail


class Failed(SandboxError):
    """It ended with a status other than 0. `returncode` is negative for a signal, as in `subprocess`."""

    def __init__(self, returncode: int, stderr_tail: str) -> None:
        last = stderr_tail.strip().rpartition("\n")[2][:300]
        super().__init__(
            f"The video could not be processed (status {returncode}{': ' + last if last else ''}).",
            stderr_tail=stderr_tail,
        )
        self.returncode = returncode


class LimitExceeded(SandboxError):
    """It used more than it may. `which` is one of wall, cpu, memory, file."""

    code = "limit-exceeded"

    def __init__(self, which: str, stderr_tail: str = "") -> None:
        words = {"wall": "time", "cpu": "processor time", "memory": "memory", "file": "disk space"}[which]
        super().__init__(f"Processing the video needed more {words} than is allowed.", stderr_tail=stderr_tail)
        self.which = which


class NoRoom(SandboxError):
    """The disk of the scratch folder was full: the machine's fault, and it may pass."""

    code = "no-room"

    def __init__(self, stderr_tail: str = "") -> None:
        super().__init__("The worker's disk became full. This goes on when there is room.", stderr_tail=stderr_tail)


class Cancelled(SandboxError):
    """The caller asked for the program to stop, and it has stopped."""

    code = "cancelled"

    def __init__(self) -> None:
        super().__init__("Processing was cancelled.")


@dataclass
class Meter:
    """Seconds of processor time that programs took inside a `metered` block, those that failed included."""

    cpu_seconds: float = 0.0


_meter: contextvars.ContextVar[Meter | None] = contextvars.ContextVar("meter", default=None)


@contextlib.contextmanager
def metered() -> Iterator[Meter]:
    """Add up what the programs take that this thread starts inside the block."""
    meter = Meter()
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


def run(
    argv: Sequence[str],
    *,
    scratch: Path,
    pass_fds: Sequence[int] = (),
    limits: Limits = Limits(),
    on_line: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    readable: Sequence[Path] = (),
    devices: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run a program to its end, confined.

    Args:
        argv: program (an absolute path) and arguments. No name of an uploaded file belongs here.
        scratch: empty folder, made when missing, that becomes the working folder and the only one it may write to.
        pass_fds: open descriptors that the program inherits under the same numbers.
        limits: see `Limits`; passing one kills the whole process group.
        on_line: called with each line of standard output as it comes, without its line end.
        cancelled: asked about ten times a second; True kills the process group and raises `Cancelled`.
        readable: files or folders that it may read besides the system's and Python's own.
        devices: device files that it may use, such as a GPU's.
        env: variables added to the few that every program gets.

    Raises:
        Cancelled, LimitExceeded, NoRoom, Failed: see there.
        ValueError: the scratch folder is not empty, or the program is not named by an absolute path.
    """
    if not Path(argv[0]).is_absolute():
        raise ValueError("the program must be named by an absolute path")
    scratch = scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    if any(scratch.iterdir()):
        raise ValueError("the scratch folder must be empty")
    if cancelled is not None and cancelled():
        raise Cancelled
    started = time.monotonic()
    wrapped = _manners.bubblewrap != "off" and bubblewrap.works()
    config = _config(argv, scratch, limits, readable, devices, wrapped=wrapped)
    process = subprocess.Popen(
        [
            *(bubblewrap.words(config["readable"], scratch, devices) if wrapped else ()),
            *(sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(config), "--", *argv),
        ],
        cwd=scratch,
        env=_environment(scratch) | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=tuple(pass_fds),
        start_new_session=True,  # its own process group, so that all of it can be killed at once
    )
    child = _Child(process)
    try:
        child.follow(started + limits.wall_seconds, on_line, cancelled)
    finally:
        child.end()
        if (meter := _meter.get()) is not None:
            meter.cpu_seconds += child.cpu_seconds
    completed = Completed(
        returncode=_signal_of(child.returncode) if wrapped else child.returncode,
        stdout_tail=child.stdout.text(),
        stderr_tail=child.stderr.text(),
        cpu_seconds=child.cpu_seconds,
        wall_seconds=time.monotonic() - started,
    )
    _raise_for(completed)
    return completed


def _config(
    argv: Sequence[str],
    scratch: Path,
    limits: Limits,
    readable: Sequence[Path],
    devices: Sequence[Path],
    *,
    wrapped: bool,
) -> dict[str, Any]:
    """What the launcher is to do, JSON-serialisable."""
    python = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(sys.executable).resolve().parent)}
    ours = {str(Path(argv[0]).parent), str(_LAUNCHER.parent.parent)}
    return {
        "parent": os.getpid(),
        "wrapped": wrapped,
        "network": wrapped,
        "readable": [*_SYSTEM_READABLE, *sorted(python | ours), *(str(path.resolve()) for path in readable)],
        "writable": [*_SYSTEM_WRITABLE, str(scratch), *map(str, devices)],
        "nice": _manners.nice,
        "disk": _manners.disk,
        "limits": {
            "RLIMIT_AS": limits.memory_bytes,
            "RLIMIT_CPU": limits.cpu_seconds,
            "RLIMIT_FSIZE": limits.file_bytes,
            "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_CORE": 0,  # a core dump would hold pieces of a confidential recording
        },
    }


def _environment(scratch: Path) -> dict[str, str]:
    """All that the program sees of the environment."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _signal_of(status: int) -> int:
    """Bubblewrap's own way to say that a program was ended by a signal, in the words of `subprocess`."""
    return 128 - status if 128 < status <= 128 + signal.SIGRTMAX else status


def _raise_for(completed: Completed) -> None:
    status, tail = completed.returncode, completed.stderr_tail
    if status == 0:
        return
    if status == -signal.SIGXCPU:
        raise LimitExceeded("cpu", tail)
    if status == -signal.SIGXFSZ or _FILE_TOO_LARGE in tail:
        raise LimitExceeded("file", tail)
    if _NO_ROOM.search(tail):
        raise NoRoom(tail)
    if any(sign in tail for sign in _OUT_OF_MEMORY):
        raise LimitExceeded("memory", tail)
    raise Failed(status, tail)


class _Tail:
    """The last bytes of a stream, in bounded memory."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._bytes = bytearray()

    def add(self, data: bytes) -> None:
        self._bytes += data
        if len(self._bytes) > self._size:
            del self._bytes[: -self._size]

    def text(self) -> str:
        return self._bytes.decode("utf-8", "replace")


class _Child:
    """A started process: reads its output, watches the clock, ends it for certain."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._reaped = False
        self._line = bytearray()
        self.returncode = 0
        self.cpu_seconds = 0.0
        self.stdout = _Tail(_TAIL_BYTES)
        self.stderr = _Tail(_STDERR_TAIL_BYTES)

    def follow(
        self, deadline: float, on_line: Callable[[str], None] | None, cancelled: Callable[[], bool] | None
    ) -> None:
        """Read until it ends. Raises `Cancelled` or `LimitExceeded('wall')`; the caller then calls `end`."""
        asked = looked = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for pipe in (self._process.stdout, self._process.stderr):
                assert pipe is not None  # noqa: S101  (both were asked for as pipes)
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                if now - looked > _STOOD_STILL_SECONDS:
                    deadline += now - looked  # the machine or this process was frozen: that is no fault of the program
                looked = now
                if cancelled is not None and now - asked >= _POLL_SECONDS:
                    asked = now
                    if cancelled():
                        raise Cancelled
                if now >= deadline:
                    raise LimitExceeded("wall", self.stderr.text())
                if selector.get_map():
                    for key, _ in selector.select(min(_POLL_SECONDS, deadline - now)):
                        if not self._read(key.fileobj, on_line):  # type: ignore[arg-type]
                            selector.unregister(key.fileobj)
                else:
                    time.sleep(0.005)  # the pipes are closed, the status comes in a moment
                if self._reap(os.WNOHANG):
                    break
            for key in list(selector.get_map().values()):  # what it wrote just before it ended
                while self._read(key.fileobj, on_line, last=True):  # type: ignore[arg-type]
                    pass
        if self._line and on_line is not None:
            on_line(self._line.decode("utf-8", "replace"))

    def end(self) -> None:
        """Kill what is left of the process group, and wait for the process itself."""
        with contextlib.suppress(ProcessLookupError):  # the usual case: nothing is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._reap(0)
        self._outlast()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _outlast(self) -> None:
        """Wait a moment for others of the group, which were killed but are not ours to wait for: while one holds a pipe, it
        could still write to the scratch folder."""
        until = time.monotonic() + _LAST_MOMENT_SECONDS
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is None or pipe.closed:
                continue
            os.set_blocking(pipe.fileno(), False)
            while time.monotonic() < until:
                try:
                    if not os.read(pipe.fileno(), 1 << 16):
                        break
                except BlockingIOError:
                    time.sleep(0.002)

    def _reap(self, options: int) -> bool:
        """Take the status and the processor time, which `Popen.wait` would throw away."""
        if not self._reaped:
            pid, status, usage = os.wait4(self._process.pid, options)
            if pid:
                self._reaped = True
                self.returncode = self._process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self._reaped

    def _read(self, pipe: IO[bytes], on_line: Callable[[str], None] | None, *, last: bool = False) -> bool:
        """Take what is there. False at the end of the stream (with `last`, also when nothing is there)."""
        try:
            data = os.read(pipe.fileno(), 1 << 16)
        except BlockingIOError:
            return not last
        if not data:
            return False
        if pipe is self._process.stderr:
            self.stderr.add(data)
            return True
        self.stdout.add(data)
        if on_line is not None:
            self._line += data
            *lines, rest = self._line.split(b"\n")
            self._line = bytearray(rest[-_LONGEST_LINE:])
            for line in lines:
                on_line(line.decode("utf-8", "replace"))
        return True
