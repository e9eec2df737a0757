"""The application with a provider that a test may make misbehave."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import RSAKey
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.core import Core, build_core
from app.db import db
from app.db.audit import AuditEvent
from app.db.people import Person
from app.db.places import Organisation
from app.db.sign_in import OneTimeLink, SignInAttempt
from app.domain.provider_client import Client
from app.settings import Settings
from app.web import create_app
from tests.openid.provider import CLIENT_ID, CLIENT_SECRET, Misbehaving, running
from tests.support.services import Services
from tests.support.world import Browser

_numbers = itertools.count()
MakeApp = Callable[..., Flask]


@pytest.fixture(scope="module")
def settings(
    services: Services, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """One database for all tests of a module; what they made goes after each, but for the audit, which nobody empties."""
    name = f"openid_{os.getpid()}_{next(_numbers)}"
    url = services.create_database(name, template=template_database)
    yield replace(services.settings, database_url=url, data=tmp_path_factory.mktemp("data"))
    services.drop_database(name)


@pytest.fixture(scope="module")
def core(settings: Settings) -> Iterator[Core]:
    """The core over the module's database."""
    made = build_core(settings)
    yield made
    with made.app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(autouse=True)
def mark(session: Session) -> Iterator[int]:
    """The last audit event before the test; afterwards nobody and nothing is left."""
    yield session.scalar(select(func.max(AuditEvent.id))) or 0
    session.rollback()
    for table in (SignInAttempt, OneTimeLink, Person, Organisation):
        session.execute(delete(table))
    session.commit()


@pytest.fixture(scope="session")
def signing_key() -> RSAKey:
    """One key for all tests: making one takes a while."""
    return RSAKey.generate_key(2048, {"kid": "first"})


@pytest.fixture(scope="module")
def serving_provider(signing_key: RSAKey) -> Iterator[Misbehaving]:
    """The provider's server."""
    with running(Misbehaving(key=signing_key)) as state:
        yield state


@pytest.fixture
def provider(serving_provider: Misbehaving, signing_key: RSAKey) -> Misbehaving:
    """The provider, honest so far."""
    for name, value in vars(Misbehaving(issuer=serving_provider.issuer, key=signing_key)).items():
        setattr(serving_provider, name, value)
    return serving_provider


def entry(issuer: str, **values: Any) -> dict[str, Any]:
    """One provider as the setting names it."""
    return {
        "key": "hospital", "name": "Northmoor Hospital", "issuer": issuer,
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **values,
    }  # fmt: skip


@pytest.fixture(scope="module")
def make_app(settings: Settings) -> Iterator[MakeApp]:
    """Applications over the module's database, with the providers that a test names."""
    made: list[Flask] = []

    def make(*entries: dict[str, Any]) -> Flask:
        app = create_app(replace(settings, oidc_providers=json.dumps(entries)))
        app.config["TESTING"] = True
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture(scope="module")
def app_with_provider(make_app: MakeApp, serving_provider: Misbehaving) -> Flask:
    """The application with one provider and no rules."""
    return make_app(entry(serving_provider.issuer))


@pytest.fixture
def hospital(app_with_provider: Flask, provider: Misbehaving) -> Flask:
    """The same, knowing nothing of the provider yet."""
    clients = app_with_provider.extensions["vignette-openid"]
    clients["hospital"] = Client(clients["hospital"].provider, clients["hospital"].redirect_uri)
    return app_with_provider


@pytest.fixture
def browser(hospital: Flask) -> Browser:
    """A visitor's browser."""
    return Browser(hospital)
