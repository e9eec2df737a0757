"""Where Alembic meets the application: its tables, migrated as the role that owns them; Procrastinate's are left to it."""

from __future__ import annotations

from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import NullPool, create_engine

from app.core import Core
from app.db import Base
from app.embedded import roles


def include_object(_item: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    """Leave what belongs to the job queue out of comparisons."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


def run() -> None:
    """Migrate in one transaction, one migrator at a time, and give the application's role its rights in the same."""
    core: Core = current_app.extensions["vignette"]
    settings = core.settings
    options = current_app.config["SQLALCHEMY_ENGINE_OPTIONS"]["connect_args"]
    engine = create_engine(settings.owner_sqlalchemy_url, poolclass=NullPool, connect_args=options)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_object=include_object,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(713705)")
            context.run_migrations()
            if settings.owner_database_url and (role := roles.named_in(settings.libpq_url)):
                roles.give(connection.connection.driver_connection, role)


run()
