"""The two roles of the database: one that owns it, and the application's, which can add to the audit and not change it.

The owner makes and changes tables; only migrations, backups and restores connect as it. The application's role reads and
writes rows. What it may do to each table is data here, and is given anew after each migration, in its transaction.
A database that we did not start can have the same two roles; with one role only, that one may do everything.
"""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

#: What the application may do to a table that is not named below.
ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE")
#: Tables of which it may do less. The chain is written by a trigger that runs as the owner.
LESS: dict[str, tuple[str, ...]] = {
    "audit_events": ("SELECT", "INSERT"),
    "audit_chain": ("SELECT",),
    "alembic_version": ("SELECT",),
}
#: Functions that only triggers may run.
CLOSED = ("audit_append()", "audit_refuse()")

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_MAY_CHANGE_AUDIT = """
    SELECT bool_or(
      pg_has_role(current_user, c.relowner, 'MEMBER')
      OR has_table_privilege(current_user, c.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')
      OR (c.relname = 'audit_chain' AND has_table_privilege(current_user, c.oid, 'INSERT'))
    )
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relname IN ('audit_events', 'audit_chain')
"""


def rights(table: str) -> tuple[str, ...]:
    """What the application's role may do to a table."""
    return LESS.get(table, ROWS)


def give(connection: psycopg.Connection, role: str) -> None:
    """Give the application's role exactly its rights, in the connection's transaction. Nothing is done where the role
    owns what it works on.

    Args:
        connection: the owner's (or a superuser's), on the database.
    """
    if _owns_database(connection, role):
        return
    to = sql.Identifier(role)
    database = sql.Identifier(connection.info.dbname)
    statements = [
        sql.SQL("REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC, {}").format(database, to),
        sql.SQL("REVOKE ALL ON SCHEMA public FROM PUBLIC, {}").format(to),
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(to),
        sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, {}").format(to),
        sql.SQL("REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, {}").format(to),
        # The queue takes its numbers from sequences; identity columns, which ours are, would need no right.
        sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}").format(to),
    ]
    tables = [str(name) for (name,) in connection.execute(_TABLES)]
    statements += [
        sql.SQL("GRANT {} ON TABLE public.{} TO {}").format(
            sql.SQL(", ").join(map(sql.SQL, rights(table))), sql.Identifier(table), to
        )
        for table in tables
    ]
    for function in CLOSED:
        if connection.execute("SELECT to_regprocedure(%s)", [f"public.{function}"]).fetchone() != (None,):
            statements.append(sql.SQL("REVOKE ALL ON FUNCTION public.{} FROM PUBLIC, {}").format(sql.SQL(function), to))
    connection.execute(sql.SQL("; ").join(statements))


def may_change_audit(connection: psycopg.Connection) -> bool:
    """Whether the connection's role could change or remove audit events, or write the chain itself."""
    found = connection.execute(_MAY_CHANGE_AUDIT).fetchone()
    return found is not None and bool(found[0])


def make(connection: psycopg.Connection, role: str, password: str) -> None:
    """Make a role that can sign in, unless it is there."""
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
        )


def named_in(url: str) -> str:
    """The role that an address names; empty when it names none."""
    return str(conninfo_to_dict(url).get("user") or "")


def _owns_database(connection: psycopg.Connection, role: str) -> bool:
    query = "SELECT pg_has_role(%s, datdba, 'MEMBER') FROM pg_database WHERE datname = current_database()"
    return connection.execute(query, [role]).fetchone() == (True,)
