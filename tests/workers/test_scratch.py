from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from app.errors import Unavailable
from app.storage.s3 import Storage
from workers.scratch import UNUSED_SECONDS, Scratch


def go_on() -> None:
    """Nobody asks the stage to stop."""


@pytest.fixture
def stored(storage: Storage) -> tuple[str, bytes]:
    key, body = f"recordings/{uuid.uuid4()}/source/{uuid.uuid4()}", os.urandom(1000)
    storage.put_bytes(key, body, "application/octet-stream")
    return key, body


def test_a_source_is_fetched_once_and_checked(tmp_path: Path, storage: Storage, stored: tuple[str, bytes]) -> None:
    key, body = stored
    disk, run_id = Scratch(tmp_path), uuid.uuid4()
    digest = hashlib.sha256(body).hexdigest()
    path, found = disk.source(storage, run_id, key, len(body), "", go_on)
    assert (path.read_bytes(), found) == (body, digest)
    storage.delete(key)
    assert disk.source(storage, run_id, key, len(body), digest, go_on) == (path, digest)


def test_other_bytes_than_those_that_were_uploaded_are_refused(
    tmp_path: Path, storage: Storage, stored: tuple[str, bytes]
) -> None:
    key, body = stored
    disk = Scratch(tmp_path)
    with pytest.raises(Unavailable):
        disk.source(storage, uuid.uuid4(), key, len(body) + 1, "", go_on)
    with pytest.raises(Unavailable):
        disk.source(storage, uuid.uuid4(), key, len(body), "0" * 64, go_on)
    assert [path for path in disk.sources.rglob("*") if path.name in ("source", "part")] == []


def test_sources_of_ended_runs_and_forgotten_ones_are_removed(
    tmp_path: Path, storage: Storage, stored: tuple[str, bytes]
) -> None:
    key, body = stored
    disk = Scratch(tmp_path)
    ended, forgotten, used = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    for run_id in (ended, forgotten, used):
        disk.source(storage, run_id, key, len(body), "", go_on)
    long_ago = time.time() - UNUSED_SECONDS - 1
    os.utime(disk.sources / str(forgotten), (long_ago, long_ago))
    disk.sweep(lambda ids: set(ids) - {ended})
    assert [folder.name for folder in disk.sources.iterdir()] == [str(used)]


def test_the_folder_of_a_dead_worker_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from workers.scratch import Scratch; s = Scratch(pathlib.Path(sys.argv[1]));"
        "(s.home / 'left').write_text('x'); print('ready', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"
    disk = Scratch(tmp_path)
    disk.sweep(lambda ids: set())
    assert len(list(disk.root.glob("worker-*"))) == 2
    other.kill()
    other.communicate()
    disk.sweep(lambda ids: set())
    assert list(disk.root.glob("worker-*")) == [disk.home]
    disk.close()
    assert list(disk.root.glob("worker-*")) == []


def test_a_stages_folder_is_empty_and_goes_with_it(tmp_path: Path) -> None:
    disk = Scratch(tmp_path)
    with pytest.raises(ZeroDivisionError), disk.folder() as folder:
        assert list(folder.iterdir()) == []
        (folder / "file").write_text("x")
        raise ZeroDivisionError
    assert not folder.exists()
