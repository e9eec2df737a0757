"""permission: identities, second factors, approvals, requests, mails, viewings, and the chain of the audit

Only adds, and loosens what was there, so that the code before it runs on.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)
NOW = sa.text("now()")

#: What the hash of an event is made of: every column, in an order and a form that do not hang on the session's settings.
CHAIN = """
CREATE FUNCTION audit_event_text(e audit_events) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT json_build_array(
    e.id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), e.person_id, e.actor_kind, e.action,
    e.subject_kind, e.subject_id, e.request_id, e.address, e.reason, e.detail
  )::text
$$;

CREATE FUNCTION audit_hash(before bytea, e audit_events) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(before || convert_to(audit_event_text(e), 'UTF8'))
$$;

-- Runs as its owner, so that the application's role needs no right to write the chain itself.
CREATE FUNCTION audit_append() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  last audit_chain;
BEGIN
  -- Held to the end of the commit, so that the chain is one line. The trigger is deferred: a transaction comes here when
  -- all its other locks are taken, so two never wait for each other.
  PERFORM pg_advisory_xact_lock(713706);
  SELECT * INTO last FROM audit_chain ORDER BY number DESC LIMIT 1;
  INSERT INTO audit_chain (number, event_id, hash) VALUES (
    coalesce(last.number, 0) + 1, NEW.id, audit_hash(coalesce(last.hash, ''::bytea), NEW)
  );
  RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER audit_append AFTER INSERT ON audit_events
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_append();

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit is only ever added to' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_chain
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- Events from before the chain join it in the order of their numbers.
DO $$
DECLARE
  e audit_events;
  n bigint := 0;
  h bytea := '';
BEGIN
  FOR e IN SELECT * FROM audit_events ORDER BY id LOOP
    n := n + 1;
    h := audit_hash(h, e);
    INSERT INTO audit_chain (number, event_id, hash) VALUES (n, e.id, h);
  END LOOP;
