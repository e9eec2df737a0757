"""The real PostgreSQL and S3 that tests run against: started once a session, unprivileged, on free ports.

    services = start_services(tmp_path_factory.mktemp("services"))
    url = services.create_database("test_one", template="migrated")
    ...
    services.stop()

Call it in the main thread: the servers die with the thread that started them, so that a killed pytest leaves none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from app.embedded import processes
from app.embedded.postgres import OWNER, Postgres
from app.embedded.seaweedfs import SeaweedFS
from app.errors import Misconfigured, Unavailable
from app.settings import Settings, new_secret

_PREFIX = "vignette-tests-"
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 * 1024**3


def _drop(name: str) -> sql.Composed:
    return sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))


@dataclass(frozen=True)
class Services:
    """Running services. `settings` is complete: it names the database, the S3 and a bucket of random name."""

    settings: Settings
    postgres: Postgres
    seaweedfs: SeaweedFS
    dropped: list[str] = field(default_factory=list)

    def stop(self) -> None:
        """End both and remove their files. Nothing in them is worth a clean end."""
        for service in (self.seaweedfs, self.postgres):
            if service.process is not None:
                service.process.kill()
                service.process.wait()
                service.process = None
        self.seaweedfs.remove_sockets()
        for folder in {self.settings.data, self.postgres.folder.parent}:
            _remove(folder)

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database, as a copy of `template` where given (nobody may be connected to that), and return its
        `postgresql://` address as the application's role, which owns nothing of it: see `owner_url`. One of the same
        name is replaced."""
        made = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY").format(
            sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template or "template1")
        )
        with psycopg.connect(self.postgres.admin_url, autocommit=True) as connection:
            while self.dropped:
                connection.execute(_drop(self.dropped.pop()))
            connection.execute(_drop(name))
            connection.execute(made)
        return f"{self.postgres.url.rpartition('/')[0]}/{name}"

    def owner_url(self, url: str) -> str:
        """The address of a database that was made here, as the role that owns it."""
        return f"{self.postgres.owner_url.rpartition('/')[0]}/{url.rpartition('/')[2]}"

    def admin_url(self, url: str) -> str:
        """The address of a database that was made here, as the superuser."""
        return f"{self.postgres.admin_url.rpartition('/')[0]}/{url.rpartition('/')[2]}"

    def drop_database(self, name: str) -> None:
        """Remove a database when the next one is made; those connected to it are cut off then.

        At once would be slower: PostgreSQL sleeps for 100 ms when it finds a session that is just ending.
        """
        self.dropped.append(name)


def start_services(tmp: Path) -> Services:
    """Start PostgreSQL (fsync off) and SeaweedFS below `tmp`, both at once, and wait for them.

    pytest's folders are 0700, which as root the services' user may not enter: they then live in a folder of their own
    in the system's temporary folder. The database lives in memory where there is room: making a database for a test
    took 60 ms there and 775 ms on the disk (medians of 12, on a busy machine). What a killed test run left in these
    places is swept first.
    """
    home = _home(tmp)
    postgres = Postgres((_own_folder(_MEMORY) if _has_room(_MEMORY) else home) / "postgres", durable=False)
    seaweedfs = SeaweedFS(home / "seaweedfs", bucket=f"test-{secrets.token_hex(4)}", durable=False)
    try:
        seaweedfs.spawn()
        postgres.start()
        try:
            seaweedfs.wait_ready()
        except Unavailable:
            # ports that were free a moment ago are gone when several test runs start at once: others, once more
            seaweedfs = SeaweedFS(home / "seaweedfs-again", bucket=f"test-{secrets.token_hex(4)}", durable=False)
            seaweedfs.spawn()
            seaweedfs.wait_ready()
    except BaseException:
        for service in (seaweedfs, postgres):
            if service.process is not None:
                service.process.kill()
                service.process.wait()
        raise
    settings = Settings(
        data=home,
        secret_key=new_secret(),
        database_url=postgres.url,
        s3_endpoint=seaweedfs.endpoint,
        s3_bucket=seaweedfs.bucket,
        s3_access_key=seaweedfs.access_key,
        s3_secret_key=seaweedfs.secret_key,
    )
    return Services(settings, postgres, seaweedfs)


def _home(tmp: Path) -> Path:
    try:
        processes.check_reach(processes.account_for(tmp / "postgres"), tmp)
        return tmp
    except Misconfigured:
        return _own_folder(Path(tempfile.gettempdir()))


def _has_room(folder: Path) -> bool:
    """Room for the databases and logs of all tests; programs may be run from there, which containers often forbid."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize > _ROOM_BYTES and not found.f_flag & os.ST_NOEXEC


def _own_folder(common: Path) -> Path:
    """A new folder in one that all users share, after sweeping those of test runs that have ended."""
    for old in common.glob(f"{_PREFIX}*"):
        # The first line names the pytest process; its start time tells it from a later one of the same number. A folder
        # that another run is making at this moment has no line yet.
        with contextlib.suppress(OSError):
            owner = (old / "owner").read_text()
            if owner and owner != _identity(int(owner.split()[0])):
                _remove(old)
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=common))
    (home / "owner").write_text(_identity(os.getpid()))
    home.chmod(0o711)
    return home


def _identity(pid: int) -> str:
    """Number and start time (clock ticks since boot, field 22 of proc(5) stat) of a process; only the number when it
    has ended."""
    try:
        return f"{pid} {Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    except FileNotFoundError:
        return f"{pid}"


def _remove(folder: Path) -> None:
    # Processes of a killed PostgreSQL write for a moment longer, so files may appear while we remove.
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


@contextlib.contextmanager
def running_services(tmp: Path) -> Iterator[Services]:
    """`start_services` as a context manager."""
    services = start_services(tmp)
    try:
        yield services
    finally:
        services.stop()
