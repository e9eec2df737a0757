"""Child processes of an embedded instance: who they run as, where they listen, how they start and end.

Children die with their parent: `setpriv --pdeathsig` makes the kernel signal them, so that even a parent killed with
SIGKILL leaves nothing behind. The kernel watches the *thread* that started the child, so `spawn` is for threads that
live as long as the child should: in practice, the main thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import Conflict, Misconfigured, Unavailable

UNPRIVILEGED = ("postgres", "nobody")
"""Accounts that run the services when we are root, the first that exists."""

LOG_LIMIT_BYTES = 10 * 1024**2
_POLL_SECONDS = 0.05
_PORTS = range(20000, 32000)
"""Below the range that Linux takes for outgoing connections, so that a remembered port is rarely taken by one."""


@dataclass(frozen=True)
class Account:
    """The user that a service runs as. `switch` is true when we must change to it, which only root can."""

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def prefix(self) -> list[str]:
        """Start of an argv that continues as this account."""
        if not self.switch:
            return []
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--no-new-privs", "--"]

    def give(self, path: Path, mode: int) -> None:
        """Make `path` this account's, with `mode`."""
        if self.switch:
            os.chown(path, self.uid, self.gid)
        path.chmod(mode)


def account_for(folder: Path) -> Account:
    """The account that runs the service whose data lie in `folder`.

    Not root: oneself. Root: the owner of a folder that exists and is not root's, else the first of `UNPRIVILEGED`.

    Raises:
        Misconfigured: root, and this system has neither account.
    """
    if os.geteuid() != 0:
        return Account(_name(os.geteuid()), os.geteuid(), os.getegid(), switch=False)
    if folder.exists() and (owner := folder.stat()).st_uid != 0:
        return Account(_name(owner.st_uid), owner.st_uid, owner.st_gid, switch=True)
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise Misconfigured(
        f"The database refuses to run as root, and this system has no user named {' or '.join(UNPRIVILEGED)}. "
        "Add one (adduser --system --group postgres), or start as an ordinary user."
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def check_reach(account: Account, folder: Path) -> None:
    """Stop when the account may not enter `folder`: a real attempt, since ACLs and mounts have a say too.

    Permissions of folders above are the owner's business: they are never changed here.

    Raises:
        Misconfigured: names the first folder on the way that is closed.
    """
    if (closed := first_closed(account, folder)) is not None:
        raise Misconfigured(
            f"The database and storage run as the user {account.name}, who may not enter {closed}. Choose a data "
            f"folder elsewhere, for example DATA=/srv/vignette, start as an ordinary user, or allow it: chmod o+x {closed}"
        )


def first_closed(account: Account, folder: Path) -> Path | None:
    """The first folder on the way to `folder`, itself included, that the account may not enter; None when it may."""
    if _may_enter(account, folder):
        return None
    return next((p for p in reversed([folder, *folder.parents]) if not _may_enter(account, p)), folder)


def _may_enter(account: Account, folder: Path) -> bool:
    if not account.switch:
        return os.access(folder, os.X_OK)
    return subprocess.run([*account.prefix, "test", "-x", str(folder)], check=False, cwd="/").returncode == 0


def make_folder(path: Path, mode: int) -> None:
    """Make `path` with `mode`; folders above that are missing get 0755 whatever the umask, so that the services' account
    may pass them; those that exist stay as they are."""
    for missing in reversed([p for p in path.parents if not p.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(0o755)
    if not path.exists():
        path.mkdir(exist_ok=True)
        path.chmod(mode)


def write_private(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as JSON that only the owner reads (0600), whole or not at all, also when the power fails."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_private(path: Path) -> dict[str, Any]:
    """What `write_private` wrote; empty when there is no file.

    Raises:
        Misconfigured: the file is not ours to read, or is damaged.
    """
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise Misconfigured(f"{path} belongs to another user. Start as the user who made the data folder.") from None
    except ValueError:
        raise Misconfigured(f"{path} is damaged. Restore it from a backup.") from None
    return value


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True when nobody listens on the port. Connections that a server left in TIME_WAIT do not count."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """That many different ports of loopback that nobody listens on now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if port_is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise Unavailable("No free port is left on this machine.")


def remembered_ports(known: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    """One free port a name: the one known from last time where it is still free, else a new one."""
    kept = {name: known[name] for name in names if name in known and port_is_free(known[name])}
    fresh = iter([p for p in free_ports(2 * len(names)) if p not in kept.values()])
    return {name: kept.get(name) or next(fresh) for name in names}


def open_log(path: Path) -> int:
    """A descriptor that appends to the log. It is opened for appending so that `rotate_log` may cut it in use."""
    make_folder(path.parent, 0o700)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def rotate_log(path: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Keep one older log: past the limit the log is copied to `*.1` and emptied in place, since a child holds it open."""
    if not path.exists() or path.stat().st_size <= limit_bytes:
        return
    older = path.with_name(path.name + ".1")
    descriptor = os.open(older, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as copy, path.open("rb") as log:
        while block := log.read(1024**2):
            copy.write(block)
    os.truncate(path, 0)


def last_lines(path: Path, count: int = 5) -> str:
    """The end of a log, for an error message."""
    with contextlib.suppress(FileNotFoundError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
    return ""


def spawn(
    argv: Sequence[str | Path],
    *,
    account: Account | None,
    cwd: Path | str,
    env: Mapping[str, str],
    output: int,
    death_signal: str,
) -> subprocess.Popen[bytes]:
    """Start a child in its own session (so that Ctrl-C reaches only us) that gets `death_signal` when we die.

    `output` is the descriptor for its stdout and stderr, or `subprocess.PIPE`. See the module's note about threads.
    """
    prefix = ["setpriv", *(account.prefix[1:-1] if account else []), "--pdeathsig", death_signal, "--"]
    return subprocess.Popen(
        [*prefix, *map(str, argv)],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], *, name: str, log: Path, seconds: float
) -> None:
    """Wait until `ready()`.

    Raises:
        Unavailable: the process ended first, or time ran out; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while True:
        if process.poll() is not None:
            raise Unavailable(f"{name} stopped while starting. The end of {log}:\n{last_lines(log)}")
        if ready():
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"{name} is not ready after {seconds:.0f} s. The end of {log}:\n{last_lines(log)}")
        time.sleep(_POLL_SECONDS)


def stop(process: subprocess.Popen[bytes], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn and wait that many seconds for the end; SIGKILL if the last did not do."""
    for sign, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    if process.poll() is None:
        process.kill()
        process.wait()


def command_line(pid: int) -> list[str]:
    """The argv of a running process; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def link_or_copy(source: str, target: str) -> str:
    """A hard link where that will do (instant, no space), else a copy that everybody may read and, if its owner may,
    run: an install under a strict umask is closed to the account. For `shutil.copytree`."""
    mode = stat.S_IMODE(os.stat(source).st_mode)  # noqa: PTH116 - copytree gives text
    opened = mode | 0o444 | (0o111 if mode & 0o100 else 0)
    if mode == opened:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
        return target
    shutil.copy2(source, target)
    os.chmod(target, opened)  # noqa: PTH101
    return target


@contextlib.contextmanager
def exclusive(path: Path, sentence: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file while in the block. The kernel lets go of it when the holder dies.

    Raises:
        Conflict: with `sentence`, when another process holds it and `wait` is false.
    """
    make_folder(path.parent, 0o711)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Conflict(sentence) from None
        yield
    finally:
        os.close(descriptor)