END $$;
"""


def _id() -> sa.Column[sa.Uuid]:
    return sa.Column("id", sa.Uuid(), nullable=False)


def _key(
    table: str, column: str, to: str, *, nullable: bool = False, ondelete: str = "CASCADE"
) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, sa.Uuid(), nullable=nullable),
        sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}_{to}"), ondelete=ondelete),
    ]


def _choice(*values: str, name: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def upgrade() -> None:
    _people()
    _sign_in()
    _grants()
    _mails_and_viewings()
    _audit()


def _people() -> None:
    op.add_column("people", sa.Column("left_at", AT))
    op.add_column("groups", sa.Column("ends_at", AT))
    op.add_column("organisations", sa.Column("closed_at", AT))
    op.add_column("role_assignments", sa.Column("confirmed_at", AT))
    op.add_column("role_assignments", sa.Column("confirmed_by_id", sa.Uuid()))
    op.create_foreign_key(
        op.f("fk_role_assignments_confirmed_by_id_people"),
        "role_assignments", "people", ["confirmed_by_id"], ["id"], ondelete="SET NULL",
    )  # fmt: skip
    op.add_column("role_assignments", sa.Column("source", sa.String(64), server_default="", nullable=False))
    op.create_table(
        "group_managers",
        *_key("group_managers", "group_id", "groups"),
        *_key("group_managers", "person_id", "people"),
        sa.Column("created_at", AT, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("group_id", "person_id", name=op.f("pk_group_managers")),
    )
    _index("group_managers", "person_id")


def _sign_in() -> None:
    op.add_column("web_sessions", sa.Column("address", sa.String(64), server_default="", nullable=False))
    op.add_column("web_sessions", sa.Column("method", sa.String(32), server_default="password", nullable=False))
    op.add_column("web_sessions", sa.Column("second_factor_at", AT))
    op.add_column("web_sessions", sa.Column("view_as_id", sa.Uuid()))
    op.add_column("web_sessions", sa.Column("view_as_until", AT))
    op.create_foreign_key(
        op.f("fk_web_sessions_view_as_id_people"),
        "web_sessions", "people", ["view_as_id"], ["id"], ondelete="CASCADE",
    )  # fmt: skip
    op.drop_constraint(op.f("ck_one_time_links_purpose"), "one_time_links", type_="check")
    op.create_check_constraint(
        op.f("ck_one_time_links_purpose"),
        "one_time_links",
        "purpose IN ('first-admin', 'set-password', 'embed', 'invitation', 'sign-in')",
    )
    op.create_table(
        "identities",
        *_key("identities", "person_id", "people"),
        sa.Column("issuer", sa.String(300), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("created_at", AT, server_default=NOW, nullable=False),
        sa.Column("last_used_at", AT),
        _id(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_identities_issuer_subject")),
    )
    _index("identities", "person_id")
    op.create_table(
        "sign_in_attempts",
        sa.Column("state_hash", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("expires_at", AT, nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_sign_in_attempts")),
    )
    _index("sign_in_attempts", "expires_at")
    op.create_table(
        "second_factors",
        *_key("second_factors", "person_id", "people"),
        sa.Column("kind", _choice("totp", "passkey", name="kind"), nullable=False),
        sa.Column("name", sa.String(100), server_default="", nullable=False),
        sa.Column("secret", sa.LargeBinary()),
        sa.Column("last_step", sa.BigInteger()),
        sa.Column("credential_id", sa.LargeBinary()),
        sa.Column("public_key", sa.LargeBinary()),
        sa.Column("sign_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", AT, server_default=NOW, nullable=False),
        sa.Column("confirmed_at", AT),
        sa.Column("last_used_at", AT),
        _id(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_factors")),
        sa.UniqueConstraint("credential_id", name=op.f("uq_second_factors_credential_id")),
    )
    _index("second_factors", "person_id")
    op.create_table(
        "recovery_codes",
        *_key("recovery_codes", "person_id", "people"),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("created_at", AT, server_default=NOW, nullable=False),
        sa.Column("used_at", AT),
        _id(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_recovery_codes_code_hash")),
    )
    _index("recovery_codes", "person_id")


def _grants() -> None:
    op.alter_column("grants", "recording_id", nullable=True)
    op.add_column("grants", sa.Column("case_id", sa.Uuid()))
    op.create_foreign_key(op.f("fk_grants_case_id_cases"), "grants", "cases", ["case_id"], ["id"], ondelete="CASCADE")
    _index("grants", "case_id")
    op.add_column("grants", sa.Column("right", sa.String(32), server_default="watch", nullable=False))
    op.create_check_constraint(op.f("ck_grants_right"), "grants", "\"right\" IN ('watch', 'download')")
    op.add_column("grants", sa.Column("needs_approval", sa.Boolean(), server_default="false", nullable=False))
    for column in ("approved_at", "refused_at", "reminded_at"):
        op.add_column("grants", sa.Column(column, AT))
    op.add_column("grants", sa.Column("answer", sa.Text(), server_default="", nullable=False))
    op.add_column("grants", sa.Column("approved_by_id", sa.Uuid()))
    op.create_foreign_key(
        op.f("fk_grants_approved_by_id_people"), "grants", "people", ["approved_by_id"], ["id"], ondelete="SET NULL"
    )
    op.create_check_constraint(op.f("ck_grants_one_thing"), "grants", "num_nonnulls(recording_id, case_id) = 1")
    op.create_check_constraint(
        op.f("ck_grants_download_is_bounded"),
        "grants",
        "\"right\" <> 'download' OR (ends_at IS NOT NULL AND reason <> '')",
    )
    op.create_table(
        "access_codes",
        *_key("access_codes", "recording_id", "recordings"),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("created_at", AT, server_default=NOW, nullable=False),
        *_key("access_codes", "created_by_id", "people", nullable=True, ondelete="SET NULL"),
        sa.Column("expires_at", AT, nullable=False),
        sa.Column("revoked_at", AT),
        _id(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_codes")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_access_codes_code_hash")),
    )
    _index("access_codes", "recording_id")
    op.create_table(
        "access_requests",
        *_key("access_requests", "recording_id", "recordings"),
        *_key("access_requests", "person_id", "people"),
        *_key("access_requests", "code_id", "access_codes", nullable=True, ondelete="SET NULL"),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", AT, server_default=NOW, nullable=False),
        sa.Column("outcome", _choice("granted", "refused", "withdrawn", name="outcome")),
        sa.Column("decided_at", AT),
        *_key("access_requests", "decided_by_id", "people", nullable=True, ondelete="SET NULL"),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.Column("told_at", AT),
        *_key("access_requests", "grant_id", "grants", nullable=True, ondelete="SET NULL"),
        _id(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_requests")),
        sa.CheckConstraint(
            "(outcome IS NULL) = (decided_at IS NULL)", name=op.f("ck_access_requests_decided_with_outcome")
        ),
    )
    _index("access_requests", "person_id")
    op.create_index(
        "uq_access_requests_open", "access_requests", ["recording_id", "person_id"],
        unique=True, postgresql_where=sa.text("outcome IS NULL"),
    )  # fmt: skip


def _mails_and_viewings() -> None:
    op.create_table(
        "mails",
        *_key("mails", "person_id", "people", nullable=True),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("created_at", AT, server_default=NOW, nullable=False),
        sa.Column("not_after", AT, nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", AT, server_default=NOW, nullable=False),
        sa.Column("sent_at", AT),
        sa.Column("failed_at", AT),
        _id(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
    )
    _index("mails", "person_id")
    _index("mails", "created_at")
    op.create_table(
        "viewings",
        *_key("viewings", "recording_id", "recordings"),
        *_key("viewings", "person_id", "people"),
        sa.Column("actor_kind", sa.String(32), nullable=False),
        sa.Column("started_at", AT, server_default=NOW, nullable=False),
        sa.Column("last_at", AT, server_default=NOW, nullable=False),
        sa.Column("seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("ended_at", AT),
        _id(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_viewings")),
    )
    _index("viewings", "person_id")
    _index("viewings", "last_at")
    _index("viewings", "recording_id", "started_at")


def _audit() -> None:
    op.add_column("audit_events", sa.Column("address", sa.String(64), server_default="", nullable=False))
    op.add_column("audit_events", sa.Column("reason", sa.String(1000), server_default="", nullable=False))
    op.drop_constraint(op.f("fk_audit_events_person_id_people"), "audit_events", type_="foreignkey")
    op.create_table(
        "audit_chain",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["audit_events.id"], name=op.f("fk_audit_chain_event_id_audit_events")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_chain")),
        sa.UniqueConstraint("event_id", name=op.f("uq_audit_chain_event_id")),
    )
    op.execute(CHAIN)


def downgrade() -> None:
    """What only the new tables and columns hold is lost; rows that the old tables cannot hold go first."""
    op.execute("DROP TRIGGER audit_append ON audit_events; DROP TRIGGER audit_refuse ON audit_events")
    op.drop_table("audit_chain")
    op.execute(
        "DROP FUNCTION audit_append; DROP FUNCTION audit_refuse; DROP FUNCTION audit_hash; DROP FUNCTION audit_event_text"
    )
    op.execute("UPDATE audit_events SET person_id = NULL WHERE person_id NOT IN (SELECT id FROM people)")
    op.create_foreign_key(
        op.f("fk_audit_events_person_id_people"),
        "audit_events", "people", ["person_id"], ["id"], ondelete="SET NULL",
    )  # fmt: skip
    _drop_columns("audit_events", "address", "reason")
    for table in ("viewings", "mails", "access_requests", "access_codes"):
        op.drop_table(table)
    op.execute("DELETE FROM grants WHERE recording_id IS NULL OR \"right\" <> 'watch'")
    for check in ("one_thing", "download_is_bounded", "right"):
        op.drop_constraint(op.f(f"ck_grants_{check}"), "grants", type_="check")
    _drop_columns(
        "grants", "case_id", "right", "needs_approval", "approved_at", "refused_at", "reminded_at", "approved_by_id",
        "answer",
    )  # fmt: skip
    op.alter_column("grants", "recording_id", nullable=False)
    for table in ("recovery_codes", "second_factors", "sign_in_attempts", "identities"):
        op.drop_table(table)
    op.execute("DELETE FROM one_time_links WHERE purpose IN ('invitation', 'sign-in')")
    op.drop_constraint(op.f("ck_one_time_links_purpose"), "one_time_links", type_="check")
    op.create_check_constraint(
        op.f("ck_one_time_links_purpose"), "one_time_links", "purpose IN ('first-admin', 'set-password', 'embed')"
    )
    _drop_columns("web_sessions", "address", "method", "second_factor_at", "view_as_id", "view_as_until")
    op.drop_table("group_managers")
    _drop_columns("role_assignments", "confirmed_at", "confirmed_by_id", "source")
    _drop_columns("groups", "ends_at")
    _drop_columns("organisations", "closed_at")
    _drop_columns("people", "left_at")


def _drop_columns(table: str, *columns: str) -> None:
    for column in columns:
        op.drop_column(table, column)
