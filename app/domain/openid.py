"""What must hold of an answer from an OpenID provider: pure checks, each with the reason for which it refuses.

Follows OpenID Connect Core 1.0, section 3.1.3.7 (the ID token), RFC 8725 (which algorithms may sign) and RFC 9207 (who
answered). Nothing here asks the network or the database.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import errors as jose
from joserfc import jwt
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry, extract_compact

from app.domain.providers import Match, Provider, Rule, is_safe
from app.errors import VignetteError

#: Signed with a private key that only the provider has. Not `none`, and nothing that the client secret or a public key,
#: taken for a secret, could sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
#: Seconds by which clocks may differ.
LEEWAY = 60
MOST_SUBJECT = 255
MOST_VALUES = 1000
#: How providers write that something is so; Entra's xms_edov comes as a number.
YES = frozenset({"true", "1"})

AGAIN = "Signing in did not work. Go back to the sign-in page and try again."
ANSWER = "The answer of your organisation's sign-in was not acceptable. Try again, and tell your admin if it stays so."
#: Reason code to the sentence that people read. The codes are what the audit keeps.
SENTENCES: dict[str, str] = {
    "cancelled": "You did not finish signing in with your organisation. Go back to the sign-in page and try again.",
    "provider-error": "Your organisation's sign-in reported an error. Try again, or sign in another way.",
    "session-old": "To link an account, sign out and in again first, and link it within 15 minutes.",
    "provider-down": "Your organisation's sign-in does not answer at the moment. Sign in another way, or try again later.",
    "state": "This sign-in was started too long ago, in another browser, or used already. Start again from the sign-in page.",
    "no-code": AGAIN,
    "code": "Your organisation's sign-in did not accept the answer a second time. Start again from the sign-in page.",
    "no-email": "Your organisation did not tell us your email address. Ask your admin for an invitation.",
    "unverified-email": "Your organisation has not confirmed your email address. Ask them to confirm it, then try again.",
    "foreign-domain": "Accounts with this kind of email address cannot be used here. Use your organisation's account.",
    "not-linked": "This account cannot be used to sign in yet. Sign in another way and link it on your account page, or ask your admin for a link.",
    "linked-elsewhere": "This account cannot be linked. Ask your admin.",
    "not-yours": "You were signed out in the meantime. Sign in and try again.",
    "link-used": "The link has been used already or is too old. Ask your admin for a new one.",
    "suspended": "You cannot sign in with this account. Ask the admin of your organisation or region.",
    "at-once": AGAIN,
}


class Refused(VignetteError):
    """A sign-in through a provider that is not accepted. `code` is the reason and `person_id` whom it would have reached,
    both for the audit; `str()` is for whoever tried."""

    def __init__(self, code: str, person_id: uuid.UUID | None = None) -> None:
        super().__init__(SENTENCES.get(code, ANSWER), code=code)
        self.person_id = person_id


@dataclass(frozen=True)
class Metadata:
    """What a provider publishes about itself (OpenID Connect Discovery 1.0, section 3)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_auth: str = "client_secret_basic"  # noqa: S105 - the name of a method
    names_issuer: bool = False


