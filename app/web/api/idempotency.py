"""Idempotency-Key: a POST that is sent again with the same key gets the same answer, and nothing happens twice.

The key is written in the request's own transaction, so of two requests at once the second waits for the first to end:
if that succeeded its answer is repeated, if it was rolled back the second does the work. A request that failed leaves
no key, because it left nothing at all.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app import clock
from app.db import db
from app.db.sign_in import IdempotencyKey
from app.errors import Conflict, Invalid
from app.web import guard

bp = Blueprint("api_idempotency", __name__)

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(days=1)
MAX_LENGTH = 200


def _request_hash() -> str:
    who = guard.actor()
    parts = [request.method, request.full_path, sorted(who.actions) if who.actions is not None else None]
    digest = hashlib.sha256(json.dumps(parts).encode())
    digest.update(request.get_data(cache=True))
    return digest.hexdigest()


@bp.before_app_request
def begin() -> Any:
    """Repeat an earlier answer, or take note of the key."""
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST" or not request.path.startswith("/api/"):
        return None
    if not 0 < len(key) <= MAX_LENGTH or not key.isprintable():
        raise Invalid(f"{HEADER} must be from 1 to {MAX_LENGTH} printable characters.")
    person_id = guard.actor().person_id
    if person_id is None:
        return None  # the view will say that nobody is signed in
    session, now = db.session(), clock.now()
    session.execute(
        delete(IdempotencyKey).where(IdempotencyKey.person_id == person_id, IdempotencyKey.created_at < now - KEPT_FOR)
    )
    wanted = _request_hash()
    noted = session.scalar(
        insert(IdempotencyKey)
        .values(person_id=person_id, key=key, request_hash=wanted, created_at=now)
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.key)
    )
    if noted is not None:
        g.idempotency_key = key
        return None
    earlier = session.execute(
        select(IdempotencyKey.request_hash, IdempotencyKey.status, IdempotencyKey.body).where(
            IdempotencyKey.person_id == person_id, IdempotencyKey.key == key
        )
    ).one()
    if earlier.request_hash != wanted:
        raise Conflict(f"This {HEADER} was used for another request.", code="idempotency-key-reused")
    answer = jsonify(earlier.body["content"]) if earlier.body is not None else Response()
    answer.status_code = earlier.status
    if earlier.body is not None and earlier.body["location"]:
        answer.headers["Location"] = earlier.body["location"]
    answer.headers["Idempotent-Replayed"] = "true"
    return answer


@bp.after_app_request
def finish(response: Response) -> Response:
    """Keep the answer with its key; runs before the transaction ends."""
    key = g.pop("idempotency_key", None)
    if key is not None and response.status_code < 400:
        row = db.session.get_one(IdempotencyKey, (guard.actor().person_id, key))
        row.status = response.status_code
        if response.is_json:
            row.body = {"content": response.get_json(), "location": response.headers.get("Location", "")}
    return response
