"""Fixtures over the real PostgreSQL and the real S3, migrated by the real migrations; all other network is refused."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy.orm import Session

from app.captions import models
from app.core import Core, build_core
from app.db import db
from app.domain import vocabulary
from app.errors import Unavailable
from app.settings import Settings
from app.storage.s3 import Storage
from tests.support.browser import chromium_path, launch
from tests.support.figures import tell_matrix
from tests.support.services import Services, start_services

_numbers = itertools.count()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Figures that belong to the result."""
    tell_matrix(terminalreporter)


@pytest.fixture(scope="session", autouse=True)
def _only_loopback() -> Iterator[None]:
    """Refuse every connection that would leave this machine."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if not (host.startswith("127.") or host in ("localhost", "::1")):
                raise ConnectionRefusedError(f"tests may not reach {host}")
        return real(self, address)

    socket.socket.connect = connect  # type: ignore[method-assign]
    os.environ["HF_HUB_OFFLINE"] = "1"
    yield
    socket.socket.connect = real  # type: ignore[method-assign]


class _CompiledTemplates(BytecodeCache):
    """Templates compiled once for all tests. Each test has an application of its own, and compiling the pages it visits
    was four fifths of the time of a test of pages. Jinja compares the source, so a changed template is compiled anew."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if (code := self._known.get(bucket.key)) is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._known[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def _compiled_templates() -> Iterator[None]:
    """Every application made in this process shares the compiled templates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {**Flask.jinja_options, "bytecode_cache": _CompiledTemplates()})
        yield


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """PostgreSQL and SeaweedFS, once for all tests."""
    running = start_services(tmp_path_factory.mktemp("services"))
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def template_database(services: Services) -> str:
    """Name of a database that is migrated and seeded: each test's own database is a copy of it."""
    url = services.create_database("template_vignette")
    core = build_core(replace(services.settings, database_url=url, owner_database_url=services.owner_url(url)))
    with core.app.app_context():
        flask_migrate.upgrade()
    with core.session() as session:
        vocabulary.seed(session)
    core.storage.ensure_bucket()
    with core.app.app_context():
        db.engine.dispose()
    return "template_vignette"


@pytest.fixture(scope="session")
def storage(services: Services, template_database: str) -> Storage:
    """The real bucket. Keys are by random id, so tests do not meet."""
    return Storage(services.settings)


@pytest.fixture
def settings(services: Services, template_database: str, tmp_path: Any) -> Iterator[Settings]:
    """Complete settings over a database of the test's own: the application's role, and the one that owns it."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    url = services.create_database(name, template=template_database)
    owner = services.owner_url(url)
    yield replace(services.settings, database_url=url, owner_database_url=owner, data=tmp_path / "data")
    services.drop_database(name)


@pytest.fixture
def core(settings: Settings) -> Iterator[Core]:
    """The core over the test's own database."""
    made = build_core(settings)
    yield made
    with made.app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def session(core: Core) -> Iterator[Session]:
    """A session over the test's own database; commit what other connections must see."""
    with core.app.app_context():
        yield db.session()
        db.session.rollback()
        db.session.remove()


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The web application over the test's own database."""
    from app.web import create_app

    made = create_app(settings)
    made.config["TESTING"] = True
    yield made
    with made.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="session")
def weights() -> Path:
    """The real speech model, fetched where it is not here yet, so that a fresh checkout skips nothing."""
    try:
        return models.fetch("base", models.default_cache(), lambda *_: None)
    except Unavailable as error:
        pytest.skip(f"TESTS OF HEARING SKIPPED: {error}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all browser tests: a second Playwright in the same process does not start."""
    if chromium_path() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("There is no Chromium, and with CI=true browser tests must not be skipped.")
        pytest.skip("BROWSER TESTS SKIPPED: there is no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()
