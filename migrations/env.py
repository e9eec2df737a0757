"""Where Alembic meets the application: the core's own engine and tables; Procrastinate's tables are left to it."""

from __future__ import annotations

from typing import Any

from alembic import context
from flask import current_app

from app.db import Base


def include_object(_item: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    """Leave what belongs to the job queue out of comparisons."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


def run() -> None:
    """Migrate in one transaction, one migrator at a time."""
    engine = current_app.extensions["migrate"].db.engine
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


run()
