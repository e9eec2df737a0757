"""The core that web, workers and command line share: database, storage and job queue, without a single route."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate
from sqlalchemy.orm import Session

from app.db import db
from app.settings import Settings
from app.storage.s3 import Storage

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Core:
    """What `build_core` makes. `app` carries the database binding; web adds its routes to it."""

    settings: Settings
    app: Flask
    storage: Storage

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls back if it raises."""
        with self.app.app_context():
            try:
                yield db.session()
                db.session.commit()
            except BaseException:
                db.session.rollback()
                raise
            finally:
                db.session.remove()


def build_core(settings: Settings, *, idle_seconds: int = 0) -> Core:
    """Database, storage and queue for complete settings; opens no connection yet.

    Args:
        idle_seconds: the database ends a session that stands still inside a transaction for this long, so that a frozen
            machine does not keep its locks; 0 means never.

    Raises:
        Misconfigured: something needed is missing or weak.
    """
    settings.check_complete()
    app = Flask("vignette", template_folder=str(ROOT / "templates"), static_folder=None)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.sqlalchemy_url,
        SQLALCHEMY_ENGINE_OPTIONS={
            "pool_size": 10,
            "max_overflow": 20,
            "pool_pre_ping": True,
            "connect_args": {
                "connect_timeout": 5,
                "application_name": "vignette",
                # whoever waits longer for somebody else's change is told so (503) and asks again
                "options": f"-c timezone=UTC -c lock_timeout=20s -c idle_in_transaction_session_timeout={idle_seconds}s",
            },
        },
    )
    db.init_app(app)
    Migrate(app, db, directory=str(ROOT / "migrations"), compare_type=True)
    core = Core(settings, app, Storage(settings))
    app.extensions["vignette"] = core
    return core
