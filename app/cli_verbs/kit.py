"""What the verbs share: how they are named, the server's data, results in sentences or as an object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import uuid

    from sqlalchemy.orm import Session

    from app.core import Core
    from app.db.recordings import Recording

Function = TypeVar("Function", bound=Callable[..., Any])
_verbs: list[tuple[tuple[str, ...], Callable[..., Any]]] = []


def verb(*words: str) -> Callable[[Function], Function]:
    """Name a function as the verb of these words: `@verb("user", "add")` is `vignette user add`."""

    def note(function: Function) -> Function:
        _verbs.append((words, function))
        return function

    return note


def verbs_of(module: str) -> list[tuple[tuple[str, ...], Callable[..., Any]]]:
    """The verbs that a module named, in its order."""
    return [(words, function) for words, function in _verbs if function.__module__ == module]


def say(sentence: str) -> None:
    """Progress, on standard error."""
    click.echo(sentence, err=True)


def finish(result: Mapping[str, Any], sentence: str, json_: bool) -> None:
    """The result: a sentence for people, or one object as the last line."""
    click.echo(json.dumps(result, default=str) if json_ else sentence)


@contextmanager
def server_data() -> Iterator[tuple[Core, Session]]:
    """Core and session on the data that the settings name, whether or not the server runs; commits at the end.

    Raises:
        Misconfigured: the database has not been brought up to date.
    """
    from psycopg import errors as postgres
    from sqlalchemy.exc import ProgrammingError

    from app.core import build_core
    from app.db import db
    from app.embedded.instance import running
    from app.errors import Misconfigured
    from app.settings import Settings

    with running(Settings.load(), say) as settings:
        core = build_core(settings)
        try:
            with core.session() as session:
                yield core, session
        except ProgrammingError as error:
            if isinstance(error.orig, postgres.UndefinedTable | postgres.UndefinedColumn):
                raise Misconfigured("The database is not up to date. Run: vignette migrate") from None
            raise
        finally:
            with core.app.app_context():
                db.engine.dispose()


def as_id(text: str, what: str) -> uuid.UUID:
    """An id as given on the command line.

    Raises:
        Invalid: it is none.
    """
    import uuid

    from app.errors import Invalid

    try:
        return uuid.UUID(text)
    except ValueError:
        raise Invalid(f"{text!r} is not the id of a {what}.") from None


def recording_of(session: Session, text: str) -> Recording:
    """The recording with an id as given on the command line.

    Raises:
        Invalid: there is none.
    """
    from app.db.recordings import Recording
    from app.errors import Invalid

    recording = session.get(Recording, as_id(text, "recording"))
    if recording is None:
        raise Invalid(f"There is no recording {text}.")
    return recording
