"""Folders on this machine's disk: one of each worker's own, and one cached source for each unfinished run.

Nothing in here is worth keeping: a folder whose worker is gone, and a source whose run has ended, are removed by
whichever worker looks next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.errors import Unavailable
from app.storage.s3 import Storage

#: A source that no stage has asked for in this long is removed, though its run goes on; it can be fetched again.
UNUSED_SECONDS = 1800
_RESERVE_BYTES = 256 * 1024 * 1024


class Scratch:
    """This worker's part of `DATA/scratch`. The worker's folder is locked for as long as its process lives."""

    def __init__(self, data: Path) -> None:
        self.root = data.resolve() / "scratch"
        self.sources = self.root / "sources"
        self.sources.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._gate = data.resolve() / "scratch.lock"
        with self._gated():
            self.home = Path(tempfile.mkdtemp(prefix="worker-", dir=self.root))
            self._lock = _locked_file(self.home / "lock", wait=True)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder for one stage, removed afterwards."""
        made = Path(tempfile.mkdtemp(prefix="stage-", dir=self.home))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def source(
        self, storage: Storage, run_id: uuid.UUID, key: str, size: int, sha256: str, stop: Callable[[], None]
    ) -> tuple[Path, str]:
        """The source of a run on this disk, fetched once for all workers of the machine, and its SHA-256.

        Args:
            sha256: what it must be, hexadecimal; empty when only its size is known.
            stop: called while waiting; raises when the stage is to stop.

        Raises:
            NotFound: storage has no such object.
            Unavailable: it arrived damaged, or there is no room for it.
        """
        folder = self.sources / str(run_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        file, digest = folder / "source", folder / "sha256"
        with _waited_for(folder / "lock", stop):
            if not (digest.exists() and file.exists() and file.stat().st_size == size):
                if shutil.disk_usage(folder).free < size + _RESERVE_BYTES:
                    raise Unavailable("There is not enough room on the worker's disk.")
                part = folder / "part"
                found = storage.fetch(key, part)
                if part.stat().st_size != size or (sha256 and found != sha256):
                    part.unlink()
                    raise Unavailable("The uploaded file arrived damaged from storage.")
                part.rename(file)
                digest.write_text(found)
            os.utime(folder)
            return file, digest.read_text()

    def sweep(self, unfinished: Callable[[Collection[uuid.UUID]], Collection[uuid.UUID]]) -> None:
        """Remove what dead workers left, and sources that are not needed any more.

        Args:
            unfinished: given ids of runs, which of them have not ended.
        """
        with self._gated():
            for home in self.root.glob("worker-*"):
                if home != self.home and (lock := _locked_file(home / "lock", wait=False)) is not None:
                    shutil.rmtree(home, ignore_errors=True)
                    lock.close()
        cached = {uuid.UUID(folder.name): folder for folder in self.sources.iterdir()}
        alive = unfinished(cached.keys()) if cached else ()
        for run_id, folder in cached.items():
            if run_id not in alive or time.time() - folder.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the worker's folder."""
        shutil.rmtree(self.home, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def _gated(self) -> Iterator[None]:
        """One process at a time makes or removes workers' folders, so that none is removed while it is being made."""
        with self._gate.open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield


def _locked_file(path: Path, *, wait: bool) -> IO[str] | None:
    """The file, open and locked by this process; None when another process holds it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def _waited_for(path: Path, stop: Callable[[], None]) -> Iterator[None]:
    """Hold the lock at `path`; while another holds it, ask `stop` a few times a second."""
    while (file := _locked_file(path, wait=False)) is None:
        stop()
        time.sleep(0.2)
    try:
        yield
    finally:
        file.close()
