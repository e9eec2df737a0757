"""Where the embedded services keep their files: in DATA, or beside it when their account cannot reach it.

As root the services run as an unprivileged account, which may not enter, for example, a checkout in /root. Permissions
of folders that exist are never changed for that. The services' own files (database, objects, programs, sockets) then
lie in a folder below `/var/lib/vignette`, and two files tie it to its data folder:

`DATA/instance.json`       key `services`: that folder
`<folder>/belongs-to.json` key `data`: the real path of DATA, so that a copy of DATA never shares a running database
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.embedded import processes
from app.errors import Conflict, Misconfigured
from app.settings import INSTANCE_FILE

SYSTEM = Path("/var/lib/vignette")
POINTER = "services"
_OWNER_FILE = "belongs-to.json"
_PARTS = ("postgres", "seaweedfs")


@dataclass(frozen=True)
class Home:
    """The folder of the services of one data folder. `why` is a sentence for people where it is not DATA itself, else
    empty."""

    data: Path
    folder: Path
    why: str = ""

    @property
    def apart(self) -> bool:
        """True when it is not DATA itself."""
        return self.folder != self.data

    def claim(self) -> None:
        """Make the folder and tie it to DATA, before anything is put there.

        Raises:
            Conflict: it belongs to another data folder, of which this one is a copy.
            Misconfigured: DATA names it, but it is gone; or it cannot be made.
        """
        processes.make_folder(self.data, 0o711)
        if not self.apart:
            return
        pointer = self.data / INSTANCE_FILE
        known = processes.read_private(pointer)
        pointed = known.get(POINTER) == str(self.folder)
        if pointed and not self.folder.is_dir():
            raise Misconfigured(
                f"The database and storage of {self.data} lie in {self.folder}, which is gone. Put it back, or restore "
                "a backup into a new data folder."
            )
        owner = self.folder / _OWNER_FILE
        told = Path(processes.read_private(owner).get("data", self.data))
        if told.resolve() != self.data.resolve() and _points_to(told, self.folder) and not _same(told, self.data):
            raise Conflict(
                f"The data folder {self.data} is a copy of {told}, and {self.folder} holds the database and storage of "
                "that one. Use `vignette backup` and `vignette restore` to make a second instance."
            )
        try:
            for folder in (self.folder.parent, self.folder):
                processes.make_folder(folder, 0o711)
            processes.write_private(owner, {"data": str(self.data.resolve())})
        except OSError as error:
            raise Misconfigured(f"{self.why} But {self.folder} cannot be made: {error.strerror}.") from error
        # The pointer comes last: once DATA names the folder, a folder that is gone is a loss and not a first start.
        if not pointed:
            processes.write_private(pointer, {**known, POINTER: str(self.folder)})


def find(data: Path) -> Home:
    """The home that belongs to `data` (absolute), or the one it would get at its first start. Changes nothing.

    Raises:
        Misconfigured: root, and there is no account to run the services as; or `instance.json` is not ours to read.
    """
    known = processes.read_private(data / INSTANCE_FILE).get(POINTER)
    if known:
        folder = Path(known)
        return Home(data, folder, f"Database and storage keep their files in {folder}.")
    if any((data / part).exists() for part in _PARTS):
        return Home(data, data)
    account = processes.account_for(data / _PARTS[0])
    closed = processes.first_closed(account, next(p for p in (data, *data.parents) if p.exists()))
    if closed is None or not account.switch:
        return Home(data, data)
    folder = next(folder for folder in _names(data.resolve()) if not folder.exists())
    why = f"The user {account.name}, as whom database and storage run, may not enter {closed}: they keep their files in {folder}."
    if (earlier := next(_names(data.resolve()))).exists():
        why += f" (An earlier data folder at this place left {earlier}; remove it when nothing in it is needed.)"
    return Home(data, folder, why)


def _names(data: Path) -> Iterator[Path]:
    """Folders for this data folder, in order of preference: without DATA, an earlier one is nobody's to reuse."""
    short = re.sub(r"[^a-z0-9]+", "-", data.name.lower()).strip("-")[:20] or "data"
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    for number in itertools.count(1):
        yield SYSTEM / (f"{short}-{digest}" if number == 1 else f"{short}-{digest}-{number}")


def _points_to(data: Path, folder: Path) -> bool:
    return bool(processes.read_private(data / INSTANCE_FILE).get(POINTER) == str(folder))


def _same(one: Path, other: Path) -> bool:
    """True when both are the same folder under two names, as with a bind mount."""
    return one.exists() and other.exists() and one.samefile(other)
