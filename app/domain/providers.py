"""The OpenID providers that people may sign in with: a list in a file or in the setting itself, checked at the start.

A provider is data: who it is, what is asked of an account, and which claims place people. docs/sign-in.md shows lists for
the usual providers.
"""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.db.people import Role
from app.errors import Misconfigured

SETTING = "VIGNETTE_OIDC_PROVIDERS"
_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
#: What sessions are called that did not come from a provider.
TAKEN = frozenset({"password", "link", "passkey", "totp"})
#: Roles that a rule may give by itself.
PLAIN_ROLES = frozenset({Role.VIEWER, Role.FACILITATOR})


@dataclass(frozen=True)
class Match:
    """That a claim has a value. `claim` is a name, or a path with dots into objects and lists of objects."""

    claim: str
    values: frozenset[str]


@dataclass(frozen=True)
class Rule:
    """Who has the claim holds `role` over the organisation, which is named by its id or its name."""

    match: Match
    organisation: str
    role: Role


@dataclass(frozen=True)
class Provider:
    """One OpenID provider. `verified_by` are the claims any of which says that the e-mail address was checked; empty
    `domains` allow every domain; `second_factor` says which claims of the ID token vouch for one."""

    key: str
    name: str
    issuer: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    domains: frozenset[str] = frozenset()
    require_verified_email: bool = True
    verified_by: tuple[str, ...] = ("email_verified",)
    acr_values: str = ""
    userinfo: bool = False
    rules: tuple[Rule, ...] = ()
    second_factor: tuple[Match, ...] = ()

    def __repr__(self) -> str:
        return f"Provider({self.key!r})"


def is_loopback(url: str) -> bool:
    """Whether an address is of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_safe(url: str) -> bool:
    """Whether an address may be asked: https, or plain http on this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)))


def load(setting: str) -> dict[str, Provider]:
    """The providers of the setting by key, in the order of the list; empty when it is not set.

    Args:
        setting: JSON or TOML itself, or the path of a file with one of them (TOML when its name ends in .toml).
    Raises:
        Misconfigured: says which provider and what is wrong with it.
    """
    text = setting.strip()
    if not text:
        return {}
    rows = _rows(text)
    providers: dict[str, Provider] = {}
    for number, row in enumerate(rows, 1):
        provider = _provider(row, number)
        if provider.key in providers:
            raise Misconfigured(f"{SETTING}: two providers have the key {provider.key!r}. Give each its own.")
        if any(provider.issuer == other.issuer for other in providers.values()):
            raise Misconfigured(f"{SETTING}: two providers have the issuer {provider.issuer}. Name each once.")
        providers[provider.key] = provider
    return providers


def _rows(text: str) -> list[Any]:
    toml = False
    if "\n" not in text and not text.startswith(("[", "{")):
        path = Path(text)
        toml = path.suffix == ".toml"
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{SETTING} names {path}, which cannot be read: {type(error).__name__}.") from error
    else:
        toml = text.startswith("[[")
    try:
        data = tomllib.loads(text) if toml else json.loads(text)
    except ValueError as error:
        # The message of the parser may quote the line, and the line may hold a secret
        kind = "TOML" if toml else "JSON"
        raise Misconfigured(f"{SETTING} is not valid {kind}. Check it with a {kind} checker.") from error
    rows = data.get("provider") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise Misconfigured(f"{SETTING} must be a list of providers: [[provider]] tables in TOML, an array in JSON.")
    return rows


