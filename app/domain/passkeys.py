"""Passkeys: the two ceremonies of Web Authentication (W3C, level 2), with the rules of the house.

The relying party is the address that people use (PUBLIC_URL), never what a request says. The authenticator must have
verified its user (PIN, finger or face), and a counter that does not rise is a copy: refused.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import webauthn
from sqlalchemy import select
from sqlalchemy.orm import Session
from webauthn.helpers import base64url_to_bytes, options_to_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app import clock
from app.access import Actor
from app.db.people import Person
from app.db.sign_in import FactorKind, SecondFactor
from app.domain import audit, back_off, second_factors
from app.errors import Conflict, Invalid

NAME = "Vignette"
REFUSED = "The passkey was not accepted. Try again, or use another way."
MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class RelyingParty:
    """Whom a passkey is for: the host's name, and the origin of the pages that may ask for it."""

    id: str
    origin: str


def relying_party(base_url: str) -> RelyingParty | None:
    """The relying party of an address; None where browsers offer no passkeys: they ask for a name, not a number, and
    for https (or this machine itself, as localhost)."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    here = host == "localhost" or host.endswith(".localhost")
    if not host or (parts.scheme != "https" and not (parts.scheme == "http" and here)):
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        usual = {"https": 443, "http": 80}[parts.scheme]
        port = "" if parts.port in (None, usual) else f":{parts.port}"
        return RelyingParty(host, f"{parts.scheme}://{host}{port}")
    return None


def creation_options(session: Session, party: RelyingParty, person: Person) -> tuple[dict[str, Any], bytes]:
    """What the browser needs to make a passkey, and the challenge to keep."""
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=NAME,
        user_id=person.id.bytes,
        user_name=person.email,
        user_display_name=person.display_name,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_descriptors(session, person),
    )
    return json.loads(options_to_json(options)), options.challenge


def request_options(session: Session, party: RelyingParty, person: Person) -> tuple[dict[str, Any], bytes]:
    """What the browser needs to show a passkey, and the challenge to keep."""
    options = webauthn.generate_authentication_options(
        rp_id=party.id,
        allow_credentials=_descriptors(session, person),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return json.loads(options_to_json(options)), options.challenge


def add(
    session: Session, actor: Actor, party: RelyingParty, person: Person, challenge: bytes, answer: str, name: str
) -> SecondFactor:
    """Keep a new passkey.

    Args:
        challenge: the one that was kept when the browser was asked; the caller has made sure that it works once.
        answer: the browser's PublicKeyCredential as JSON.
    Raises:
        Invalid: the answer does not hold: another challenge, origin or relying party, or no user verification.
        Conflict: there are enough factors, or this passkey is there already.
    """
    second_factors.check_room(session, person.id)
    try:
        made = webauthn.verify_registration_response(
            credential=_parsed(answer),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        audit.record(session, actor, "factor:refuse", "person", person.id, kind=FactorKind.PASSKEY.value)
        session.commit()
        raise Invalid(REFUSED, fields={"credential": REFUSED}) from error
    known = session.scalar(select(SecondFactor.id).where(SecondFactor.credential_id == made.credential_id))
    if known is not None:
        raise Conflict("This passkey is there already.")
    factor = SecondFactor(
        person_id=person.id,
        kind=FactorKind.PASSKEY,
        name=name.strip()[:100] or "Passkey",
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
    )
    session.add(factor)
    session.flush()
    second_factors.count_from_now(session, actor, factor)
    return factor


def prove(session: Session, actor: Actor, party: RelyingParty, person: Person, challenge: bytes, answer: str) -> None:
    """Check that one of the person's passkeys signed the challenge.

    Raises:
        Invalid: it did not, or its counter did not rise.
        TooManyRequests: after five failures in a row of this person.
    """
    now = clock.now()
    factors = second_factors.locked(session, person.id)
    keys = second_factors.back_off_keys(person.id)
    back_off.check(session, keys, now)
    try:
        parsed = _parsed(answer)
        used = base64url_to_bytes(str(parsed["rawId"]))
        factor = next(one for one in factors if one.credential_id is not None and one.credential_id == used)
        shown = webauthn.verify_authentication_response(
            credential=parsed,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=factor.public_key or b"",
            credential_current_sign_count=factor.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError, StopIteration) as error:
        second_factors.fail(session, actor, now)
        raise Invalid(REFUSED, fields={"credential": REFUSED}) from error
    factor.sign_count = shown.new_sign_count
    factor.last_used_at = now
    back_off.forget(session, keys)
    audit.record(session, actor, "factor:prove", "person", person.id, kind=FactorKind.PASSKEY.value)


def _parsed(answer: str) -> dict[str, Any]:
    """The browser's answer as an object.

    Raises:
        ValueError: it is none.
    """
    found = json.loads(answer) if len(answer) <= MOST_CHARACTERS else None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _descriptors(session: Session, person: Person) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(id=factor.credential_id)
        for factor in second_factors.of_person(session, person.id)
        if factor.credential_id is not None
    ]
