"""Settings: what the environment may say, and what stops the start."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Misconfigured
from app.settings import INSTANCE_FILE, PREFIX, Settings, new_secret

COMPLETE: dict[str, Any] = {
    "database_url": "postgresql://me:word@db.example/vignette",
    "owner_database_url": "postgresql://owner:word@db.example/vignette",
    "s3_endpoint": "https://s3.example",
    "s3_access_key": "key",
    "s3_secret_key": "secret",
    "secret_key": "0123456789abcdefghijklmnopqrstuvwxyz",
}


def test_an_empty_environment_is_the_embedded_default() -> None:
    settings = Settings.from_environ({"HOME": "/nowhere", "PATH": "/bin"})
    assert settings == Settings()
    assert settings.embeds_database
    assert settings.embeds_storage


@given(st.text(st.characters(categories=["Lu"], max_codepoint=127), min_size=1))
def test_an_unknown_name_is_refused(name: str) -> None:
    if name.lower() in {f.name for f in fields(Settings)}:
        return
    with pytest.raises(Misconfigured, match=f"{PREFIX}{name} is not a setting"):
        Settings.from_environ({PREFIX + name: "x"})


def test_port_and_data_are_also_read_bare_and_the_full_name_wins() -> None:
    assert Settings.from_environ({"PORT": "8001", "DATA": "/srv"}) == Settings(port=8001, data=Path("/srv"))
    assert Settings.from_environ({"PORT": "8001", "VIGNETTE_PORT": "8002"}).port == 8002


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "http", "PORT must be a whole number"),
        ("PORT", "0", "PORT must be from 1 to 65535"),
        ("VIGNETTE_PORT", "65536", "PORT must be from 1 to 65535"),
        ("VIGNETTE_LINK_SECONDS", "61", "LINK_SECONDS must be from 1 to 60"),
        ("VIGNETTE_LINK_SECONDS", "0", "LINK_SECONDS must be from 1 to 60"),
        ("VIGNETTE_DELIVERY", "torrent", "VIGNETTE_DELIVERY must be one of auto, redirect, proxy"),
        ("VIGNETTE_CAPTION_ENGINE", "whisper", "must be one of faster-whisper, openai-whisper, none"),
        ("VIGNETTE_BRAND", "NHS", "must be one of plain, nhs, organisation"),
    ],
)
def test_a_wrong_value_is_a_sentence(name: str, value: str, sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        Settings.from_environ({name: value})


@pytest.mark.parametrize("missing", ["database_url", "s3_endpoint", "s3_access_key", "s3_secret_key"])
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(Misconfigured, match=f"{PREFIX}{missing.upper()} not set"):
        Settings(**{**COMPLETE, missing: ""}).check_complete()


@pytest.mark.parametrize("weak", ["", "short", "a" * 64, "abcabc" * 10])
def test_a_weak_secret_key_stops_the_start(weak: str) -> None:
    with pytest.raises(Misconfigured, match="SECRET_KEY is missing or weak"):
        Settings(**{**COMPLETE, "secret_key": weak}).check_complete()


def test_made_secrets_are_strong_and_never_the_same() -> None:
    assert new_secret() != new_secret()
    Settings(**{**COMPLETE, "secret_key": new_secret()}).check_complete()


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings(**COMPLETE))
    for name in ("database_url", "s3_access_key", "s3_secret_key", "secret_key"):
        assert f"{name}=" not in shown


def test_the_instance_file_fills_blanks_only(tmp_path: Path) -> None:
    (tmp_path / INSTANCE_FILE).write_text(json.dumps({**COMPLETE, "port": 9, "owner": "1 2", "delivery": "proxy"}))
    filled = Settings.load({"DATA": str(tmp_path)})
    assert filled == Settings(data=tmp_path, **COMPLETE)
    mine = "postgresql://mine@elsewhere/x"
    elsewhere = Settings.load({"DATA": str(tmp_path), "VIGNETTE_DATABASE_URL": mine})
    assert (elsewhere.database_url, elsewhere.owner_database_url) == (mine, ""), "that owner owns another database"


def test_addresses_name_their_driver() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        settings = Settings(database_url=f"{scheme}://me@db/x")
        assert settings.sqlalchemy_url == "postgresql+psycopg://me@db/x"
        assert settings.libpq_url == "postgresql://me@db/x"
        assert settings.owner_sqlalchemy_url == settings.sqlalchemy_url
        assert settings.owner_libpq_url == settings.libpq_url
        apart = Settings(database_url=f"{scheme}://me@db/x", owner_database_url=f"{scheme}://owner@db/x")
        assert apart.owner_sqlalchemy_url == "postgresql+psycopg://owner@db/x"
        assert (apart.owner_libpq_url, apart.libpq_url) == ("postgresql://owner@db/x", "postgresql://me@db/x")


def test_cookies_are_secure_only_where_people_come_by_https() -> None:
    assert Settings(public_url="https://vignette.example/").secure
    assert Settings(public_url="https://vignette.example/").base_url == "https://vignette.example"
    assert not Settings(port=8001).secure
    assert Settings(port=8001).base_url == "http://127.0.0.1:8001"
