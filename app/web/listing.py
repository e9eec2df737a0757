"""The guard's word for lists: open to whoever is signed in and not narrowed out of the action; the policy gives the rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from app.access import Action, policy
from app.errors import Forbidden, NotSignedIn
from app.web import guard


def of(action: Action) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Open to everybody signed in whose token or embed may do the action to something. The view must take its rows from
    `policy.visible(actor, action, now)`; somebody who may see nothing gets an empty list."""
    table = policy.POLICIES[action].table

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            who = guard.actor()
            if who.is_anonymous:
                raise NotSignedIn
            if who.actions is not None and action not in who.actions:
                raise Forbidden("This token's scopes do not cover this.")
            return view(*args, **kwargs)

        guarded._guard = guard.Declaration("rows", action, table)  # type: ignore[attr-defined]
        return guarded

    return decorate
