"""The `vignette` command.

Each verb is small and imports what it needs when it runs, so that `vignette --help` and short verbs start at once.
Every verb has `--json`: the last line of standard output is then one JSON object. What is wrong is told in a sentence
on standard error, with exit status 1.

`app.web` and `workers` are named by strings only: this module must not import them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import click

from app import cli_verbs
from app.errors import VignetteError
from app.settings import Settings

if TYPE_CHECKING:
    from app.core import Core

WEB_FACTORY = "app.web:create_app"
WORKER_MODULE = "workers"

as_json = click.option("--json", "json_", is_flag=True, help="Print one JSON object as the last line of output.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Vignette: share filmed role plays with those who may see them."""


def say(sentence: str) -> None:
    """Progress, on standard error, so that standard output is for results."""
    click.echo(sentence, err=True)


def finish(result: Mapping[str, Any], sentence: str, json_: bool) -> None:
    """Print the result of a verb: as a sentence for people, or as an object."""
    click.echo(json.dumps(result, default=str) if json_ else sentence)


class Verb(click.Command):
    """A command whose domain errors become a sentence and exit status 1."""

    def invoke(self, context: click.Context) -> Any:
        """Run the verb."""
        try:
            return super().invoke(context)
        except VignetteError as error:
            click.echo(str(error), err=True)
        except PermissionError as error:
            click.echo(f"Not allowed: {error.filename or error}. Start as the user who made the data folder.", err=True)
        raise click.exceptions.Exit(1)