def read_metadata(provider: Provider, document: Any) -> Metadata:
    """The parts of a discovery document that are needed.

    Raises:
        Refused: it is of another issuer, or an address in it is missing or not safe.
    """
    if not isinstance(document, Mapping) or document.get("issuer") != provider.issuer:
        raise Refused("discovery-issuer")
    found = {name: document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    userinfo = document.get("userinfo_endpoint") or ""
    if provider.userinfo:
        found["userinfo_endpoint"] = userinfo
    if not all(isinstance(url, str) and is_safe(url) for url in found.values()):
        raise Refused("discovery-address")
    methods = document.get("token_endpoint_auth_methods_supported")
    post = isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods
    return Metadata(
        **{name: str(url) for name, url in found.items()},
        token_auth="client_secret_post" if post else "client_secret_basic",
        names_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def check_issuer_named(provider: Provider, metadata: Metadata, named: str | None) -> None:
    """That the callback comes from the provider that was asked (RFC 9207).

    Raises:
        Refused: it names another issuer, or none although the provider promises to.
    """
    if (named is not None and named != provider.issuer) or (named is None and metadata.names_issuer):
        raise Refused("issuer")


def read_keys(document: Any) -> KeySet:
    """The keys of a JWKS document that can check signatures. Secret keys have no place in it and are left out.

    Raises:
        Refused: it is no key set, or has no key that can be used.
    """
    listed = document.get("keys") if isinstance(document, Mapping) else None
    usable = [
        key
        for key in (listed if isinstance(listed, list) else [])
        if isinstance(key, dict) and key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"
    ]
    try:
        if usable:
            return KeySet.import_key_set({"keys": usable})
    except (jose.JoseError, ValueError, KeyError, TypeError) as error:
        raise Refused("keys") from error
    raise Refused("keys")


def knows_key(keys: KeySet, token: str) -> bool:
    """Whether the key that the token names is among these; a provider that changed its keys names a new one."""
    try:
        kid = jwt_header(token).get("kid")
    except Refused:
        return True
    return kid is None or any(key.kid == kid for key in keys.keys)


def jwt_header(token: str) -> dict[str, Any]:
    """The header of a signed token, not checked yet.

    Raises:
        Refused: it is no signed token.
    """
    try:
        return dict(extract_compact(token.encode()).headers())
    except (jose.JoseError, ValueError) as error:
        raise Refused("malformed") from error


def read_id_token(
    provider: Provider, token: Any, keys: KeySet, *, nonce: str, now: datetime, access_token: str = ""
) -> dict[str, Any]:
    """The claims of an ID token that passed every check.

    Args:
        nonce: what was sent with the request that this token answers.
        access_token: what came with it; the token may name its hash.
    Raises:
        Refused: with the reason.
    """
    if not isinstance(token, str):
        raise Refused("no-id-token")
    algorithm = jwt_header(token).get("alg")
    if algorithm not in ALGORITHMS:
        raise Refused("algorithm")
    registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
    try:
        decoded = jwt.decode(token, keys, registry=registry)
    except jose.InvalidKeyIdError as error:
        raise Refused("unknown-key") from error
    except jose.InvalidPayloadError as error:
        raise Refused("malformed") from error
    except (jose.JoseError, ValueError, TypeError) as error:
        raise Refused("signature") from error
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        {
            "iss": {"essential": True, "value": provider.issuer},
            "aud": {"essential": True, "value": provider.client_id},
            "sub": {"essential": True},
            "nonce": {"essential": True},
        },
        {"nonce": nonce, "client_id": provider.client_id, "access_token": access_token},
    )
    try:
        claims.validate(now=int(now.timestamp()), leeway=LEEWAY)
    except jose.ExpiredTokenError as error:
        raise Refused("expired") from error
    except jose.ClaimError as error:
        raise Refused(_CLAIM_CODES.get(error.claim, "claim")) from error
    if not 0 < len(claims["sub"]) <= MOST_SUBJECT:
        raise Refused("subject")
    return dict(claims)


_CLAIM_CODES = {
    "iss": "issuer",
    "aud": "audience",
    "azp": "audience",
    "sub": "subject",
    "exp": "expired",
    "iat": "issued-in-future",
    "nbf": "not-yet-valid",
    "nonce": "nonce",
    "at_hash": "access-token",
}


def with_userinfo(claims: Mapping[str, Any], more: Any) -> dict[str, Any]:
    """The claims of the ID token, completed by those of the user-info answer; the token's own come first.

    Raises:
        Refused: the answer is about somebody else (OpenID Connect Core 1.0, section 5.3.2).
    """
    if not isinstance(more, Mapping) or more.get("sub") != claims["sub"]:
        raise Refused("userinfo")
    return {**more, **claims}


def values_at(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """The values of a claim as text: itself, or each of a list. `roles.org` looks into objects and lists of objects; a
    claim whose name has dots is found by its whole name first."""
    if path in claims:
        return _texts(claims[path])
    level: list[Any] = [claims]
    for name in path.split("."):
        level = [row[name] for row in level if isinstance(row, Mapping) and name in row]
        level = [one for value in level for one in (value if isinstance(value, list) else [value])][:MOST_VALUES]
    return frozenset().union(*(_texts(value) for value in level))


def _texts(value: Any) -> frozenset[str]:
    if isinstance(value, bool):
        return frozenset({"true" if value else "false"})
    if isinstance(value, str | int):
        return frozenset({str(value)})
    if isinstance(value, list):
        return frozenset().union(*(_texts(one) for one in value[:MOST_VALUES] if not isinstance(one, list)))
    return frozenset()


def matches(match: Match, claims: Mapping[str, Any]) -> bool:
    """Whether the claim has one of the values."""
    return not match.values.isdisjoint(values_at(claims, match.claim))


def fitting(provider: Provider, claims: Mapping[str, Any]) -> list[Rule]:
    """The provider's rules that fit these claims."""
    return [rule for rule in provider.rules if matches(rule.match, claims)]


def vouches_for_second_factor(provider: Provider, id_token: Mapping[str, Any]) -> bool:
    """Whether the provider says that a second factor was shown. Only the signed token counts."""
    return any(matches(match, id_token) for match in provider.second_factor)


def check_account(provider: Provider, claims: Mapping[str, Any], *, known: bool) -> str:
    """The e-mail address of an account, if the account may be used here; empty when a known one names none.

    Args:
        known: the account belongs to somebody already, or is about to.
    Raises:
        Refused: no address, not verified, or of a domain that is not allowed.
    """
    email = claims.get("email")
    if not isinstance(email, str) or not email.strip():
        if known and not provider.domains:
            return ""
        raise Refused("no-email")
    email = email.strip()
    if provider.require_verified_email:
        said = frozenset().union(*(values_at(claims, name) for name in provider.verified_by))
        if said.isdisjoint(YES):
            raise Refused("unverified-email")
    if provider.domains and email.rpartition("@")[2].lower() not in provider.domains:
        raise Refused("foreign-domain")
    return email
