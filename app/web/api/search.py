"""Search over the API: places in recordings, titles before speech."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from flask import Blueprint, jsonify, request, url_for

from app.access import Action
from app.db import db
from app.domain import search
from app.errors import Invalid
from app.web import captions_shown, guard, listing
from app.web.openapi import (
    BOOLEAN,
    NUMBER,
    PREFIX,
    STRING,
    URI,
    UUID,
    array,
    component,
    describe,
    nullable,
    one_of,
    thing,
)

bp = Blueprint("api_search", __name__, url_prefix=f"{PREFIX}/search")

MOST_PER_PAGE = 100
HIT = component(
    "Hit",
    thing(
        {
            "recording": thing({"id": UUID, "title": STRING}),
            "kind": one_of("title", "speech"),
            "start": NUMBER,
            "snippet": STRING,
            "parts": array(thing({"text": STRING, "match": BOOLEAN})),
            "links": thing({"watch": URI}),
        },
        note="`start` is in seconds. `parts` are the snippet, taken apart where the words were found.",
    ),
)
HITS = component("Hits", thing({"hits": array(HIT), "next": nullable(URI)}))


def encode(cursor: search.Cursor) -> str:
    """A cursor as it stands in an address."""
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")


def decode(text: str) -> search.Cursor:
    """A cursor from an address.

    Raises:
        Invalid: it is none of ours.
    """
    try:
        part, rank, recording_id, version_id, position = json.loads(
            base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        )
        if part not in (0, 1) or abs(int(position)) >= 2**31:
            raise ValueError
        return int(part), float(rank), str(uuid.UUID(recording_id)), str(uuid.UUID(version_id)), int(position)
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise Invalid("This page of the list does not exist. Go back to its first page.") from None


@bp.get("")
@listing.of(Action.RECORDING_VIEW)
@describe(
    "Search titles and speech",
    query={"q": STRING, "after": STRING, "limit": {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE}},
    responses={200: HITS},
    tags=("watching",),
)
def find() -> Any:
    """Places where the words of `q` are, in recordings that the actor may view."""
    words = search.cleaned(request.args.get("q", ""))
    limit = request.args.get("limit", "25")
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MOST_PER_PAGE:
        raise Invalid(
            f"limit must be from 1 to {MOST_PER_PAGE}", fields={"limit": f"limit must be from 1 to {MOST_PER_PAGE}"}
        )
    if not words:
        raise Invalid("Say what to search for, as q", fields={"q": "Say what to search for, as q"})
    after = request.args.get("after")
    found, more = search.hits(
        db.session(),
        guard.actor(),
        words,
        captions_shown.shown(),
        after=decode(after) if after else None,
        size=int(limit),
    )
    return jsonify(
        {
            "hits": [
                {
                    "recording": {"id": str(hit.recording_id), "title": hit.title},
                    "kind": hit.kind,
                    "start": hit.start,
                    "snippet": hit.snippet,
                    "parts": [vars(piece) for piece in hit.pieces],
                    "links": {"watch": watch_from(hit)},
                }
                for hit in found
            ],
            "next": url_for("api_search.find", q=words, limit=limit, after=encode(more)) if more else None,
        }
    )


def watch_from(hit: search.Hit) -> str:
    """Address of the watch page at the second of a place."""
    seconds = int(hit.start)
    return url_for("watch.show", recording_id=hit.recording_id, t=seconds or None)