def verb(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Register a verb of `vignette`, with `--json` passed as `json_`."""
    return lambda function: main.command(name, cls=Verb)(as_json(function))


# -- running the instance ------------------------------------------------------------------------------------------------


@verb("up")
def up(json_: bool) -> None:
    """Run everything in this terminal until Ctrl-C: database, storage, worker and web server.

    With --json standard output holds one line, the address and first-admin link, printed when people can come;
    progress and logs go to standard error.
    """
    from app.domain import providers
    from app.embedded.supervisor import Supervisor, programs

    def ready(address: str, link: str | None) -> None:
        if json_:
            click.echo(json.dumps({"url": address, "first_admin_link": link, "pid": os.getpid()}))
            return
        click.echo(f"\nVignette is ready: {address}")
        if link:
            click.echo(f"Make the first admin (this link works once, for 24 hours): {link}")
        click.echo("Stop with Ctrl-C.\n")

    settings = Settings.load()
    providers.load(settings.oidc_providers)  # a wrong list stops here, before anything has started
    Supervisor(
        settings,
        migrate=bring_up_to_date,
        link=open_to_people,
        ready=ready,
        say=lambda sentence: click.echo(sentence, err=json_),
        output=sys.stderr if json_ else sys.stdout,
        programs=programs(settings),
    ).run()


@verb("web")
def web(json_: bool) -> None:
    """Run the web server alone, for complete settings."""
    from app.domain import providers
    from app.embedded import webserver

    settings = Settings.load()
    settings.check_complete()
    providers.load(settings.oidc_providers)
    webserver.serve(settings, WEB_FACTORY)
    finish({"stopped": True}, "The web server has stopped.", json_)


@verb("worker")
@click.option("--queues", default="", help="Only these queues: encode, transcribe, light; with commas between.")
def worker(queues: str, json_: bool) -> NoReturn:
    """Run a worker alone, for complete settings."""
    Settings.load().check_complete()
    arguments = [*(["--queues", queues] if queues else []), *(["--json"] if json_ else [])]
    # The worker takes this process over: its number, and with it the signals that end it, stay the same.
    os.execv(sys.executable, [sys.executable, "-P", "-m", WORKER_MODULE, *arguments])  # noqa: S606


@verb("migrate")
def migrate(json_: bool) -> None:
    """Bring the database up to date."""
    from app.embedded.instance import running

    with running(Settings.load(), say) as settings:
        bring_up_to_date(settings)
        open_storage(settings)
    finish({"migrated": True}, "The database is up to date.", json_)


@verb("doctor")
def doctor(json_: bool) -> None:
    """Say what is missing or wrong, in sentences; exit status 1 if anything that is needed is."""
    from app.embedded.doctor import Level, examine

    findings = examine(Settings.load(), migrations_behind=migrations_behind, weights_missing=weights_missing)
    marks = {Level.OK: "ok     ", Level.NOTE: "note   ", Level.WRONG: "WRONG  "}
    wrong = [finding for finding in findings if finding.level is Level.WRONG]
    for finding in [] if json_ else findings:
        click.echo(f"{marks[finding.level]}{finding.sentence}")
    summary = f"{len(wrong)} of {len(findings)} checks found something wrong." if wrong else "Nothing is wrong."
    result = {
        "ok": not wrong,
        "findings": [{"name": f.name, "level": f.level.value, "sentence": f.sentence} for f in findings],
    }
    finish(result, summary, json_)
    if wrong:
        sys.exit(1)


@verb("demo")
def demo(json_: bool) -> None:
    """Make a made-up region with cases, people of each role and a sample recording."""
    from app.access import SYSTEM
    from app.domain import demo as domain
    from app.embedded.instance import running

    with running(Settings.load(), say) as settings:
        core = build(settings)
        with core.session() as session:
            key = settings.secret_key if settings.second_factor == "required" else ""
            made = domain.create(session, core.storage, SYSTEM, factors_key=key)
    result = {
        "recording": str(made.recording_id),
        "cases": [str(case_id) for case_id in made.case_ids],
        "people": made.emails,
        "password": made.password,
        "second_factors": {shown.email: {"secret": shown.secret, "codes": shown.codes} for shown in made.factors},
    }
    for shown in [] if json_ else made.factors:
        click.echo(
            f"{shown.email} needs a second factor: the secret {shown.secret} in an authenticator app, or one of these "
            f"codes, each of which works once: {', '.join(shown.codes)}"
        )
    words = f"They all have the password {made.password}" if made.password else "They keep their passwords"
    finish(
        result,
        f"The demo is there: sign in as {', '.join(made.emails)}. {words}. The sample recording is processed by the "
        "running worker, or as soon as one runs.",
        json_,
    )


# -- what verbs share ----------------------------------------------------------------------------------------------------


def build(settings: Settings) -> Core:
    """The core for complete settings."""
    from app.core import build_core

    return build_core(settings)


def bring_up_to_date(settings: Settings) -> None:
    """Run the migrations that the database has not had, and seed the vocabulary."""
    from flask_migrate import upgrade

    from app.db import db
    from app.domain import vocabulary

    core = build(settings)
    with core.app.app_context():
        upgrade()
    with core.session() as session:
        vocabulary.seed(session)
    with core.app.app_context():
        db.engine.dispose()


def open_storage(settings: Settings) -> None:
    """Make the bucket, and let the pages of this instance send parts to it and read segments from it."""
    storage = build(settings).storage
    storage.ensure_bucket()
    storage.allow_browser(settings.base_url)


def migrations_behind(settings: Settings) -> str:
    """What is wrong with the database's version, as a sentence; empty when it is the newest.

    Raises:
        VignetteError: settings are incomplete.
    """
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from app.core import ROOT
    from app.db import db

    core = build(settings)
    newest = ScriptDirectory(str(ROOT / "migrations")).get_current_head()
    with core.app.app_context():
        with db.engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        db.engine.dispose()
    if current == newest:
        return ""
    return f"The database is at version {current or 'none'}, the program at {newest}. Run: vignette migrate"


def weights_missing(settings: Settings) -> str:
    """A sentence when the weights of the speech model have yet to be fetched, else empty.

    Raises:
        Misconfigured: the model that the settings name does not exist or is damaged.
    """
    from app.captions import models

    if models.locate(settings.caption_model, models.default_cache()) is not None:
        return ""
    return (
        "The weights of the speech model are not here yet, so recordings stay without captions. They are fetched when "
        "first needed, or by: vignette model fetch"
    )


def open_to_people(settings: Settings) -> str | None:
    """The last step before people come, when all services answer: see `open_storage` and `first_admin_link`."""
    open_storage(settings)
    return first_admin_link(settings)


def first_admin_link(settings: Settings) -> str | None:
    """The address where the first admin is made; None once there is one."""
    from app.db import db
    from app.domain import sign_in

    core = build(settings)
    with core.session() as session:
        secret = sign_in.first_admin_link(session)
    with core.app.app_context():
        db.engine.dispose()
    return f"{settings.base_url}/first-admin/{secret}" if secret else None


cli_verbs.register(main, Verb, as_json)

if __name__ == "__main__":
    main()
