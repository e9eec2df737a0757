"""Materials inside other sites' pages.

Browsers keep a site's cookies out of frames on other sites, so a frame gets a session of its own: the viewer signs in
in a window of ours, allows the frame there, and that window hands the frame a code that works once. The session sees
this one material and its recordings, nothing else, and its cookie is partitioned by the site around it.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, make_response, render_template, request

from app import access, clock
from app.access import Action, policy
from app.db import db
from app.db.materials import Material
from app.db.sign_in import LinkPurpose
from app.domain import audit, materials, sign_in
from app.errors import Forbidden, NotFound
from app.web import guard
from app.web.sessions import DatabaseSessions
from app.web.views.materials import parts_of

bp = Blueprint("embed", __name__)
CODE_LIFE = timedelta(seconds=60)


@bp.get("/embed/materials/<uuid:material_id>")
@guard.public("a frame asks for sign-in first, with the same words for every address; then the policy decides")
def material(material_id: uuid.UUID) -> Any:
    """The material in a frame, or the invitation to sign in."""
    who = guard.actor()
    if who.is_anonymous:
        # the invitation holds nothing, so any page may frame it, and it is the same for an address that does not exist
        g.frame_ancestors = "*"
        return _framed(render_template("pages/embed/sign_in.html", material_id=material_id))
    found = policy.require(db.session(), who, Action.MATERIAL_VIEW, Material, material_id, clock.now())
    g.frame_ancestors = materials.frame_ancestors(found)
    parts = parts_of(found, embed=True)
    return _framed(render_template("pages/embed/material.html", material=found, parts=parts))


def _framed(page: str) -> Response:
    response = make_response(page)
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


@bp.route("/materials/<uuid:material_id>/allow-frame", methods=["GET", "POST"])
@guard.on(Action.MATERIAL_VIEW, Material)
def allow_frame(material: Material) -> Any:
    """In a window of ours: the signed-in viewer lets the frame that opened it show the material."""
    code = ""
    if guard.actor().kind != "person":
        raise Forbidden("Only somebody who is signed in can let a frame show this: a token must not outlive itself.")
    if request.method == "POST":
        code = sign_in.make_link(
            db.session(), LinkPurpose.EMBED, CODE_LIFE, person_id=guard.actor().person_id, material_id=material.id
        )
        audit.record(db.session(), guard.actor(), "embed:allow", "material", material.id)
    return render_template("pages/embed/allow.html", material=material, code=code)


@bp.post("/embed/materials/<uuid:material_id>/session")
@guard.public(
    "the code is the proof; it works once, for a minute",
    no_form_token="a frame on another site holds no cookie yet, and nobody can guess the code",
)
def start(material_id: uuid.UUID) -> Any:
    """Change a code into the frame's own session."""
    link = sign_in.use_link(db.session(), LinkPurpose.EMBED, str((request.get_json(silent=True) or {}).get("code", "")))
    if link.material_id != material_id or link.person_id is None:
        raise NotFound
    who = access.load(db.session(), link.person_id, clock.now())
    policy.require(db.session(), who, Action.MATERIAL_VIEW, Material, material_id, clock.now())
    interface = current_app.session_interface
    if not isinstance(interface, DatabaseSessions):
        raise TypeError("the app runs with another session interface")
    _, token = sign_in.open_session(
        db.session(), link.person_id, request.user_agent.string, interface.life, embed_material_id=material_id
    )
    response = jsonify({"state": "signed-in"})
    interface.start_embed(response, token)
    return response
