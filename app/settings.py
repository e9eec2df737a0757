"""Settings: the only reader of the environment.

Each setting is one field of `Settings`; the environment variable is `VIGNETTE_` plus the field's name in capitals.
`PORT` and `DATA` are also read without the prefix, because `make run PORT=8001 DATA=./other` is how an instance is
chosen. The table in docs/settings.md is checked against this class by a test.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from app import smtp
from app.errors import Misconfigured

PREFIX = "VIGNETTE_"
UNPREFIXED = ("PORT", "DATA")
INSTANCE_FILE = "instance.json"
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+")

Delivery = Literal["auto", "redirect", "proxy"]
Unreviewed = Literal["hide", "show"]
Switch = Literal["on", "off"]
CaptionEngine = Literal["faster-whisper", "openai-whisper", "none"]
CaptionDevice = Literal["auto", "cpu", "cuda"]
Brand = Literal["plain", "nhs", "organisation"]
Av1 = Literal["off", "on"]
SecondFactor = Literal["required", "optional"]
DiskTurn = Literal["idle", "low", "normal"]
Bubblewrap = Literal["auto", "off", "required"]


def _setting(default: Any, help_: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"help": help_, "secret": secret}, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be set from outside. Immutable; `Settings.load()` is how the program gets one."""

    data: Path = _setting(Path("./data"), "folder that holds everything of an embedded instance")
    port: int = _setting(8000, "port of the web server")
    host: str = _setting("127.0.0.1", "address that the web server binds")
    public_url: str = _setting(
        "", "address that people use, e.g. https://vignette.example; empty: http://127.0.0.1:PORT"
    )
    secret_key: str = _setting(
        "", "signs sessions and links; at least 32 characters; made for the embedded default", secret=True
    )
    database_url: str = _setting(
        "", "PostgreSQL 15 or newer, postgresql://...; empty: one is started in DATA", secret=True
    )
    owner_database_url: str = _setting(
        "",
        "the same database as the role that owns it, for migrations, backups and restores; empty: as DATABASE_URL",
        secret=True,
    )
    s3_endpoint: str = _setting("", "S3 endpoint as the server reaches it; empty: one is started in DATA")
    s3_public_endpoint: str = _setting("", "S3 endpoint as browsers reach it; empty: the same as S3_ENDPOINT")
    s3_bucket: str = _setting("vignette", "bucket; made when it is missing")
    s3_region: str = _setting("us-east-1", "region name that requests are signed for")
    s3_access_key: str = _setting("", "S3 access key", secret=True)
    s3_secret_key: str = _setting("", "S3 secret key", secret=True)
    delivery: Delivery = _setting(
        "auto", "how media bytes reach people: redirect to S3, proxy through the app, or auto"
    )
    brand: Brand = _setting("plain", "look of the header: plain, nhs (NHS bodies only) or organisation")
    organisation_name: str = _setting("", "name shown in the header when BRAND is organisation")
    caption_engine: CaptionEngine = _setting("faster-whisper", "faster-whisper, openai-whisper or none")
    caption_model: str = _setting("base", "Whisper model: a size, or the path of a folder (or .pt file) with weights")
    caption_language: str = _setting(
        "en", "language spoken in recordings, as an ISO 639-1 code; auto: found out from the sound, English if unsure"
    )
    caption_device: CaptionDevice = _setting(
        "auto", "where captions are made: auto (a GPU when there is one), cpu or cuda"
    )
    captions_unreviewed: Unreviewed = _setting(
        "hide", "captions that nobody has checked: hide them from viewers, or show them marked as automatic"
    )
    captions_four_eyes: Switch = _setting(
        "off", "whether two people must have had captions in hand before viewers see them: on or off"
    )
    max_upload_bytes: int = _setting(20 * 1024**3, "largest upload accepted, in bytes")
    max_duration_seconds: int = _setting(6 * 3600, "longest recording accepted, in seconds")
    chunk_seconds: int = _setting(60, "length of one unit of encoding, in seconds")
    encode_threads: int = _setting(0, "threads of one encoding process; 0: the number of cores, at most 4")
    av1: Av1 = _setting(
        "off", "on: ready recordings also get their pictures in AV1, behind all other work; off: H.264 only"
    )
    worker_encode: int = _setting(1, "encoding jobs that one worker process runs at once")
    worker_transcribe: int = _setting(1, "captioning jobs that one worker process runs at once")
    worker_light: int = _setting(2, "short jobs that one worker process runs at once")
    machine_encode: int = _setting(0, "encoding jobs that all workers of one machine run at once; 0: no such limit")
    machine_transcribe: int = _setting(
        0, "captioning jobs that all workers of one machine run at once; 0: no such limit"
    )
    worker_nice: int = _setting(10, "niceness of media and caption programs, 0 to 19")
    worker_ionice: DiskTurn = _setting(
        "low",
        "when media and caption programs get the disk: low (after others), idle (when nobody else wants it), normal",
    )
    worker_disk_bytes: int = _setting(
        0, "most that workers keep on a machine's disk at once, in bytes; 0: all that is free but 256 MiB"
    )
    worker_free_memory_bytes: int = _setting(
        512 * 1024**2,
        "memory that must be free before a worker that is busy starts another encoding or captioning job, in bytes; "
        "0: it does not look",
    )
    bubblewrap: Bubblewrap = _setting(
        "auto", "confine media programs with bubblewrap as well: auto (where it works), off or required"
    )
    rehash_days: int = _setting(
        90, "each stored object is read and compared with its SHA-256 about every so many days; 0: never"
    )
    session_idle_minutes: int = _setting(60, "a session ends after this long without a request")
    session_hours: int = _setting(12, "a session ends after this long in any case")
    second_factor: SecondFactor = _setting(
        "required", "whether admins and custodians must show a second factor: required or optional"
    )
    oidc_providers: str = _setting(
        "",
        "OpenID providers to sign in with: path of a TOML or JSON file, or the list itself; see sign-in.md",
        secret=True,
    )
    link_seconds: int = _setting(60, "life of a presigned S3 address, at most 60")
    smtp_url: str = _setting(
        "", "mail server, e.g. smtp+starttls://user:password@host:587; empty: no mail is sent", secret=True
    )
    mail_from: str = _setting("", "address that mail comes from, e.g. vignette@trust.example; needed with SMTP_URL")
    trusted_proxies: int = _setting(0, "how many reverse proxies stand in front and set X-Forwarded-*")
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")
    metrics_token: str = _setting(
        "", "bearer token that /metrics asks for; empty: only loopback may read it", secret=True
    )

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in fields(self):
            allowed = get_args(hints[f.name])
            if allowed and getattr(self, f.name) not in allowed:
                raise Misconfigured(f"{PREFIX}{f.name.upper()} must be one of {', '.join(allowed)}.")
        if not 1 <= self.link_seconds <= 60:
            raise Misconfigured(f"{PREFIX}LINK_SECONDS must be from 1 to 60.")
        if not 0 <= self.worker_nice <= 19:
            raise Misconfigured(f"{PREFIX}WORKER_NICE must be from 0 to 19.")
        for name in ("machine_encode", "machine_transcribe", "worker_disk_bytes", "worker_free_memory_bytes"):
            if getattr(self, name) < 0:
                raise Misconfigured(f"{PREFIX}{name.upper()} must be 0 or more.")
        if not 0 <= self.rehash_days <= 3650:
            raise Misconfigured(f"{PREFIX}REHASH_DAYS must be from 0 to 3650.")
        if not 0 < self.port < 65536:
            raise Misconfigured("PORT must be from 1 to 65535.")
        if self.smtp_url:
            smtp.parse(self.smtp_url)
            if not _ADDRESS.fullmatch(self.mail_from):
                raise Misconfigured(
                    f"{PREFIX}MAIL_FROM must be an email address, like vignette@trust.example, because "
                    f"{PREFIX}SMTP_URL is set."
                )

    # -- reading -------------------------------------------------------------------------------------------------

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Settings as the given environment states them; unknown `VIGNETTE_` names are refused, so that a typing
        error cannot silently switch a protection off."""
        hints = get_type_hints(cls)
        names = {f.name.upper(): f.name for f in fields(cls)}
        values: dict[str, Any] = {}
        for variable, raw in environ.items():
            if variable.startswith(PREFIX):
                short = variable[len(PREFIX) :]
                if short not in names:
                    raise Misconfigured(f"{variable} is not a setting. See docs/settings.md for the list.")
            elif variable in UNPREFIXED and PREFIX + variable not in environ:
                short = variable
            else:
                continue
            name = names[short]
            values[name] = _parse(variable, hints[name], raw)
        return cls(**values)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The environment, completed by what a running embedded instance wrote into its data folder."""
        settings = cls.from_environ(os.environ if environ is None else environ)
        return settings.completed()

    def completed(self) -> Settings:
        """This, with the blanks filled from `DATA/instance.json` where an embedded instance has written one."""
        path = self.data / INSTANCE_FILE
        if not path.exists():
            return self
        known: dict[str, Any] = json.loads(path.read_text())
        if self.database_url:  # another database than the one that the file's owner owns
            known.pop("owner_database_url", None)
        blanks = {k: v for k, v in known.items() if k in _EMBEDDED_FIELDS and not getattr(self, k)}
        return replace(self, **blanks)

    # -- derived -------------------------------------------------------------------------------------------------

    @property
    def embeds_database(self) -> bool:
        """True when this instance starts its own PostgreSQL."""
        return not self.database_url

    @property
    def embeds_storage(self) -> bool:
        """True when this instance starts its own S3."""
        return not self.s3_endpoint

    @property
    def base_url(self) -> str:
        """Address that people use, without a final slash."""
        return (self.public_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    @property
    def secure(self) -> bool:
        """True when people reach the instance by https, so cookies are marked Secure."""
        return self.base_url.startswith("https://")

    @property
    def sqlalchemy_url(self) -> str:
        """The database address with the driver named, as SQLAlchemy wants it."""
        return _with_driver(self.database_url)

    @property
    def libpq_url(self) -> str:
        """The database address as libpq wants it."""
        return "postgresql://" + self.database_url.partition("://")[2]

    @property
    def owner_sqlalchemy_url(self) -> str:
        """The owner's database address with the driver named."""
        return _with_driver(self.owner_database_url or self.database_url)

    @property
    def owner_libpq_url(self) -> str:
        """The owner's database address as libpq wants it."""
        return "postgresql://" + (self.owner_database_url or self.database_url).partition("://")[2]

    def check_complete(self) -> None:
        """Stop with a sentence when something needed for serving is missing or weak.

        Raises:
            Misconfigured: says which setting and what to put there.
        """
        missing = [n for n in ("database_url", "s3_endpoint", "s3_access_key", "s3_secret_key") if not getattr(self, n)]
        if missing:
            raise Misconfigured(
                f"{', '.join(PREFIX + n.upper() for n in missing)} not set. Set them, or use `vignette up`, which "
                "starts its own database and storage."
            )
        if len(self.secret_key) < 32 or len(set(self.secret_key)) < 8:
            raise Misconfigured(
                f"{PREFIX}SECRET_KEY is missing or weak. Put at least 32 random characters there, for example the "
                'output of: python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
            )


_EMBEDDED_FIELDS = ("database_url", "owner_database_url", "s3_endpoint", "s3_access_key", "s3_secret_key", "secret_key")


def _with_driver(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url


def _parse(variable: str, kind: Any, raw: str) -> Any:
    if kind is int:
        try:
            return int(raw)
        except ValueError:
            raise Misconfigured(f"{variable} must be a whole number, not {raw!r}.") from None
    if kind is Path:
        return Path(raw)
    return raw.strip()


def new_secret() -> str:
    """A secret fit for SECRET_KEY and embedded passwords."""
    return secrets.token_urlsafe(36)
