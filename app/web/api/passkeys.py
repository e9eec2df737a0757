"""What a page's script asks for before it talks to the browser about passkeys. Answers go back by ordinary forms."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from app.access import Action
from app.db import db
from app.db.people import Person
from app.domain import passkeys
from app.domain.passkeys import RelyingParty
from app.errors import Conflict
from app.web import ceremonies, guard, proofs
from app.web.openapi import PREFIX, describe

bp = Blueprint("api_passkeys", __name__, url_prefix=f"{PREFIX}/passkeys")
OPTIONS = {"type": "object", "description": "The JSON form of the options of Web Authentication, level 3"}


def _party() -> RelyingParty:
    party = ceremonies.party()
    if party is None:
        raise Conflict("Passkeys need an address with a name and https.")
    return party


def _me() -> Person:
    return db.session().get_one(Person, guard.actor().person_id)


@bp.post("/creation")
@guard.can(Action.FACTORS)
@describe("Begin to make a passkey, in the browser session that asks", responses={200: OPTIONS}, tags=("account",))
def creation() -> Response:
    """Options for `navigator.credentials.create`. A fresh proof is needed."""
    proofs.require_fresh()
    options, challenge = passkeys.creation_options(db.session(), _party(), _me())
    ceremonies.keep_challenge("add", challenge)
    return jsonify(options)


@bp.post("/request")
@guard.can(Action.PROVE)
@describe("Begin to show a passkey, in the browser session that asks", responses={200: OPTIONS}, tags=("account",))
def request_() -> Response:
    """Options for `navigator.credentials.get`."""
    options, challenge = passkeys.request_options(db.session(), _party(), _me())
    ceremonies.keep_challenge("prove", challenge)
    return jsonify(options)
