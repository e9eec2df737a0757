"""Verbs of the `vignette` command on people, cases, sharing and uploads. `app.cli` registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from app.cli_verbs import kit


def register(main: click.Group, kind: type[click.Command], as_json: Callable[[Any], Any]) -> None:
    """Add the verbs to `main`, each as a command of `kind` with `--json`. A verb such as `user add` gets a group."""
    from app.cli_verbs import (  # each names its verbs when it is imported
        audit,
        captions,
        content,
        operations,
        people,
        reprocess,
        send,
        speech,
        work,
    )

    for module in (people, content, captions, speech, operations, work, reprocess, audit, send):
        for words, function in kit.verbs_of(module.__name__):
            group = main
            for word in words[:-1]:
                inner = group.commands.get(word)
                if not isinstance(inner, click.Group):
                    inner = click.Group(word, help=f"Verbs on a {word}.")
                    group.add_command(inner)
                group = inner
            group.command(words[-1], cls=kind)(as_json(function))
