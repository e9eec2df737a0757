"""One world for all modules here: built once, asked many times, and left as it was by each test."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.core import build_core
from app.db import db
from app.settings import Settings
from app.storage.s3 import Storage
from app.web import create_app
from tests.matrix.checker import Checker
from tests.matrix.world import build
from tests.support.services import Services
from tests.watching import film

_numbers = itertools.count()


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[film.Part]:
    """A short film with all that is made of one."""
    return film.make(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="session")
def world_settings(
    services: Services, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings over a database of the matrix' own."""
    name = f"matrix_{os.getpid()}_{next(_numbers)}"
    url = services.create_database(name, template=template_database)
    yield replace(services.settings, database_url=url, data=tmp_path_factory.mktemp("data"), log_level="ERROR")
    services.drop_database(name)


@pytest.fixture(scope="session")
def world_session(world_settings: Settings) -> Iterator[Session]:
    """A session beside the application's own, tied to this database: one that asks the current application for its
    database would end up in another world, when a second one stands in the same process."""
    core = build_core(world_settings)
    with core.app.app_context():
        engine = db.engine
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture(scope="session")
def checker(
    world_settings: Settings, world_session: Session, storage: Storage, parts: list[film.Part]
) -> Iterator[Checker]:
    """The application over the built world, with everybody's browser."""
    setting = build(world_session, storage, parts)
    app = create_app(world_settings)
    # Thousands of requests in one process: looking through all that stands already, again and again, is a tenth of the
    # time of the matrix.
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    yield Checker(app, world_session, setting)
    gc.set_threshold(*before)
    gc.unfreeze()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="module", autouse=True)
def _left_as_found(checker: Checker) -> Iterator[None]:
    """A module that leaves the shared world altered fails itself, and not whichever runs next."""
    before = _world_of(checker)
    yield
    assert _world_of(checker) == before, "this module left the shared world altered"


def _world_of(checker: Checker) -> dict[str, Any]:
    """All rows of the world, in no order, and of the time of publishing only whether there is one."""
    checker.look()
    found = vars(checker.reference.facts).copy()
    del found["now"]
    for recording in found["recordings"].values():
        recording["published_at"] = recording["published_at"] is not None
    checker.look()
    return {name: sorted(map(repr, rows)) if isinstance(rows, list) else rows for name, rows in found.items()}
