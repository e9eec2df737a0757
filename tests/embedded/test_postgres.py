"""The embedded PostgreSQL as a real process: start, stop, crash, permissions."""

from __future__ import annotations

import os
import pwd
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

import psycopg
import pytest

from app.embedded import postgres, processes, roles
from app.embedded.postgres import Postgres, Programs
from app.errors import Misconfigured


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the services' user may enter (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="vignette-embedded-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["system", "wheel"])
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """One started server of each kind of programs."""
    home = Path(tempfile.mkdtemp(prefix="vignette-embedded-"))
    home.chmod(0o711)
    candidates = postgres.system_programs() if request.param == "system" else postgres.wheel_programs()
    if not candidates:
        pytest.skip("this system has no PostgreSQL of its own")
    started = Postgres(home / "postgres", durable=False, candidates=candidates)
    started.start()
    yield started
    started.stop()
    shutil.rmtree(home)


def test_data_survive_a_stop_and_a_kill(server: Postgres) -> None:
    with psycopg.connect(server.owner_url) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('one')")
    address = server.url
    server.stop()
    server.start()
    assert server.url == address, "port and password are remembered"
    with psycopg.connect(server.owner_url) as connection:
        connection.execute("INSERT INTO kept VALUES ('two')")
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.start()
    with psycopg.connect(server.owner_url) as connection:
        assert connection.execute("SELECT word FROM kept ORDER BY word").fetchall() == [("one",), ("two",)]


def test_it_is_set_up_as_promised(server: Postgres) -> None:
    with psycopg.connect(server.url) as connection:
        settings: dict[str, str] = dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall())
        superuser = connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone()
        collation = connection.execute("SELECT datcollate FROM pg_database WHERE datname = 'vignette'").fetchone()
    assert superuser == (False,)
    assert collation == ("C.UTF-8",)
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["password_encryption"] == "scram-sha-256"
    assert settings["data_checksums"] == "on"
    wrong = server.url.replace(":", ":wrong", 2).replace("postgresql:wrong", "postgresql:")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_a_cluster_of_one_role_gets_an_owner(server: Postgres) -> None:
    """Clusters were once made with one role, which owned the database: at their next start they are handed over."""
    in_database = f"{server.admin_url.rpartition('/')[0]}/vignette"
    with psycopg.connect(in_database) as connection:
        connection.execute("ALTER DATABASE vignette OWNER TO vignette")
        connection.execute("GRANT CREATE ON SCHEMA public TO vignette")
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE audit_events (word text); CREATE TABLE words (number serial, word text)")
        assert roles.may_change_audit(connection)
    for _ in range(2):
        server.stop()
        server.start()
    with psycopg.connect(in_database) as connection:
        owners = connection.execute(
            "SELECT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename IN ('audit_events', 'words') "
            "UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'vignette'"
        ).fetchall()
    assert owners == [(postgres.OWNER,)]
    with psycopg.connect(server.url, autocommit=True) as connection:
        assert not roles.may_change_audit(connection)
        connection.execute("INSERT INTO words (word) VALUES ('one'); UPDATE words SET word = 'two'; DELETE FROM words")
        for refused in (
            "UPDATE audit_events SET word = 'two'",
            "CREATE TABLE more (word text)",
            "CREATE TEMPORARY TABLE more (word text)",
            "ALTER TABLE words ADD COLUMN other text",
            "TRUNCATE words",
            "DROP TABLE words",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)
    with psycopg.connect(server.owner_url) as connection:
        connection.execute("DROP TABLE words, audit_events")


def test_it_runs_unprivileged_and_leaves_folders_above_alone(server: Postgres) -> None:
    home = server.folder.parent
    assert server.process is not None
    runs_as = Path(f"/proc/{server.process.pid}").stat().st_uid
    assert runs_as != 0
    if os.geteuid() == 0:
        assert runs_as == pwd.getpwnam(processes.account_for(home / "new").name).pw_uid
    assert stat.S_IMODE(home.stat().st_mode) == 0o711
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.folder / "state.json").stat().st_mode) == 0o600


def test_a_stale_lock_with_a_living_process_of_the_same_number_is_cleared(server: Postgres) -> None:
    server.stop()
    lock = server.data / "postmaster.pid"
    account = processes.account_for(server.data)
    stranger = subprocess.Popen([*account.prefix, "sleep", "60"])
    try:
        lock.write_text(f"{stranger.pid}\n{server.data}\n")
        os.chown(lock, account.uid, account.gid)
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_taken_port_is_given_up_for_another(home: Path) -> None:
    server = Postgres(home / "postgres", durable=False)
    server.start()
    server.stop()
    port = processes.read_private(server.folder / "state.json")["port"]
    with socket.create_server(("127.0.0.1", port)):
        server.start()
        try:
            assert processes.read_private(server.folder / "state.json")["port"] != port
            with psycopg.connect(server.url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            server.stop()


def test_it_dies_with_its_parent(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from app.embedded.postgres import Postgres\n"
        "p = Postgres(Path(sys.argv[1]), durable=False); p.start(); print(p.process.pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home / "postgres")], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        watch = os.pidfd_open(pid)
        parent.send_signal(signal.SIGKILL)
    assert select.select([watch], [], [], 15)[0], "the server still runs"
    os.close(watch)


def test_a_cluster_of_another_major_version_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("14\n")
    with pytest.raises(Misconfigured, match="made by PostgreSQL 14, but only 15 and 18 is installed"):
        postgres.choose(tmp_path, [Programs(18, "new", None), Programs(15, "old", None)])


def test_an_existing_cluster_keeps_the_version_that_made_it(tmp_path: Path) -> None:
    new, old = Programs(18, "new", None), Programs(15, "old", None)
    assert postgres.choose(tmp_path, [new, old]) is new
    (tmp_path / "PG_VERSION").write_text("15\n")
    assert postgres.choose(tmp_path, [new, old]) is old


def test_without_programs_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="VIGNETTE_DATABASE_URL"):
        postgres.choose(tmp_path, [])


def test_system_programs_are_found_newest_first_and_not_too_old(tmp_path: Path) -> None:
    for version in ("13", "15", "17", "9.6"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        for program in ("postgres", "initdb", "pg_isready", "pg_dump", "pg_restore"):
            (folder / program).touch()
    (tmp_path / "16" / "bin").mkdir(parents=True)  # only a client
    assert [p.major for p in postgres.system_programs(tmp_path)] == [17, 15]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user")
def test_a_closed_folder_above_is_told_and_not_opened(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Misconfigured, match=f"may not enter {closed}"):
        Postgres(closed / "data" / "postgres").start()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
