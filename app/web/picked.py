"""Rows ticked in a list: the ids that a form names, several of one name."""

from __future__ import annotations

import uuid

from flask import request

from app.errors import NotFound

MOST = 200


def ids(name: str) -> list[uuid.UUID]:
    """The ids of the ticked rows.

    Raises:
        NotFound: one is no id, or there are more than a page has.
    """
    values = request.form.getlist(name)
    if len(values) > MOST:
        raise NotFound
    try:
        return [uuid.UUID(value) for value in values]
    except ValueError:
        raise NotFound from None
