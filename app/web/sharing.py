"""What the pages about sharing have in common: the form for one more audience, and grants as pages show them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from wtforms import RadioField, SelectField, StringField
from wtforms.validators import Length

from app.access import Actor
from app.db import db
from app.db.grants import Grant, GrantRight
from app.domain import grants, people
from app.errors import Invalid
from app.web.forms import Day, Form, text_field

RIGHTS = {
    GrantRight.WATCH.value: "Watch",
    GrantRight.DOWNLOAD.value: "Download, if they may watch it",
}


class GrantForm(Form):
    """One more audience."""

    to = SelectField("Share with", choices=[], validate_choice=False)
    email = StringField(
        "Or with one person, by email address",
        [Length(max=320)],
        description="Somebody who has an account in the places where you are a facilitator or admin.",
        filters=[lambda value: value.strip() if value else ""],
    )
    right = RadioField("What they may do", choices=[], default=GrantRight.WATCH.value, validate_choice=False)
    starts = Day("First day (optional)", description="Leave empty to begin now.")
    until = Day("Last day", description="The whole of this day counts. Leave empty for no end, except for downloads.")
    reason = text_field(
        "Why",
        most=grants.MOST_REASON,
        hint="Needed for downloads, and for places beyond your own, whose admin decides. Those who keep the records see it.",
    )

    def fill(self, actor: Actor) -> None:
        """Offer the audiences of which the actor may know."""
        self.right.choices = list(RIGHTS.items())
        self.to.choices = [("", "Choose a place or group"), *grants.choices(db.session(), actor)]

    def give(self, actor: Actor, thing: grants.Thing) -> Grant | None:
        """Share as the form says; None where it has faults, which are then beside its fields."""
        return self.attempt(lambda: self._give(actor, thing))

    def _give(self, actor: Actor, thing: grants.Thing) -> Grant:
        session = db.session()
        if bool(self.to.data) == bool(self.email.data):
            sentence = "Choose a place or group, or enter one email address"
            raise Invalid(sentence, fields={"to": sentence})
        if self.right.data not in RIGHTS:
            sentence = "Choose what they may do"
            raise Invalid(sentence, fields={"right": sentence})
        field = "email" if self.email.data else "to"
        audience = _named(field, lambda: self._audience(actor))
        return grants.give(
            session, actor, thing, audience, right=GrantRight(self.right.data), from_day=self.starts.data,
            until_day=self.until.data, reason=self.reason.data or "",
        )  # fmt: skip

    def _audience(self, actor: Actor) -> grants.Audience:
        if self.email.data:
            people.check_email(self.email.data)
        return grants.find_audience(db.session(), actor, self.to.data or f"user:{self.email.data}")


def _named(field: str, find: Callable[[], grants.Audience]) -> grants.Audience:
    try:
        return find()
    except Invalid as error:
        raise Invalid(str(error), fields={field: str(error)}) from None


class UntilForm(Form):
    """Another last day."""

    until = Day("New last day", description="The whole of this day counts. Leave empty for no end.")


def row(grant: Grant, now: datetime) -> dict[str, Any]:
    """A grant as `components/grants.html` draws it."""
    first, last = grants.when(grant, now)
    name = grant.audience_name
    return {
        "id": grant.id,
        "audience": name[:1].upper() + name[1:],
        "download": grant.right is GrantRight.DOWNLOAD,
        "status": grants.status(grant, now),
        "first": first,
        "last": last,
        "reason": grant.reason,
        "answer": grant.answer,
        "revoked_at": grant.revoked_at,
        "refused_at": grant.refused_at,
        "again": grant.ends_at is None or grant.ends_at > now,
    }


def lists(thing: grants.Thing, now: datetime) -> dict[str, list[dict[str, Any]]]:
    """The grants on a thing itself: in force or to come, waiting for approval, and ended."""
    session = db.session()
    return {
        "grants": [row(grant, now) for grant in grants.current(session, thing)],
        "waiting": [row(grant, now) for grant in grants.waiting(session, thing)],
        "ended": [row(grant, now) for grant in grants.ended(session, thing)],
    }


def said(grant: Grant, now: datetime, *, published: bool = True) -> str:
    """What is told after sharing."""
    name = grant.audience_name
    if grants.status(grant, now) == "waiting":
        return f"An admin has been asked to approve sharing with {name}. Until then nobody there sees it."
    if grant.right is GrantRight.DOWNLOAD:
        return f"From now on {name} may download what they may watch."
    return f"Shared with {name}." if published else f"Will be shared with {name} once published."
