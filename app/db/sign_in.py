"""What signing in needs: sessions, tokens, one-time links, back-off, and answers kept for repeated requests.

Secrets are kept only as SHA-256: whoever reads the database can sign in as nobody.
"""

from __future__ import annotations

import enum
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.base import Base, WithId, choice
from app.db.people import Person


class WebSession(WithId, Base):
    """A browser session; the cookie holds a random token, this row all the rest."""

    __tablename__ = "web_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    embed_material_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("materials.id", ondelete="CASCADE"))
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    user_agent: Mapped[str] = mapped_column(String(300), default="", server_default="")
    #: the network address at sign-in
    address: Mapped[str] = mapped_column(String(64), default="", server_default="")
    #: how they signed in: password, link, or the key of an OpenID provider
    method: Mapped[str] = mapped_column(String(32), default="password", server_default="password")
    #: when a second factor was shown in this session; providers that vouch for one count too
    second_factor_at: Mapped[datetime | None]
    #: an admin looks at the pages as this person would see them, read-only
    view_as_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    view_as_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ApiToken(WithId, Base):
    """A bearer token that acts as a person, narrowed to its scopes."""

    __tablename__ = "api_tokens"

    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    person: Mapped[Person] = relationship()


class LinkPurpose(enum.StrEnum):
    """What a one-time link is for."""

    FIRST_ADMIN = "first-admin"
    SET_PASSWORD = "set-password"  # noqa: S105 - a purpose, not a password
    EMBED = "embed"
    INVITATION = "invitation"
    SIGN_IN = "sign-in"


class OneTimeLink(WithId, Base):
    """A link that works once and not for long."""

    __tablename__ = "one_time_links"

    purpose: Mapped[LinkPurpose] = mapped_column(choice(LinkPurpose, "purpose"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    material_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("materials.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Identity(WithId, Base):
    """An account at an OpenID provider. People are known by issuer and subject, never by the address that it names."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    issuer: Mapped[str] = mapped_column(String(300))
    subject: Mapped[str] = mapped_column(String(300))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]

    person: Mapped[Person] = relationship()


class SignInAttempt(Base):
    """That somebody went to an OpenID provider and has not come back. It is taken once: a callback that is replayed
    finds nothing, even with a cookie that is replayed too."""

    __tablename__ = "sign_in_attempts"

    state_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    provider: Mapped[str] = mapped_column(String(32))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class FactorKind(enum.StrEnum):
    """What proves a person besides a password."""

    TOTP = "totp"
    PASSKEY = "passkey"


class SecondFactor(WithId, Base):
    """An authenticator app (`secret`, encrypted) or a passkey (`credential_id`, `public_key`, `sign_count`).

    It counts from `confirmed_at` on. `last_step` is the time step of the last code taken, so that none works twice.
    """

    __tablename__ = "second_factors"

    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    kind: Mapped[FactorKind] = mapped_column(choice(FactorKind, "kind"))
    name: Mapped[str] = mapped_column(String(100), default="", server_default="")
    secret: Mapped[bytes | None]
    last_step: Mapped[int | None] = mapped_column(BigInteger)
    credential_id: Mapped[bytes | None] = mapped_column(unique=True)
    public_key: Mapped[bytes | None]
    sign_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    confirmed_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class RecoveryCode(WithId, Base):
    """A code for the day on which the second factor is lost; it works once."""

    __tablename__ = "recovery_codes"

    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime | None]


class LoginFailure(Base):
    """How often signing in failed of late, by a hash of e-mail or address; shared by all web processes."""

    __tablename__ = "login_failures"

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime]


class IdempotencyKey(Base):
    """The answer given to a request that named an Idempotency-Key, so that repeating it repeats the answer only."""

    __tablename__ = "idempotency_keys"

    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    body: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
