"""Verbs of the `vignette` command on the work of all workers."""

from __future__ import annotations

from typing import Any

import click

from app.cli_verbs.kit import as_id, finish, server_data, verb

_SHOWN = 25


@verb("work", "list")
@click.option("--all", "all_", is_flag=True, help="Also runs that have ended, the newest first.")
def list_(all_: bool, json_: bool) -> None:
    """Say what waits, which workers there are, and which recordings are processed."""
    from app.access import SYSTEM
    from app.domain import runs, work

    with server_data() as (_, session):
        crew = work.crew(session, SYSTEM)
        queues = work.queues(session, [member.worker for member in crew if member.present])
        found: list[dict[str, Any]] = []
        states = ("",) if all_ else tuple(state.value for state in runs.UNFINISHED)
        for state in states:
            page = work.listing(session, SYSTEM, work.Filters(state=state), work.SORTINGS[0], size=_SHOWN)
            found += [
                {
                    "id": str(run.id),
                    "recording": str(run.recording_id),
                    "title": run.recording.title,
                    "state": run.state.value,
                    "progress": work.fraction(run),
                    "at": work.now_at(run),
                    "waiting": work.waiting(run),
                    "reason": run.reason,
                    "priority": runs.priority_word(run.priority),
                }
                for run in page.rows
            ]
        listed: list[dict[str, Any]] = [
            {
                "name": member.worker.name,
                "state": member.worker.state.value if member.present else "gone",
                "queues": member.worker.queues,
                "silent_seconds": round(member.silent_seconds, 1),
                "doing": [f"{one.stage} of {one.title}" for one in member.doing],
            }
            for member in crew
        ]
    if not json_:
        for queue in queues:
            click.echo(f"Queue {queue.name}: {queue.waiting} waiting, {queue.running} in progress, {queue.later} later")
        for worker in listed:
            doing = ", ".join(worker["doing"]) or "nothing"
            click.echo(f"Worker {worker['name']} ({worker['state']}): {doing}")
        for run in found:
            at = ", ".join(run["at"])
            why = run["waiting"] or run["reason"]
            click.echo(f"Run {run['id']} ({run['state']}, {run['progress']:.0%}): {run['title']}: {at} {why}".rstrip())
    here = sum(worker["state"] != "gone" for worker in listed)
    result = {"queues": [vars(queue) for queue in queues], "workers": listed, "runs": found}
    finish(result, f"{here} workers are here; {len(found)} runs are listed.", json_)


def _move(name: str, act: str, json_: bool) -> None:
    from app.access import SYSTEM
    from app.domain import workers

    with server_data() as (_, session):
        worker = workers.find(session, name)
        (workers.drain if act == "drain" else workers.undrain)(session, SYSTEM, worker.id)
        result = {"worker": worker.name, "state": worker.state.value}
    words = {
        "drain": "takes no more jobs and finishes what it has; `vignette work list` says when it is drained.",
        "undrain": "takes jobs again.",
    }
    finish(result, f"{result['worker']} {words[act]}", json_)


@verb("work", "drain")
@click.argument("name")
def drain(name: str, json_: bool) -> None:
    """Let the worker of this NAME take no more jobs; it finishes what it has."""
    _move(name, "drain", json_)


@verb("work", "undrain")
@click.argument("name")
def undrain(name: str, json_: bool) -> None:
    """Let the worker of this NAME take jobs again."""
    _move(name, "undrain", json_)


@verb("work", "change")
@click.argument("run")
@click.argument("act", type=click.Choice(["retry", "cancel", "raise", "lower"]))
def change(run: str, act: Any, json_: bool) -> None:
    """Try a RUN again, cancel it, or move it up or down among those that wait."""
    from app.access import SYSTEM
    from app.domain import work

    with server_data() as (_, session):
        found = work.find(session, SYSTEM, as_id(run, "run"))
        work.do(session, SYSTEM, found, act)
        session.refresh(found)
        result = {"run": str(found.id), "state": found.state.value, "priority": found.priority}
    finish(result, f"The run is now {result['state']}, its priority {result['priority']}.", json_)
