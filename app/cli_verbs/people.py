"""`vignette user add`, `vignette token`, `vignette explain-access`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from app.cli_verbs.kit import as_id, finish, server_data, verb

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.db.people import Person

ROLES = ("viewer", "facilitator", "admin", "custodian")


def _person(session: Session, email: str) -> Person:
    from app.domain import people
    from app.errors import Invalid

    person = people.by_email(session, email)
    if person is None:
        raise Invalid(f"There is nobody with the address {email}. Add them with: vignette user add")
    return person


@verb("user", "add")
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What they may do there.")
@click.option("--area", default="", help="Where: an area's code or name (NEY), or all.")
@click.option("--organisation", default="", help="Where they work, by name; without --area the role holds there.")
@click.option("--name", default="", help="Their name as pages show it.")
@click.option("--password-stdin", is_flag=True, help="Read their password from standard input, up to the line's end.")
def user_add(email: str, role: str, area: str, organisation: str, name: str, password_stdin: bool, json_: bool) -> None:
    """Add a person with a role, or give a further role to somebody known.

    Without a password a link is printed with which they choose one; it works once, for three days.
    """
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    with server_data() as (core, session):
        from app.access import SYSTEM
        from app.db.people import Role
        from app.domain import people, places
        from app.errors import Invalid

        if not area and not organisation:
            raise Invalid("Say where the role holds: --area CODE (or all), or --organisation NAME.")
        home = places.find_place(session, organisation) if organisation else None
        if home is not None and home.organisation_id is None:
            raise Invalid(f"There is no organisation called {organisation!r}.")
        place = places.find_place(session, area) if area or home is None else home
        person = people.add(session, SYSTEM, email=email, name=name, role=Role(role), place=place, password=password)
        if home is not None:
            people.set_organisation(session, SYSTEM, person, home.organisation_id)
        link = ""
        if person.password_hash is None:
            secret = people.password_link(session, SYSTEM, person)
            link = f"{core.settings.base_url}/set-password/{secret}"
        result = {"id": str(person.id), "email": person.email, "link": link or None}
    sentence = f"{email} is now {role} of {area or organisation}."
    if link:
        sentence += f" They choose a password here (the link works once, for three days): {link}"
    finish(result, sentence, json_)


@verb("token")
@click.argument("email")
@click.option("--scope", "scopes", multiple=True, required=True, help="read, upload, publish or all; may be repeated.")
@click.option("--name", default="command line", help="What the person's account page calls it.")
def token(email: str, scopes: tuple[str, ...], name: str, json_: bool) -> None:
    """Make an API token that acts as a person, for 90 days. It is shown this once."""
    with server_data() as (_, session):
        from app.access import SYSTEM
        from app.domain import sign_in

        secret = sign_in.make_token(session, SYSTEM, _person(session, email), name, scopes)
    finish({"token": secret}, secret, json_)


@verb("tokens", "list")
@click.argument("email")
def tokens_list(email: str, json_: bool) -> None:
    """List the API tokens of a person that work."""
    with server_data() as (_, session):
        from app.domain import tokens

        working = tokens.working(session, _person(session, email).id)
        found = [
            {
                "id": str(one.id),
                "name": one.name,
                "scopes": one.scopes,
                "expires_at": one.expires_at.isoformat(),
                "last_used_at": one.last_used_at.isoformat() if one.last_used_at else None,
            }
            for one in working
        ]
        lines = [
            f"{one.id}  {one.name} ({', '.join(one.scopes)}), until {one.expires_at.isoformat()}" for one in working
        ]
    finish({"tokens": found}, "\n".join(lines) or f"{email} has no tokens.", json_)


@verb("tokens", "revoke")
@click.argument("email")
@click.argument("token_id", metavar="ID")
def tokens_revoke(email: str, token_id: str, json_: bool) -> None:
    """Stop an API token of a person at once; `tokens list` names its ID."""
    with server_data() as (_, session):
        from app.access import SYSTEM
        from app.domain import tokens
        from app.errors import Invalid, NotFound

        try:
            tokens.revoke(session, SYSTEM, _person(session, email).id, as_id(token_id, "token"))
        except NotFound:
            raise Invalid(f"{email} has no token {token_id}.") from None
    finish({"id": token_id, "revoked": True}, "The token no longer works.", json_)


@verb("user", "reset-factors")
@click.argument("email")
def reset_factors(email: str, json_: bool) -> None:
    """Remove the second factors and recovery codes of somebody who lost them, and sign them out everywhere."""
    with server_data() as (_, session):
        from app.access import SYSTEM
        from app.domain import second_factors

        person = _person(session, email)
        second_factors.reset(session, SYSTEM, person)
    sentence = f"{email} has no second factor any more. Admins and custodians set a new one up when they sign in."
    finish({"email": email, "reset": True}, sentence, json_)


@verb("explain-access")
@click.argument("email")
@click.argument("thing", metavar="RECORDING")
@click.option("--case", "of_case", is_flag=True, help="The id is of a case: say whether they may see that.")
def explain_access(email: str, thing: str, of_case: bool, json_: bool) -> None:
    """Say whether a person may watch a recording (or see a case), by which rules, and what is missing if not."""
    with server_data() as (_, session):
        from app.access import SYSTEM, Action
        from app.domain import explaining, looks
        from app.errors import Invalid, NotFound

        kind, action = ("case", Action.CASE_VIEW) if of_case else ("recording", Action.RECORDING_VIEW)
        try:
            person = _person(session, email)
            found = explaining.answer(session, person, action, as_id(thing, kind))
            looks.why(session, SYSTEM, person, kind, as_id(thing, kind))
        except NotFound:
            raise Invalid(f"There is no {kind} {thing}.") from None
    result = {
        "allowed": found.allowed,
        "sentences": found.sentences,
        "missing": found.missing,
        "rules": [{"rule": v.rule, "sentence": v.sentence, "role": v.role, "holds": v.holds} for v in found.verdicts],
    }
    missing = ["For its audience to include them:", *(f"- {words}" for words in found.missing)] if found.missing else []
    finish(result, "\n".join([*found.sentences, *missing]), json_)
