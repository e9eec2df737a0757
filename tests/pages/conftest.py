"""One Chromium, one filled world behind a real socket, and a signed-in context for each role."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import update

from app import clock
from app.core import build_core
from app.db import db
from app.db.sign_in import WebSession
from app.domain import sign_in
from app.storage.s3 import Storage
from app.web import create_app
from tests.pages.table import VISITOR
from tests.pages.world import Filled, build
from tests.support.browser import serving
from tests.support.services import Services
from tests.watching import film

#: A provider that nobody goes to: what pages look like with one.
PROVIDERS = """[{"key": "hospital", "name": "Northmoor Hospital", "issuer": "https://login.example",
 "client_id": "vignette", "client_secret": "of tests only"}]"""


@dataclass
class Site:
    """The application at an address, and browsers that are signed in."""

    app: Flask
    address: str
    filled: Filled
    chromium: Browser
    contexts: dict[str, BrowserContext] = field(default_factory=dict)

    def page(self, role: str) -> Page:
        """A new tab of somebody with this role."""
        if role not in self.contexts:
            context = self.chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
            context.set_default_timeout(20_000)
            if role != VISITOR:
                with self.app.app_context():
                    _, token = sign_in.open_session(
                        db.session(), self.filled.people[role].id, "Chromium", timedelta(hours=1), proved=True
                    )
                    db.session.commit()
                name = self.app.session_interface.cookie  # type: ignore[attr-defined]
                context.add_cookies([{"name": name, "value": token, "url": self.address}])
            self.contexts[role] = context
        with self.app.app_context():
            # On a slow machine the tests of pages take longer than a proof of who one is counts.
            db.session.execute(update(WebSession).values(second_factor_at=clock.now()))
            db.session.commit()
        return self.contexts[role].new_page()

    def path(self, template: str) -> str:
        """An address with its words filled in."""
        return template.format_map(self.filled.ids)


@pytest.fixture(scope="session")
def site(
    services: Services,
    template_database: str,
    storage: Storage,
    chromium: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """The filled site. Tests of it change nothing."""
    name = f"pages_{os.getpid()}"
    url = services.create_database(name, template=template_database)
    settings = replace(
        services.settings,
        database_url=url,
        data=tmp_path_factory.mktemp("data"),
        log_level="ERROR",
        delivery="proxy",
        oidc_providers=PROVIDERS,
        smtp_url="smtp://127.0.0.1:9",
        mail_from="vignette@example.org",
    )
    core = build_core(settings)
    with core.app.app_context():
        filled = build(db.session(), storage, film.make(tmp_path_factory.mktemp("film")), settings.secret_key)
        for person in filled.people.values():
            db.session.refresh(person)
        db.session.expunge_all()
        db.session.remove()
        db.engine.dispose()
    app = create_app(settings)
    with serving(app) as address:
        made = Site(app, address, filled, chromium)
        yield made
        for context in made.contexts.values():
            context.close()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    services.drop_database(name)
