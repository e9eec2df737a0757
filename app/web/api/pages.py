"""What lists of the API have in common: how a request asks for a page."""

from __future__ import annotations

from flask import request

from app.domain import paging
from app.errors import Invalid
from app.web.openapi import STRING

MOST_PER_PAGE = 100
PAGING = {
    "after": STRING,
    "before": STRING,
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": paging.PAGE},
}


def page_size() -> int:
    """How many items the request asks for on a page.

    Raises:
        Invalid: not a number from 1 to 100.
    """
    text = request.args.get("limit", str(paging.PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_PER_PAGE:
        sentence = f"limit must be from 1 to {MOST_PER_PAGE}"
        raise Invalid(sentence, fields={"limit": sentence})
    return int(text)