class _Reader:
    """Takes the values of one table out, with a sentence for each that is missing, unknown or of the wrong kind."""

    def __init__(self, row: Any, what: str) -> None:
        self.what = what
        if not isinstance(row, Mapping):
            raise self.wrong("it must be a table")
        self.row = dict(row)

    def wrong(self, why: str) -> Misconfigured:
        return Misconfigured(f"{SETTING}: {self.what}: {why}.")

    def text(self, name: str, default: str | None = None) -> str:
        value = self.row.pop(name, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise self.wrong(f"{name} must be text" + ("" if default is not None else " and is needed"))
        return value.strip()

    def flag(self, name: str, default: bool) -> bool:
        value = self.row.pop(name, default)
        if not isinstance(value, bool):
            raise self.wrong(f"{name} must be true or false")
        return value

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.row.pop(name, list(default))
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            raise self.wrong(f"{name} must be a list of texts")
        return tuple(one.strip() for one in value)

    def tables(self, name: str) -> list[Any]:
        value = self.row.pop(name, [])
        if not isinstance(value, list):
            raise self.wrong(f"{name} must be a list of tables")
        return value

    def finish(self) -> None:
        if self.row:
            raise self.wrong(f"there is no {', '.join(sorted(map(str, self.row)))} to set. See docs/sign-in.md")


def _provider(row: Any, number: int) -> Provider:
    reader = _Reader(row, f"provider {number}")
    key = reader.text("key")
    if not _KEY.fullmatch(key) or key in TAKEN:
        raise reader.wrong("key must be 1 to 32 of a-z, 0-9 and -, and not " + ", ".join(sorted(TAKEN)))
    reader.what = f"provider {key!r}"
    issuer = reader.text("issuer")
    if not is_safe(issuer):
        raise reader.wrong("issuer must begin with https:// (plain http only on this machine)")
    if "?" in issuer or "#" in issuer or "{" in issuer or len(issuer) > 300:
        raise reader.wrong("issuer must be the exact address that its tokens name, of one tenant, without ? # {")
    provider = Provider(
        key=key,
        name=reader.text("name"),
        issuer=issuer,
        client_id=reader.text("client_id"),
        client_secret=_secret(reader),
        scopes=reader.texts("scopes", Provider.scopes),
        domains=frozenset(domain.lower().lstrip("@") for domain in reader.texts("domains")),
        require_verified_email=reader.flag("require_verified_email", True),
        verified_by=reader.texts("verified_by", Provider.verified_by),
        acr_values=reader.text("acr_values", ""),
        userinfo=reader.flag("userinfo", False),
        rules=tuple(_rule(one, f"provider {key!r}, rule {n}") for n, one in enumerate(reader.tables("rules"), 1)),
        second_factor=tuple(
            _second_factor(one, f"provider {key!r}, second_factor {n}")
            for n, one in enumerate(reader.tables("second_factor"), 1)
        ),
    )
    reader.finish()
    if "openid" not in provider.scopes:
        raise reader.wrong("scopes must contain openid")
    for domain in provider.domains:
        if not _DOMAIN.fullmatch(domain):
            raise reader.wrong(f"domains must be like example.org, not {domain!r}")
    if provider.require_verified_email and not provider.verified_by:
        raise reader.wrong("verified_by must name a claim, or require_verified_email must be false")
    if not provider.require_verified_email and not provider.domains:
        raise reader.wrong(
            "with require_verified_email false, domains must list those whose addresses the provider alone gives out"
        )
    return provider


def _secret(reader: _Reader) -> str:
    """The client's secret, from the list or from a file of its own, as containers hand secrets over."""
    if "client_secret_file" not in reader.row:
        return reader.text("client_secret")
    path = Path(reader.text("client_secret_file"))
    if reader.row.pop("client_secret", ""):
        raise reader.wrong("set client_secret or client_secret_file, not both")
    try:
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise reader.wrong(f"client_secret_file cannot be read: {type(error).__name__}") from error
    if not secret:
        raise reader.wrong("client_secret_file is empty")
    return secret


def _match(reader: _Reader) -> Match:
    claim = reader.text("claim")
    values = frozenset(reader.texts("values")) if "values" in reader.row else frozenset({reader.text("value")})
    if not values:
        raise reader.wrong("values must not be empty")
    return Match(claim, values)


def _second_factor(row: Any, what: str) -> Match:
    reader = _Reader(row, what)
    match = _match(reader)
    reader.finish()
    return match


def _rule(row: Any, what: str) -> Rule:
    reader = _Reader(row, what)
    match = _match(reader)
    organisation = reader.text("organisation")
    word = reader.text("role", Role.VIEWER.value)
    appoints = reader.flag("may_appoint_admins", False)
    reader.finish()
    try:
        role = Role(word)
    except ValueError:
        raise reader.wrong(f"role must be one of {', '.join(role.value for role in Role)}") from None
    if role not in PLAIN_ROLES and not appoints:
        raise reader.wrong(f"it gives the role {role.value}. Say may_appoint_admins = true there if that is meant")
    return Rule(match, organisation, role)
