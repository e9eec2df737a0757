"""Grants over the API, on a recording or on a case alike: how they look, and giving, extending and ending them.

The routes are in `recordings` and `case_grants`, which ask the policy; nothing here does.
"""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from flask import Response, jsonify, request

from app import clock
from app.db import db
from app.db.grants import Grant, GrantRight
from app.db.recordings import Recording
from app.domain import grants
from app.errors import Invalid, NotFound
from app.web import guard
from app.web.bodies import Body
from app.web.openapi import BOOLEAN, DAY, MOMENT, STRING, UUID, array, component, nullable, one_of, thing

RIGHT = one_of(*(right.value for right in GrantRight))
GRANT = component(
    "Grant",
    thing(
        {
            "id": UUID,
            "audience": STRING,
            "from": MOMENT,
            "until": nullable(MOMENT),
            "reason": STRING,
            "revoked": BOOLEAN,
            "right": RIGHT,
            "status": one_of("in force", "to come", "waiting", "refused", "revoked", "over"),
            "needs_approval": BOOLEAN,
            "answer": STRING,
            "by_case": BOOLEAN,
        },
        note="`needs_approval`: it is for an area beyond those of whoever gave it, and takes the yes of an admin of that "
        "area. Until then its status is `waiting`; `answer` is what they said. `by_case`: it is on a case, for all of its "
        "recordings, and is changed and ended there.",
    ),
)
GRANTS = component("Grants", thing({"items": array(GRANT)}))
NEW_GRANT = component(
    "NewGrant",
    thing(
        {"to": STRING, "from": DAY, "until": DAY, "reason": STRING, "right": RIGHT},
        optional=("from", "until", "reason", "right"),
        note=f"`to` is {grants.FORMS}. `until` is the last day that counts, in UK time. A `right` to download needs a "
        "last day and a reason, an area beyond one's own a reason.",
    ),
)
LAST_DAY = component(
    "LastDay",
    thing({"until": nullable(DAY)}, note="The last day that counts, in UK time; null is for good, and must be said."),
)
EXTENDED = {200: GRANT, 202: GRANT}
WITH_ENDED = {"ended": one_of("yes", "no")}


def shape(grant: Grant) -> dict[str, Any]:
    """A grant as the API shows it."""
    return {
        "id": str(grant.id),
        "audience": grant.audience_name,
        "from": grant.starts_at.isoformat(),
        "until": grant.ends_at.isoformat() if grant.ends_at is not None else None,
        "reason": grant.reason,
        "revoked": grant.revoked_at is not None,
        "right": grant.right.value,
        "status": grants.status(grant, clock.now()),
        "needs_approval": grant.needs_approval,
        "answer": grant.answer,
        "by_case": grant.case_id is not None,
    }


def index(on: grants.Thing) -> Any:
    """Grants in force, to come or waiting, for a recording those in force on its case too; with `ended=yes` the latest ten
    of its own that have ended or were refused.

    Raises:
        Invalid: `ended` is something else.
    """
    ended = request.args.get("ended", "no")
    if ended not in ("yes", "no"):
        raise Invalid("ended must be yes or no", fields={"ended": "ended must be yes or no"})
    session = db.session()
    found = [*grants.current(session, on), *grants.waiting(session, on)]
    if isinstance(on, Recording):
        found += grants.current(session, on.case)
    if ended == "yes":
        found += grants.ended(session, on)
    return jsonify({"items": [shape(grant) for grant in found]})


def give(on: grants.Thing) -> Any:
    """Share with the audience that the body names.

    Raises:
        Invalid: something in the body is not right.
    """
    body = Body()
    to = body.text("to", required=True, most=400)
    from_day, until_day, reason = body.day("from"), body.day("until"), body.text("reason", most=grants.MOST_REASON)
    right = body.text("right", most=20) or GrantRight.WATCH.value
    body.check()
    if right not in {known.value for known in GrantRight}:
        raise Invalid("There is no such right", fields={"right": "There is no such right"})
    session, who = db.session(), guard.actor()
    audience = grants.find_audience(session, who, to)
    given = grants.give(
        session, who, on, audience,
        right=GrantRight(right), from_day=from_day, until_day=until_day, reason=reason,
    )  # fmt: skip
    answer = jsonify(shape(given))
    answer.status_code = 201
    return answer


def last_day(body: Body) -> date | None:
    """The last day that the body names; None is for good. Leaving it out is a fault, so that nothing is shared for ever by
    oversight."""
    if body.values.get("until", "") == "":
        body.faults["until"] = "until must be a date like 2027-01-31, or null for no end"
        return None
    return body.day("until")


def _own(on: grants.Thing, grant_id: uuid.UUID, *, lock: bool = False) -> Grant:
    found = grants.find(db.session(), on, grant_id, lock=lock)
    if found is None:
        raise NotFound
    return found


def extend(on: grants.Thing, grant_id: uuid.UUID) -> Any:
    """Another last day for a grant on this very thing. Where a later day takes approval the answer is 202 with a new grant
    that waits, while the old one runs on.

    Raises:
        NotFound: it is none of this thing's own.
        Invalid: the day is not right.
        Conflict: the grant has ended.
    """
    body = Body()
    until_day = last_day(body)
    body.check()
    held = _own(on, grant_id, lock=True)
    found = grants.extend(db.session(), guard.actor(), held, until_day)
    answer = jsonify(shape(found))
    answer.status_code = 200 if found is held else 202
    return answer


def revoke(on: grants.Thing, grant_id: uuid.UUID) -> Any:
    """End a grant on this very thing, at once.

    Raises:
        NotFound: it is none of this thing's own.
    """
    grants.revoke(db.session(), guard.actor(), _own(on, grant_id))
    return Response(status=204)
