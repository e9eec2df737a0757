"""Folders on this machine's disk: one of each worker's own, and one cached source for each unfinished run.

Nothing in here is worth keeping: a folder whose worker is gone, and a source whose run has ended, are removed by
whichever worker looks next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.errors import Unavailable
from app.storage.s3 import Storage
from workers.room import NOTHING, Need, NoRoomError

#: A source that no stage has asked for in this long is removed, though its run goes on; it can be fetched again.
UNUSED_SECONDS = 1800
_RESERVE_BYTES = 256 * 1024 * 1024
_CLAIM = ".claim"
_EXPECTED = "expected"


class Scratch:
    """This worker's part of `DATA/scratch`. The worker's folder is locked for as long as its process lives.

    `budget` is the most that the workers of the machine may keep there together, in bytes; 0 means all that is free but a
    reserve. What a stage may come to need is set aside before it begins, in a file beside its folder, so that stages that
    begin together do not count on the same room.
    """

    def __init__(self, data: Path, budget: int = 0) -> None:
        self.budget = budget
        self.root = data.resolve() / "scratch"
        self.sources = self.root / "sources"
        self.sources.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._gate = data.resolve() / "scratch.lock"
        with self._gated():
            self.home = Path(tempfile.mkdtemp(prefix="worker-", dir=self.root))
            self._lock = _locked_file(self.home / "lock", wait=True)

    @contextmanager
    def folder(self, run_id: uuid.UUID | None = None, need: Need = NOTHING) -> Iterator[Path]:
        """An empty folder for one stage, removed afterwards, with the room that it needs set aside.

        Raises:
            NoRoomError: there is not so much. Sources that no stage of this machine works on were removed before that is
                said: they can be fetched again.
        """
        with self._gated():
            if need.source or need.work:
                self._set_aside(run_id, need)
            made = Path(tempfile.mkdtemp(prefix="stage-", dir=self.home))
            claim = made.with_name(f"{made.name}{_CLAIM}")
            try:
                claim.write_text(f"{need.work} {run_id or ''}")
            except OSError:  # a disk that is full this very moment: nothing is left behind
                shutil.rmtree(made, ignore_errors=True)
                claim.unlink(missing_ok=True)
                raise
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
            claim.unlink(missing_ok=True)

    def _set_aside(self, run_id: uuid.UUID | None, need: Need) -> None:
        """Make sure of the room; the gate must be held."""
        source = self.sources / str(run_id)
        # what another stage of the run has set aside for the source counts for this one as well
        missing = 0 if (source / _EXPECTED).exists() else max(0, need.source - _size_of(source))
        wanted = need.work + missing
        busy = {run for _, run in self._claims()} | {str(run_id)}
        if (free := self._free()) < wanted:
            for idle in self.sources.iterdir():
                if idle.name not in busy:
                    shutil.rmtree(idle, ignore_errors=True)
            free = self._free()
        if free < wanted:
            raise NoRoomError(
                "Waiting: not enough room on the worker's disk: "
                f"{in_words(wanted, up=True)} needed, {in_words(max(0, free))} free."
            )
        if missing:
            source.mkdir(mode=0o700, exist_ok=True)
            (source / _EXPECTED).write_text(str(need.source))

    def _claims(self) -> Iterator[tuple[int, str]]:
        """Bytes that stages of this machine may still come to need, and their runs."""
        for claim in self.root.glob(f"worker-*/stage-*{_CLAIM}"):
            try:
                work, _, run = claim.read_text().partition(" ")
                there = _size_of(claim.with_name(claim.name.removesuffix(_CLAIM)))
                yield max(0, int(work) - there), run
            except (FileNotFoundError, ValueError):
                continue  # it has just ended

    def _free(self) -> int:
        """Bytes that nobody has and nobody has set aside."""
        promised = sum(claim for claim, _ in self._claims())
        for source in self.sources.iterdir():
            try:
                promised += max(0, int((source / _EXPECTED).read_text()) - _size_of(source))
            except (FileNotFoundError, ValueError):
                continue  # it is there whole, or was removed
        free = shutil.disk_usage(self.root).free - _RESERVE_BYTES
        if self.budget:
            free = min(free, self.budget - _size_of(self.root))
        return free - promised

    def source(
        self, storage: Storage, run_id: uuid.UUID, key: str, size: int, sha256: str, stop: Callable[[], None]
    ) -> tuple[Path, str]:
        """The source of a run on this disk, fetched once for all workers of the machine, and its SHA-256.

        Args:
            sha256: what it must be, hexadecimal; empty when only its size is known.
            stop: called while waiting; raises when the stage is to stop.

        Raises:
            NotFound: storage has no such object.
            Unavailable: it arrived damaged.
            NoRoomError: there is no room for it.
        """
        folder = self.sources / str(run_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        file, digest = folder / "source", folder / "sha256"
        with _waited_for(folder / "lock", stop):
            if not (digest.exists() and file.exists() and file.stat().st_size == size):
                if shutil.disk_usage(folder).free < size + _RESERVE_BYTES:
                    raise NoRoomError(
                        f"Waiting: not enough room on the worker's disk: {in_words(size, up=True)} needed."
                    )
                part = folder / "part"
                found = storage.fetch(key, part)
                if part.stat().st_size != size or (sha256 and found != sha256):
                    part.unlink()
                    raise Unavailable("The uploaded file arrived damaged from storage.")
                part.rename(file)
                digest.write_text(found)
                (folder / _EXPECTED).unlink(missing_ok=True)
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

    def slots(self, queue: str, limit: int, wanted: int) -> list[IO[str]]:
        """Places for jobs of a queue on this machine, of which there are `limit` for all its workers: as many as are free
        of those wanted. A place is held until its file is closed, or its process ends in whatever way."""
        held: list[IO[str]] = []
        for number in range(limit):
            if len(held) == wanted:
                break
            if (slot := _locked_file(self._gate.with_name(f"scratch.{queue}-{number}.lock"), wait=False)) is not None:
                held.append(slot)
        return held

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


def in_words(size: int, *, up: bool = False) -> str:
    """Bytes as people read them, in units of a thousand. What is needed is rounded up, so that it is never less than
    what is free when both are shown."""
    unit, name = next(((10**p, n) for p, n in ((9, "GB"), (6, "MB")) if size >= 10**p), (1000, "kB"))
    tenths = -(-size * 10 // unit) if up else size * 10 // unit
    whole = tenths >= 100
    return f"{-(-tenths // 10) if whole and up else tenths // 10 if whole else tenths / 10:g} {name}"


def _size_of(folder: Path) -> int:
    """Bytes of all files in a folder, near and far; 0 where there is none."""
    total = 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # removed since it was listed
        if not stat.S_ISDIR(status.st_mode):
            total += status.st_size
    return total


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
