"""A backup as it lies on disk.

The folder holds::

    .vignette-backup       marks the folder as one of ours; locked while somebody writes or reads the backup
    manifest.json          what belongs to the backup, with sizes and SHA-256; written last
    database-*.dump        the database, in pg_dump's custom format
    objects/recordings/... every object, under its own key

Folders are 0700 and files 0600. Files appear whole or not at all, and the manifest changes only when all that it names
is there, so a backup that is interrupted leaves the one before it good. Everything in it is confidential and in clear.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from app.errors import Conflict, Invalid

FORMAT = 1
MANIFEST = "manifest.json"
MARK = ".vignette-backup"
_UNFINISHED = ".unfinished-"
_BLOCK = 1024**2
_KEY = re.compile(r"recordings(/[0-9A-Za-z_-][0-9A-Za-z._-]*)+")
_DUMP = re.compile(r"database-[0-9A-Za-z]+\.dump")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """A file of the backup: name (for an object its key), bytes, SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup is. `missing` and `altered` are keys of objects that storage had lost or changed by then."""

    made_at: str
    revision: str
    server_major: int
    client_major: int
    database: Entry
    objects: tuple[Entry, ...]
    missing: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return self.database.size + sum(entry.size for entry in self.objects)


class BackupFolder:
    """One folder. Hold `locked` around everything else.

    Raises (all methods):
        Invalid: what lies there is not a backup, or is damaged; says which file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    # -- who uses it -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, *, make: bool = False) -> Iterator[None]:
        """Be the only one at it.

        Args:
            make: the folder may be missing, or empty, and becomes one of ours.

        Raises:
            Conflict: another command is at it.
        """
        if make:
            self._make()
        elif not (self.path / MARK).exists():
            raise Invalid(f"{self.path} holds no backup.")
        descriptor = os.open(self.path / MARK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Conflict(f"Another command is using the backup in {self.path}.") from None
        finally:
            os.close(descriptor)

    def _make(self) -> None:
        if (self.path / MARK).exists():
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise Invalid(f"{self.path} holds other things. Name an empty folder, or one that does not exist yet.")
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        os.close(os.open(self.path / MARK, os.O_WRONLY | os.O_CREAT, 0o600))

    # -- writing -----------------------------------------------------------------------------------------------------

    def file_of(self, key: str) -> Path:
        """Where an object lies."""
        if not _KEY.fullmatch(key):
            raise Invalid(f"{key!r} is not the key of an object.")
        return self.path / "objects" / key

    def write(self, key: str, blocks: Iterable[bytes]) -> Entry:
        """Keep an object."""
        target = self.file_of(key)
        for folder in reversed([p for p in target.parents if self.path in p.parents and not p.exists()]):
            folder.mkdir(mode=0o700)
        digest, size = hashlib.sha256(), 0
        with self._whole(target) as file:
            for block in blocks:
                digest.update(block)
                size += file.write(block)
        return Entry(key, size, digest.hexdigest())

    def new_dump(self) -> Path:
        """A name for another dump of the database, which nobody has yet."""
        return self.path / f"database-{secrets.token_hex(8)}.dump"

    def publish(self, manifest: Manifest) -> None:
        """Make this the backup, and remove what does not belong to it: what was erased must not live on here."""
        told = _digested({"format": FORMAT, **asdict(manifest)})
        with self._whole(self.path / MANIFEST) as file:
            file.write(json.dumps(told, indent=1).encode())
        _sync(self.path)
        kept = {self.path / manifest.database.name, *(self.file_of(entry.name) for entry in manifest.objects)}
        for found in self._files():
            if found not in kept:
                found.unlink()
        self._drop_empty_folders()

    def clear_unfinished(self) -> None:
        """Remove half files that an interrupted backup has left. Whole ones stay, so that it need not copy them again."""
        for file in [*self.path.glob(f"{_UNFINISHED}*"), *self._files()]:
            if file.name.startswith(_UNFINISHED):
                file.unlink()

    def _files(self) -> list[Path]:
        return [*self.path.glob("database-*.dump"), *(p for p in (self.path / "objects").rglob("*") if p.is_file())]

    def _drop_empty_folders(self) -> None:
        for folder, _, _ in os.walk(self.path / "objects", topdown=False):
            if not any(Path(folder).iterdir()):
                Path(folder).rmdir()

    @contextlib.contextmanager
    def _whole(self, target: Path) -> Iterator[IO[bytes]]:
        """A file to write. What was written is at `target` after the block, on disk, or is gone."""
        temporary = target.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            temporary.replace(target)
        except BaseException:
            temporary.unlink()
            raise

    # -- reading -----------------------------------------------------------------------------------------------------

    def manifest(self) -> Manifest | None:
        """What the folder holds; None when no backup into it has been finished."""
        try:
            told = json.loads((self.path / MANIFEST).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise Invalid(f"{self.path / MANIFEST} is damaged.") from None
        if not isinstance(told, dict) or told.pop("sha256", None) != _digested(told)["sha256"]:
            raise Invalid(f"{self.path / MANIFEST} is damaged.")
        if told.pop("format") != FORMAT:
            raise Invalid(f"The backup in {self.path} was made by another version of Vignette.")
        manifest = Manifest(
            **{
                **told,
                "database": Entry(**told["database"]),
                "objects": tuple(Entry(**entry) for entry in told["objects"]),
                "missing": tuple(told["missing"]),
                "altered": tuple(told["altered"]),
            }
        )
        self._check_names(manifest)
        return manifest

    def _check_names(self, manifest: Manifest) -> None:
        """Names lead nowhere but into this folder, whoever wrote the manifest."""
        if not _DUMP.fullmatch(manifest.database.name):
            raise Invalid(f"{self.path / MANIFEST} names a file that cannot be.")
        for entry in manifest.objects:
            self.file_of(entry.name)
            if not _SHA256.fullmatch(entry.sha256):
                raise Invalid(f"{self.path / MANIFEST} is damaged.")

    def verified(self, say: Say = lambda _: None) -> Manifest:
        """The manifest, after every file that it names was read and found as it was written."""
        manifest = self.manifest()
        if manifest is None:
            raise Invalid(f"{self.path} holds no finished backup.")
        say(f"Checking {len(manifest.objects) + 1} files ({manifest.bytes / 1024**3:.2f} GB).")
        damaged = [entry.name for entry in manifest.objects if digest_of(self.file_of(entry.name)) != entry.sha256]
        if digest_of(self.path / manifest.database.name) != manifest.database.sha256:
            damaged.insert(0, manifest.database.name)
        if damaged:
            some = ", ".join(damaged[:5]) + (f" and {len(damaged) - 5} more" if len(damaged) > 5 else "")
            raise Invalid(f"This backup is damaged; nothing was changed. Missing or altered: {some}.")
        return manifest


def digest_of(file: Path) -> str:
    """SHA-256 of a file in hexadecimal; empty when there is none."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK):
                digest.update(block)
    except FileNotFoundError:
        return ""
    return digest.hexdigest()


def _digested(told: Mapping[str, Any]) -> dict[str, Any]:
    """With the SHA-256 of all the rest, so that a changed byte in the manifest shows too."""
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return {**told, "sha256": hashlib.sha256(canonical.encode()).hexdigest()}


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
