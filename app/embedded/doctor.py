"""`vignette doctor`: what is missing or wrong, in sentences.

Each check is a function of the settings that yields findings and starts nothing that stays.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path

import imageio_ffmpeg
import psycopg

from app import clock
from app.embedded import home, postgres, processes, roles, seaweedfs
from app.embedded.instance import is_running, without_embedded
from app.embedded.s3probe import Probe
from app.errors import VignetteError
from app.settings import Settings

_DISK_LOW_BYTES = 10 * 1024**3
_DISK_WRONG_BYTES = 1024**3
_CLOCK_LIMIT = timedelta(seconds=60)
"""S3 refuses signatures from 15 minutes on; links live for 60 s, so a minute already cuts them short."""
_CHROMIUM = Path("/usr/bin/chromium")


class Level(Enum):
    """`WRONG` stops Vignette from working; `NOTE` takes something away that it can do without."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """What one check saw. `name` is stable for machines."""

    name: str
    level: Level
    sentence: str


def examine(
    settings: Settings, *, migrations_behind: Callable[[Settings], str], weights_missing: Callable[[Settings], str]
) -> list[Finding]:
    """All findings for settings as loaded.

    Args:
        migrations_behind: a sentence when the database is not at the newest migration, else "".
        weights_missing: a sentence when the speech model has yet to be fetched, else ""; raises when it is damaged.
    """
    given = without_embedded(settings)
    findings = [
        *_python(),
        *_ffmpeg(),
        *_database_programs(given),
        *_storage_program(given),
        *_account(given),
        *_disk(given),
        *_port(given),
        *_secret(given),
        *_weights(given, weights_missing),
        *_chromium(),
    ]
    if given.embeds_database and not is_running(given.data):
        findings.append(Finding("database", Level.OK, "The database is not running; `vignette up` starts it."))
    else:
        findings += _database(settings, migrations_behind)
    if given.embeds_storage and not is_running(given.data):
        findings.append(Finding("storage", Level.OK, "The storage is not running; `vignette up` starts it."))
    else:
        findings += _storage(settings)
    return findings


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Finding(
        "python", Level.OK if good else Level.WRONG, f"Python is {version}{'' if good else ', but 3.11 is needed'}."
    )


def _ffmpeg() -> Iterator[Finding]:
    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
        first = subprocess.run([program, "-version"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        yield Finding(
            "ffmpeg", Level.WRONG, f"ffmpeg does not run ({error}). Install the package imageio-ffmpeg again."
        )
    else:
        yield Finding("ffmpeg", Level.OK, f"ffmpeg runs: {' '.join(first.split()[:3])}.")


def _database_programs(given: Settings) -> Iterator[Finding]:
    if not given.embeds_database:
        return
    try:
        folder = home.find(given.data.absolute()).folder
        programs = postgres.choose(folder / "postgres" / "data", postgres.all_programs())
    except PermissionError:
        yield Finding("postgres", Level.NOTE, f"{given.data} belongs to another user; its database was not looked at.")
    except VignetteError as error:
        yield Finding("postgres", Level.WRONG, str(error))
    else:
        yield Finding("postgres", Level.OK, f"The database will be {programs.label}.")


def _storage_program(given: Settings) -> Iterator[Finding]:
    if not given.embeds_storage:
        return
    try:
        weed = seaweedfs.find_weed()
        answer = subprocess.run([weed, "version"], capture_output=True, text=True, check=True, timeout=20).stdout
    except VignetteError as error:
        yield Finding("seaweedfs", Level.WRONG, str(error))
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("seaweedfs", Level.WRONG, f"The storage program does not run: {error}.")
    else:
        yield Finding("seaweedfs", Level.OK, f"The storage will be SeaweedFS: {answer.strip()}.")


def _account(given: Settings) -> Iterator[Finding]:
    if not (given.embeds_database or given.embeds_storage):
        return
    if shutil.which("setpriv") is None:
        yield Finding("account", Level.WRONG, "The program setpriv is missing. Install the package util-linux.")
        return
    try:
        found = home.find(given.data.absolute())
        account = processes.account_for(found.folder / "postgres" / "data")
        processes.check_reach(account, next(p for p in (found.folder, *found.folder.parents) if p.exists()))
    except VignetteError as error:
        yield Finding("account", Level.WRONG, str(error))
    else:
        yield Finding("account", Level.OK, f"Database and storage run as the user {account.name}.")
        if found.apart:
            yield Finding("services", Level.OK, f"Their files lie in {found.folder}, which {given.data} names.")


def _disk(given: Settings) -> Iterator[Finding]:
    folder = next(p for p in (given.data.absolute(), *given.data.absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    said = f"{free / 1024**3:.1f} GB are free at {folder}"
    if free < _DISK_WRONG_BYTES:
        yield Finding("disk", Level.WRONG, f"Only {said}. Make room: at least 1 GB is needed.")
    elif free < _DISK_LOW_BYTES:
        yield Finding("disk", Level.NOTE, f"Only {said}. An hour of video needs about 4 GB.")
    else:
        yield Finding("disk", Level.OK, f"{said}.")


def _port(given: Settings) -> Iterator[Finding]:
    if processes.port_is_free(given.port, given.host):
        yield Finding("port", Level.OK, f"Port {given.port} is free.")
    elif is_running(given.data):
        yield Finding("port", Level.OK, f"Port {given.port} is in use, as it should be while Vignette runs.")
    else:
        yield Finding(
            "port", Level.WRONG, f"Port {given.port} is in use or not ours. Choose another: PORT={given.port + 1}."
        )


def _secret(given: Settings) -> Iterator[Finding]:
    if given.secret_key:
        weak = len(given.secret_key) < 32 or len(set(given.secret_key)) < 8
        sentence = (
            "VIGNETTE_SECRET_KEY is weak. Put at least 32 random characters there."
            if weak
            else "The secret key is strong."
        )
        yield Finding("secret-key", Level.WRONG if weak else Level.OK, sentence)
    elif given.embeds_database or given.embeds_storage:
        yield Finding("secret-key", Level.OK, "The secret key is made and kept in the data folder.")
    else:
        yield Finding(
            "secret-key", Level.WRONG, "VIGNETTE_SECRET_KEY is not set. Put at least 32 random characters there."
        )


def _weights(given: Settings, weights_missing: Callable[[Settings], str]) -> Iterator[Finding]:
    if given.caption_engine == "none":
        yield Finding("weights", Level.NOTE, "Captions are switched off (VIGNETTE_CAPTION_ENGINE=none).")
        return
    try:
        missing = weights_missing(given)
    except VignetteError as error:
        yield Finding("weights", Level.WRONG, str(error))
        return
    sentence = missing or f"The weights of the speech model {given.caption_model} are here and verified."
    yield Finding("weights", Level.NOTE if missing else Level.OK, sentence)


def _chromium() -> Iterator[Finding]:
    if _CHROMIUM.exists():
        yield Finding("chromium", Level.OK, "Chromium is here for the browser tests.")
    else:
        yield Finding(
            "chromium", Level.NOTE, "Chromium is missing: browser tests are skipped. Install the package chromium."
        )


def _database(settings: Settings, migrations_behind: Callable[[Settings], str]) -> Iterator[Finding]:
    try:
        with psycopg.connect(settings.libpq_url, connect_timeout=5) as connection:
            version = connection.info.server_version // 10000
            changeable = roles.may_change_audit(connection)
    except psycopg.Error as error:
        yield Finding("database", Level.WRONG, f"The database does not answer: {str(error).strip().splitlines()[-1]}")
        return
    if version < postgres.OLDEST:
        yield Finding(
            "database", Level.WRONG, f"The database is PostgreSQL {version}; {postgres.OLDEST} or newer is needed."
        )
        return
    yield Finding("database", Level.OK, f"The database answers: PostgreSQL {version}.")
    try:
        behind = migrations_behind(settings)
    except VignetteError as error:
        behind = str(error)
    yield Finding("migrations", Level.WRONG if behind else Level.OK, behind or "The database is at the newest version.")
    if changeable:
        yield Finding(
            "audit-role",
            Level.NOTE,
            "The application's database role could change the audit. Give the database another owner and name that one in "
            "VIGNETTE_OWNER_DATABASE_URL: see docs/deploy.md.",
        )
    elif not behind:
        yield Finding("audit-role", Level.OK, "The application's database role can add to the audit and not change it.")


def _storage(settings: Settings) -> Iterator[Finding]:
    probe = Probe(settings.s3_endpoint, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
    try:
        answer = probe.request("HEAD", f"/{settings.s3_bucket}")
    except OSError as error:
        yield Finding("storage", Level.WRONG, f"The storage at {settings.s3_endpoint} does not answer: {error}.")
        return
    if answer.status == 200:
        yield Finding("storage", Level.OK, f"The storage answers and holds the bucket {settings.s3_bucket}.")
    elif answer.status == 404:
        yield Finding("storage", Level.NOTE, f"The bucket {settings.s3_bucket} is missing; it is made at the start.")
    else:
        yield Finding(
            "storage",
            Level.WRONG,
            f"The storage refused the keys for the bucket {settings.s3_bucket} (status {answer.status}).",
        )
    if answer.server_time is not None:
        skew = abs(clock.now() - answer.server_time)
        wrong = skew > _CLOCK_LIMIT
        said = f"The clocks here and at the storage differ by {skew.total_seconds():.0f} s"
        yield Finding("clock", Level.WRONG if wrong else Level.OK, f"{said}{'. Set them by NTP.' if wrong else '.'}")
