"""The embedded services of one data folder, and how commands share them.

`DATA/instance.json` (0600) tells commands where the services are; `Settings.completed()` reads it. It stays when the
services stop, since it also keeps the secret key; `owner` in it names the process that runs them, while one does. Where
the services' files lie, in DATA or elsewhere, is for `app.embedded.home`.

Two locks, both let go by the kernel when their holder dies:

`.owner`  held by the process that runs the services: `vignette up`, or a command that found none running.
`.users`  held shared by each command while it uses the services of another, and alone by a command that is about to
          stop them: it waits for the others to finish, and those that come meanwhile wait for it and start afresh.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.embedded import home, processes
from app.embedded.postgres import Postgres
from app.embedded.seaweedfs import SeaweedFS
from app.errors import Conflict, Unavailable
from app.settings import INSTANCE_FILE, Settings, new_secret

_DATABASE = ("database_url", "owner_database_url")
_STORAGE = ("s3_endpoint", "s3_access_key", "s3_secret_key")
_FILLED = (*_DATABASE, *_STORAGE, "secret_key")
_WAIT_SECONDS = 180
"""For another command to start or stop the services; a database that replays its log may take that long."""

Say = Callable[[str], None]


def without_embedded(settings: Settings) -> Settings:
    """The settings as given from outside: what `completed()` took from `instance.json` is blank again."""
    known = processes.read_private(settings.data / INSTANCE_FILE)
    blank: dict[str, Any] = {k: "" for k in _FILLED if known.get(k) and getattr(settings, k) == known[k]}
    return replace(settings, **blank)


class Instance:
    """The services that `settings` leave to us. `start`, then `stop`; hold `owned` around both."""

    def __init__(self, settings: Settings) -> None:
        self.given = without_embedded(settings)
        data = self.given.data.absolute()
        self.data = data
        self.postgres: Postgres | None = None
        self.seaweedfs: SeaweedFS | None = None
        self.home = home.Home(data, data)
        if self.given.embeds_database or self.given.embeds_storage:
            self.home = home.find(data)
        folder = self.home.folder
        if self.given.embeds_database:
            self.postgres = Postgres(folder / "postgres", log=data / "log" / "postgres.log")
        if self.given.embeds_storage:
            self.seaweedfs = SeaweedFS(
                folder / "seaweedfs", bucket=self.given.s3_bucket, log=data / "log" / "seaweedfs.log"
            )

    @property
    def services(self) -> list[Postgres | SeaweedFS]:
        """Those we start, slowest first."""
        return [service for service in (self.seaweedfs, self.postgres) if service is not None]

    def start(self, say: Say = lambda _: None, meanwhile: Callable[[Settings], None] = lambda _: None) -> Settings:
        """Start the services beside one another and wait for them. Returns complete settings.

        `meanwhile` gets complete settings as soon as the database answers: storage takes seconds longer.

        Raises:
            Misconfigured, Unavailable: as the services do, or `meanwhile`; those already started are stopped.
            Conflict: the services of this data folder belong to another, see `app.embedded.home`.
        """
        if self.home.why:
            say(self.home.why)
        self.home.claim()
        try:
            for service in self.services:
                say(f"Starting {service.name}.")
                service.spawn()
            if self.postgres is not None:
                self.postgres.wait_ready()
                say(f"{self.postgres.name} is ready.")
            meanwhile(self.complete())
            if self.seaweedfs is not None:
                self.seaweedfs.wait_ready()
                say(f"{self.seaweedfs.name} is ready.")
            return self.publish()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what runs, storage first, and say in `instance.json` that nothing does."""
        for service in self.services:
            service.stop()
        if (self.data / INSTANCE_FILE).exists():
            self._write(owner=None)

    def complete(self) -> Settings:
        """The settings with the blanks filled, once the services were started."""
        return replace(self.given, **self._values())

    def publish(self) -> Settings:
        """Write where the services are to `instance.json`; return the settings completed with it."""
        self._write(owner=identity(os.getpid()))
        return self.complete()

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if not self.given.secret_key:
            values["secret_key"] = self._secret_key
        if self.postgres is not None:
            values |= dict(zip(_DATABASE, (self.postgres.url, self.postgres.owner_url), strict=True))
        if (storage := self.seaweedfs) is not None:
            keys = storage.access_key, storage.secret_key
            values |= dict(zip(_STORAGE, (storage.endpoint, *keys), strict=True))
        return values

    @functools.cached_property
    def _secret_key(self) -> str:
        """The one made for this data folder, now or earlier."""
        return processes.read_private(self.data / INSTANCE_FILE).get("secret_key") or new_secret()

    def _write(self, owner: str | None) -> None:
        file = self.data / INSTANCE_FILE
        known = processes.read_private(file)
        # A secret key given today must not lose the one that older sessions and links were signed with.
        kept = {name: known[name] for name in ("secret_key", home.POINTER) if name in known}
        told = {"owner": owner, "pid": os.getpid() if owner else None, "port": self.given.port}
        processes.make_folder(self.data, 0o711)
        if (written := kept | self._values() | told) != known:
            processes.write_private(file, written)

    def owned(self, sentence: str) -> contextlib.AbstractContextManager[None]:
        """Be the one who runs the services of this data folder.

        Raises:
            Conflict: with `sentence`, when another process is.
        """
        return processes.exclusive(self.data / ".owner", sentence)


def identity(pid: int) -> str:
    """Number and start time of a process (clock ticks since boot, field 22 of proc(5) stat), so that a later process
    with the same number is not taken for it; empty when there is none."""
    try:
        return f"{pid} {Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(data: Path) -> bool:
    """True when a living process runs the services of this data folder and they were ready."""
    owner = processes.read_private(data / INSTANCE_FILE).get("owner") or ""
    return bool(owner) and identity(int(owner.split()[0])) == owner


@contextlib.contextmanager
def running(settings: Settings, say: Say = lambda _: None) -> Iterator[Settings]:
    """Complete settings whose services run: those of `vignette up` or of another command where they do, else our own
    for as long as the block takes. Call it in the main thread (see `app.embedded.processes`).

    Raises:
        Misconfigured, Unavailable: the services cannot be started.
    """
    instance = Instance(settings)
    if not instance.services:
        yield instance.given
        return
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        with _using(instance.data, fcntl.LOCK_SH):
            if is_running(instance.data):
                yield without_embedded(instance.given).completed()
                return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(instance.owned("Another command is starting or stopping the services."))
            except Conflict:
                pass
            else:
                yield from _own(instance, say)
                return
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Another command has been starting or stopping the services in {instance.data} too long."
            )
        time.sleep(0.1)


def _own(instance: Instance, say: Say) -> Iterator[Settings]:
    try:
        yield instance.start(say)
    finally:
        with _using(instance.data, fcntl.LOCK_EX):
            instance.stop()


@contextlib.contextmanager
def _using(data: Path, how: int) -> Iterator[None]:
    processes.make_folder(data, 0o711)
    descriptor = os.open(data / ".users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
