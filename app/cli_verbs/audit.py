"""`vignette audit verify`, `vignette audit export`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import click

from app.cli_verbs.kit import finish, server_data, verb


@verb("audit", "verify")
@click.option("--expect", default="", metavar="NUMBER:HEX", help="The seal of an earlier verification, kept elsewhere.")
def audit_verify(expect: str, json_: bool) -> None:
    """Recompute the chain of the audit; exit status 1 if an event was changed, removed, put in between or moved.

    Keep the seal that it prints somewhere else: with --expect, a later verification shows that nothing up to there was
    written anew.
    """
    with server_data() as (_, session):
        from app.access import SYSTEM
        from app.domain import audit, audit_chain

        verdict = audit_chain.verify(session, expect)
        audit.record(session, SYSTEM, "audit:verify", "instance", ok=verdict.ok, links=verdict.links)
    result = {
        "ok": verdict.ok,
        "links": verdict.links,
        "seal": verdict.seal,
        "broken_at": verdict.broken_at,
        "why": verdict.why,
        "missing": verdict.missing,
        "first_missing": verdict.first_missing,
        "expected": verdict.expected,
    }
    finish(result, "\n".join(verdict.sentences), json_)
    if not verdict.ok:
        raise click.exceptions.Exit(1)


@verb("audit", "export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "format_", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--from", "from_", type=click.DateTime(["%Y-%m-%d"]), help="First day, like 2027-03-01.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day; the whole of it counts.")
@click.option("--reason", default="", help="Why; written into the audit.")
def audit_export(
    file: Path, format_: str, from_: datetime | None, until: datetime | None, reason: str, json_: bool
) -> None:
    """Write the audit into FILE, which must not exist and which only you can read."""
    with server_data() as (_, session):
        from app.access import SYSTEM
        from app.domain import audit_log
        from app.errors import Conflict

        filters = audit_log.Filters(from_day=from_.date() if from_ else None, until_day=until.date() if until else None)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise Conflict(f"{file} exists. Choose another name.") from None
        rows = audit_log.export(session, SYSTEM, filters, format_, reason=reason)
        session.commit()
        count = 0
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            for row in rows:
                out.write(row)
                count += 1
    count -= format_ == "csv"  # its heading
    finish({"events": count, "file": str(file.absolute())}, f"{count} events were written to {file}.", json_)
