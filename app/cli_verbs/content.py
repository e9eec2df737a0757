"""`vignette case add`, `vignette grant`, `vignette publish`."""

from __future__ import annotations

from datetime import date

import click

from app.cli_verbs.kit import finish, recording_of, server_data, verb


def _day(text: str, option: str) -> date | None:
    from app.errors import Invalid

    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid(f"{option} must be a date like 2027-03-31, not {text!r}.") from None


@verb("case", "add")
@click.argument("title")
@click.option("--theme", "themes", multiple=True, required=True, help="A theme by name or code; may be repeated.")
@click.option("--summary", default="", help="What happened, anonymised.")
@click.option("--origin", default="", help="Where the case comes from, by name or code.")
@click.option("--area", default="all", help="Who keeps it: an area's code or name, an organisation's name, or all.")
@click.option("--profession", "professions", multiple=True, help="By name or code; may be repeated.")
@click.option("--content-notice", default="", help="What people should know before they watch.")
@click.option("--review-on", default="", help="When to look whether it is still right, like 2027-03-31.")
def case_add(
    title: str,
    themes: tuple[str, ...],
    summary: str,
    origin: str,
    area: str,
    professions: tuple[str, ...],
    content_notice: str,
    review_on: str,
    json_: bool,
) -> None:
    """Add a case."""
    day = _day(review_on, "--review-on")
    with server_data() as (_, session):
        from app.access import SYSTEM
        from app.db.vocabulary import TermKind
        from app.domain import cases, places, vocabulary

        content = cases.Content(
            title=title,
            summary=summary,
            content_notice=content_notice,
            origin=vocabulary.find_terms(session, TermKind.ORIGIN, [origin])[0] if origin else None,
            themes=vocabulary.find_terms(session, TermKind.THEME, list(themes)),
            professions=vocabulary.find_terms(session, TermKind.PROFESSION, list(professions)),
            review_on=day,
            place=places.find_place(session, area),
        )
        case_id = cases.create(session, SYSTEM, content).id
    finish({"id": str(case_id)}, f"The case has the id {case_id}.", json_)


@verb("grant")
@click.argument("recording")
@click.option(
    "--to", required=True,
    help="region:CODE, country:CODE, locality:CODE, organisation:ID, group:ID or user:EMAIL.",
)  # fmt: skip
@click.option("--until", default="", help="The last day, all of which counts, like 2027-03-31.")
@click.option("--reason", default="", help="Why, for those who keep the records.")
def grant(recording: str, to: str, until: str, reason: str, json_: bool) -> None:
    """Share a recording with an audience; people can watch it once it is published."""
    day = _day(until, "--until")
    with server_data() as (_, session):
        from app.access import SYSTEM
        from app.domain import grants
        from app.errors import Invalid

        row = recording_of(session, recording)
        try:
            audience = grants.find_audience(session, SYSTEM, to)
        except Invalid as error:
            unknown = f"There is nothing called {to!r} to share with."
            raise Invalid(unknown if str(error) == grants.NOT_YOURS else str(error)) from None
        given = grants.give(session, SYSTEM, row, audience, until_day=day, reason=reason)
        result = {
            "id": str(given.id),
            "recording": str(row.id),
            "audience": given.audience_name,
            "until": given.ends_at.isoformat() if given.ends_at is not None else None,
            "published": row.published_at is not None,
        }
    finish(result, f"Shared with {result['audience']}{f' until the end of {until}' if until else ''}.", json_)


@verb("publish")
@click.argument("recording")
def publish(recording: str, json_: bool) -> None:
    """Open a recording to the audience that it is shared with. Says so when viewers get no captions yet."""
    with server_data() as (core, session):
        from app.access import SYSTEM
        from app.domain import caption_reviews, grants

        row = recording_of(session, recording)
        uncaptioned = caption_reviews.why_not_captioned(
            session, row, unchecked_shown=core.settings.captions_unreviewed == "show"
        )
        grants.publish(session, SYSTEM, row, without_captions=True)
        result = {"recording": str(row.id), "state": row.state.value, "published": True, "captions": not uncaptioned}
    told = f" {uncaptioned} Somebody has to check them." if uncaptioned else ""
    finish(result, f"The recording is published.{told}", json_)
