"""`vignette reprocess`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.cli_verbs.kit import finish, recording_of, server_data, verb

if TYPE_CHECKING:
    import uuid

    from sqlalchemy.orm import Session

    from app.domain.reprocessing import Stale
    from app.settings import Settings


def _recordings(count: int) -> str:
    return f"{count} recording" if count == 1 else f"{count} recordings"


@verb("reprocess")
@click.argument("recording", required=False)
@click.option("--all", "all_", is_flag=True, help="All recordings that can be watched.")
@click.option("--stale", "stale_only", is_flag=True, help="Only those with something that would be made otherwise now.")
@click.option("--list", "list_", is_flag=True, help="Start nothing; say which recordings are stale, and in what.")
def reprocess(recording: str | None, all_: bool, stale_only: bool, list_: bool, json_: bool) -> None:
    """Process a recording, or --all, again: only what is stale is done, behind other work.

    Recordings can be watched as they were until all that is new is there; it then takes its place at once.
    """
    from app.access import SYSTEM
    from app.domain import reprocessing
    from app.errors import Conflict, Invalid

    if (recording is None) is not all_:
        raise Invalid("Name one recording, or say --all.")
    started: list[str] = []
    busy = 0
    with server_data() as (core, session):
        chosen = [recording_of(session, recording).id] if recording is not None else None
        stale, looked_at = _stale(session, core.settings, chosen)
        if not list_:
            wanted = [item.recording_id for item in stale] if stale_only else looked_at
            for recording_id in wanted:
                row = recording_of(session, str(recording_id))
                try:
                    started.append(str(reprocessing.again(session, SYSTEM, row).recording_id))
                except Conflict:
                    if chosen is not None:
                        raise
                    busy += 1
                session.commit()  # a worker may begin while the next ones are being looked at
    if not json_:
        for item in stale:
            click.echo(f"{item.recording_id}  {item.title}: {', '.join(item.stages)}")
    counted = f"{len(stale)} of {_recordings(len(looked_at))} {'is' if len(stale) == 1 else 'are'} stale."
    summary = counted if list_ else f"{counted} {_recordings(len(started))} will be processed again."
    if busy:
        summary += f" {_recordings(busy)} could not be: being processed already, or without a source."
    result = {
        "stale": [{"id": str(item.recording_id), "title": item.title, "stages": list(item.stages)} for item in stale],
        "recordings": len(looked_at),
        "started": started,
        "left_out": busy,
    }
    finish(result, summary, json_)


def _stale(session: Session, settings: Settings, chosen: list[uuid.UUID] | None) -> tuple[list[Stale], list[uuid.UUID]]:
    """What is stale, and the ids of all that were looked at: those chosen, or all that can be processed again."""
    from app.db.recordings import Recording
    from app.domain import reprocessing

    if chosen is not None:
        rows = [session.get_one(Recording, recording_id) for recording_id in chosen]
        return reprocessing.stale_among(session, settings, rows), chosen
    stale: list[Stale] = []
    looked_at: list[uuid.UUID] = []
    for batch in reprocessing.candidates(session):
        stale += reprocessing.stale_among(session, settings, batch)
        looked_at += [row.id for row in batch]
        session.expunge_all()
    return stale, looked_at
