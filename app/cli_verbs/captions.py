"""`vignette captions import`, `vignette captions export`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.cli_verbs.kit import finish, recording_of, say, server_data, verb

KINDS = ("vtt", "srt", "ttml", "txt", "docx")


@verb("captions", "import")
@click.argument("recording")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--language", default="en", show_default=True, help="Language of the captions, like en or cy.")
def import_(recording: str, file: Path, language: str, json_: bool) -> None:
    """Bring captions from a file (.vtt, .srt, .ttml, .txt, .docx) as the version that is worked on.

    Viewers see them when somebody has checked them.
    """
    with server_data() as (core, session):
        from app.access import SYSTEM
        from app.captions.tracks import MAX_BYTES
        from app.domain import caption_files

        with file.open("rb") as source:
            data = source.read(MAX_BYTES + 1)
        row = recording_of(session, recording)
        brought = caption_files.bring(session, core.storage, SYSTEM, row, language, data, file.name)
        for flag in [] if json_ else brought.flags:
            say(f"{brought.unit.capitalize()} {flag.line}: {flag.sentence}")
        result = {
            "recording": str(row.id),
            "language": language,
            "version": brought.version,
            "cues": brought.cues,
            "remarks": [{"place": flag.line, "sentence": flag.sentence} for flag in brought.flags],
        }
    finish(result, f"{brought.cues:,} captions are now version {brought.version}. Somebody has to check them.", json_)


@verb("captions", "export")
@click.argument("recording")
@click.option("--language", default="en", show_default=True, help="Language of the captions.")
@click.option("--format", "kind", type=click.Choice(KINDS), default="vtt", show_default=True, help="Kind of file.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to; without it, standard output.")
@click.option("--current", is_flag=True, help="The version that is worked on, in place of the one that viewers see.")
@click.option("--reason", default="", help="Why, for those who keep the records.")
def export(recording: str, language: str, kind: str, out: Path | None, current: bool, reason: str, json_: bool) -> None:
    """Write the captions that viewers see to a file. It is written down as a download."""
    with server_data() as (_, session):
        from app import clock
        from app.access import SYSTEM
        from app.domain import caption_showing, downloads
        from app.errors import Invalid, NotFound

        row = recording_of(session, recording)
        shown = caption_showing.number(SYSTEM, clock.now(), everyone=False)
        name = f"{'draft' if current else 'captions'}-{language}"
        try:
            taken = downloads.take(
                session, SYSTEM, row, name, shown, reason or "From the command line", kind=kind, drafts=current
            )
        except NotFound:
            raise Invalid(f"There are no captions in {language!r}. Somebody may have to check them first.") from None
        if out is not None:
            out.write_bytes(taken.body)
        elif not json_:
            sys.stdout.buffer.write(taken.body)
        result = {"recording": str(row.id), "language": language, "format": kind, "file": str(out) if out else None}
    if out is not None or json_:
        finish(result, f"Written to {out}.", json_)
