"""`vignette fsck`, `vignette backup`, `vignette restore`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli_verbs.kit import finish, say, server_data, verb

if TYPE_CHECKING:
    from app.core import Core
    from app.domain.backup import Instance
    from app.settings import Settings

_SHOWN = 20


def _objects(count: int) -> str:
    return f"{count} object" if count == 1 else f"{count} objects"


@verb("fsck")
@click.option("--deep", is_flag=True, help="Also read every object and compare its SHA-256.")
@click.option("--remove-orphans", is_flag=True, help="Remove objects that no row names.")
@click.option(
    "--grace",
    type=click.IntRange(min=0),
    default=60,
    show_default=True,
    metavar="MINUTES",
    help="An object younger than this is no orphan yet.",
)
def fsck(deep: bool, remove_orphans: bool, grace: int, json_: bool) -> None:
    """Compare what the database names with what storage holds; exit status 1 if anything is wrong."""
    from app.domain import fixity

    with server_data() as (core, _):
        found = fixity.examine(
            core.session,
            core.storage,
            deep=deep,
            remove_orphans=remove_orphans,
            grace=timedelta(minutes=grace),
            say=say,
        )
    words = {
        "missing": "Missing, or of the wrong size",
        "altered": "Altered",
        "orphan": "Orphan, removed" if remove_orphans else "Orphan (named by no row)",
    }
    if not json_:
        for name, label in words.items():
            keys = getattr(found, name)
            for key in keys[:_SHOWN]:
                click.echo(f"{label}: {key}")
            if len(keys) > _SHOWN:
                click.echo(f"{label}: {len(keys) - _SHOWN} more; --json names all of them.")
    result = {
        "ok": found.ok,
        "missing": found.missing,
        "orphan": found.orphan,
        "altered": found.altered,
        "checked": found.checked,
        "filled": found.filled,
        "removed": found.removed,
    }
    counts = f"{len(found.missing)} missing, {len(found.altered)} altered, {len(found.orphan)} orphan"
    how = "read and compared" if deep else "compared"
    summary = f"{_objects(found.checked)} {how}: {'nothing is wrong' if found.ok else counts}."
    if found.filled:
        summary += f" The SHA-256 of {found.filled} was not known yet and is now."
    finish(result, summary, json_)
    if not found.ok:
        raise click.exceptions.Exit(1)


@verb("backup")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--verify", is_flag=True, help="Read what an earlier backup left there, and copy again what is damaged.")
def backup(folder: Path, verify: bool, json_: bool) -> None:
    """Copy database and objects into DIR, also while the server runs; a second time only what is new.

    DIR then holds everything in clear, confidential as it is: keep it on an encrypted disk.
    """
    from app.domain import backup as domain

    with server_data() as (core, _):
        made = domain.make(_instance(core), folder, verify=verify, say=say)
    problems = len(made.missing) + len(made.altered)
    result = {
        "ok": not problems,
        "folder": str(folder.absolute()),
        "objects": made.objects,
        "copied": made.copied,
        "copied_bytes": made.copied_bytes,
        "bytes": made.bytes,
        "missing": made.missing,
        "altered": made.altered,
    }
    summary = (
        f"The backup is in {folder.absolute()}: the database and {_objects(made.objects)}, {made.copied} of them new."
    )
    if problems:
        summary += (
            f" But storage had lost {_objects(len(made.missing))} and changed {len(made.altered)}; `vignette fsck "
            "--deep` names them."
        )
    finish(result, summary, json_)
    if problems:
        raise click.exceptions.Exit(1)


@verb("restore")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace all that the instance has.")
def restore(folder: Path, force: bool, json_: bool) -> None:
    """Put the backup in DIR into an empty instance. All of it is checked before anything is changed.

    People sign in again and one-time links are void. Rights are as they were when the backup was made: what was revoked
    since then must be revoked again.
    """
    from app.cli import bring_up_to_date
    from app.core import build_core
    from app.domain import backup as domain
    from app.embedded.instance import running
    from app.settings import Settings

    manifest = domain.check(folder, say)
    settings = Settings.load()
    _check_known(settings, manifest.revision)
    with running(settings, say) as complete:
        core = build_core(complete)
        instance = _instance(core)
        domain.restore(instance, folder, manifest, force=force, say=say)
        bring_up_to_date(complete)
        uploads = domain.take_up(instance, manifest)
    result = {"restored": True, "made_at": manifest.made_at, "objects": len(manifest.objects), "uploads": uploads}
    summary = f"The backup of {manifest.made_at} is restored: the database and {_objects(len(manifest.objects))}."
    if manifest.missing or manifest.altered:
        summary += " Some objects were lost or altered before it was made: see `vignette fsck --deep`."
    if uploads:
        summary += f" {uploads} unfinished uploads begin anew."
    finish(result, summary, json_)


def _instance(core: Core) -> Instance:
    from app.domain.backup import Instance
    from app.embedded import roles

    settings = core.settings
    return Instance(core.session, settings.owner_libpq_url, core.storage, roles.named_in(settings.libpq_url))


def _check_known(settings: Settings, revision: str) -> None:
    """Stop when the backup's database is of a version that this program does not know.

    Raises:
        Conflict: it is.
    """
    from alembic.script import ScriptDirectory

    from app.core import ROOT
    from app.errors import Conflict

    known = {script.revision for script in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()}
    if revision not in known:
        raise Conflict(
            f"The backup is of a newer Vignette (database version {revision}). Install that version, then restore."
        )
