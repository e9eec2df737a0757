"""The embedded S3 as a real process: start, stop, crash, strangers."""

from __future__ import annotations

import http.client
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.embedded import processes
from app.embedded.s3probe import Probe
from app.embedded.seaweedfs import SeaweedFS


@pytest.fixture(scope="module")
def server() -> Iterator[SeaweedFS]:
    folder = Path(tempfile.mkdtemp(prefix="vignette-embedded-"))
    folder.chmod(0o711)
    started = SeaweedFS(folder / "seaweedfs", bucket="kept")
    started.start()
    yield started
    started.stop()
    shutil.rmtree(folder)


def kill(server: SeaweedFS) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()


def get(server: SeaweedFS, path: str) -> int:
    return server.probe.request("GET", path).status


def test_it_is_private_and_unprivileged(server: SeaweedFS) -> None:
    assert server.process is not None
    assert Path(f"/proc/{server.process.pid}").stat().st_uid != 0
    for private in (server.folder / "s3.json", server.folder / "state.json"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert server.probe.request("PUT", "/kept/secret", b"x").status == 200
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.endpoint).port or 0, timeout=5)
    connection.request("GET", "/kept/secret")
    assert connection.getresponse().status == 403
    connection.close()
    stranger = Probe(server.endpoint, server.access_key, "a wrong key")
    assert stranger.request("GET", "/kept/secret").status == 403


def test_everything_listens_on_loopback(server: SeaweedFS) -> None:
    assert server.process is not None
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{server.process.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].rpartition(":")
            if (
                fields[3] == "0A"
                and int(port, 16) in processes.read_private(server.folder / "state.json")["ports"].values()
            ):
                listening.add(address)
    assert listening == {"0100007F"}


def test_the_file_systems_own_http_door_is_shut(server: SeaweedFS) -> None:
    assert server.probe.request("PUT", "/kept/secret", b"x").status == 200
    port = processes.read_private(server.folder / "state.json")["ports"]["filer"]
    for method in ("GET", "PUT", "DELETE"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request(method, "/buckets/kept/secret")
        assert connection.getresponse().status == 404
        connection.close()
    assert get(server, "/kept/secret") == 200


def test_fsync_was_asked_for_once(server: SeaweedFS) -> None:
    assert processes.read_private(server.folder / "state.json")["fsync"] == ["kept"]


def test_objects_survive_kill_and_a_change_of_ports(server: SeaweedFS) -> None:
    assert server.probe.request("PUT", "/kept/a b/é", b"one").status == 200
    keys = server.access_key, server.secret_key
    kill(server)
    server.start()
    assert get(server, "/kept/a b/é") == 200
    kill(server)
    state = processes.read_private(server.folder / "state.json")
    processes.write_private(server.folder / "state.json", {k: v for k, v in state.items() if k != "ports"})
    server.start()
    assert (server.access_key, server.secret_key) == keys
    assert get(server, "/kept/a b/é") == 200
    assert get(server, "/kept/never") == 404


def test_a_stop_leaves_nothing_in_tmp(server: SeaweedFS) -> None:
    ports = processes.read_private(server.folder / "state.json")["ports"].values()
    assert [p for p in Path("/tmp").glob("seaweedfs-*.sock") if any(str(port) in p.name for port in ports)]
    server.stop()
    assert not [p for p in Path("/tmp").glob("seaweedfs-*.sock") if any(str(port) in p.name for port in ports)]
