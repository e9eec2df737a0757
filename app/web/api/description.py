"""Where the API describes itself."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify

from app.web import guard
from app.web.openapi import PREFIX, current_document, describe

bp = Blueprint("api_description", __name__, url_prefix=PREFIX)


@bp.get("/openapi.json")
@guard.public("it names no data, and clients read it before they have a token")
@describe("This description", responses={200: {"type": "object"}}, tags=("about",))
def openapi() -> Any:
    """OpenAPI 3.1 of all routes under /api/v1."""
    return jsonify(current_document())
