"""One Chromium and one set of media for all tests here; a fresh application and page for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page

from tests.frontend.harness import make_app
from tests.frontend.media import make_media
from tests.support.browser import Reports, serving


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_media(tmp_path_factory.mktemp("media"))


@pytest.fixture
def app(media: Path) -> Flask:
    return make_app(folder=media)


@pytest.fixture
def base(app: Flask) -> Iterator[str]:
    with serving(app) as address:
        yield address


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(15_000)
    page = context.new_page()
    yield page
    context.close()


@pytest.fixture
def reports(page: Page) -> Reports:
    """Collects from the start; ask for it in every test that cares."""
    return Reports(page)
