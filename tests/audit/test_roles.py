"""What the application's database role may and may not do."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.orm import Session

from app.access import SYSTEM
from app.core import Core
from app.db import Base
from app.domain import audit
from app.embedded import roles
from app.settings import Settings


@pytest.mark.parametrize("table", ["audit_events", "audit_chain"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET {} = DEFAULT",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "ALTER TABLE {} ADD COLUMN more text",
        "DROP TRIGGER audit_refuse ON {}",
        "CREATE TRIGGER more BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
        "DROP TABLE {} CASCADE",
    ],
)
def test_the_application_cannot_change_the_audit(core: Core, settings: Settings, table: str, statement: str) -> None:
    column = "action" if table == "audit_events" else "hash"
    with core.session() as session:
        audit.record(session, SYSTEM, "demo:create", "instance")
    with psycopg.connect(settings.libpq_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.format(table, column))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO audit_chain VALUES (99, 1, '')",
        "DROP TRIGGER audit_append ON audit_events",
        "CREATE OR REPLACE FUNCTION audit_hash(before bytea, e audit_events) RETURNS bytea LANGUAGE sql AS $$SELECT ''$$",
        "ALTER FUNCTION audit_append() SECURITY INVOKER",
        "SET session_replication_role = replica",
        "SET ROLE vignette_owner",
        "CREATE TABLE more (word text)",
        "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE people ADD COLUMN more text",
        "TRUNCATE people",
        "UPDATE alembic_version SET version_num = '0001'",
    ],
)
def test_nor_the_chain_nor_any_table(core: Core, settings: Settings, statement: str) -> None:
    with core.session() as session:
        audit.record(session, SYSTEM, "demo:create", "instance")
    with psycopg.connect(settings.libpq_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_the_owner_meets_the_triggers(core: Core, settings: Settings) -> None:
    """Who owns the tables could remove the triggers; a slip does not."""
    with core.session() as session:
        audit.record(session, SYSTEM, "demo:create", "instance")
    for table in ("audit_events", "audit_chain"):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608
            refused = pytest.raises(psycopg.errors.InsufficientPrivilege, match="only ever added to")
            with psycopg.connect(settings.owner_libpq_url) as connection, refused:
                connection.execute(statement)


def test_rights_are_what_the_table_says(session: Session, settings: Settings) -> None:
    every = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    with psycopg.connect(settings.libpq_url) as connection:
        tables = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        assert {table.name for table in Base.metadata.sorted_tables} <= set(tables)
        for table in tables:
            held = {
                right
                for right in every
                if connection.execute("SELECT has_table_privilege(%s, %s)", [f"public.{table}", right]).fetchone()
                == (True,)
            }
            assert held == set(roles.rights(table)), table
        assert not roles.may_change_audit(connection)
    with psycopg.connect(settings.owner_libpq_url) as connection:
        assert roles.may_change_audit(connection)


def test_rights_given_twice_are_the_same(settings: Settings) -> None:
    with psycopg.connect(settings.owner_libpq_url) as connection:
        for _ in range(2):
            roles.give(connection, roles.named_in(settings.libpq_url))
    with psycopg.connect(settings.libpq_url) as connection:
        assert not roles.may_change_audit(connection)
        assert connection.execute("SELECT count(*) FROM people").fetchone() == (0,)
