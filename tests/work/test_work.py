"""The work of all workers: what is told of it, and what its buttons do. Pages, API, command line and figures alike."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app import access, clock
from app.access import SYSTEM, Action, policy
from app.cli import main
from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.recordings import ArtefactKind, Recording, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.db.workers import Worker, WorkerState
from app.domain import paging, runs, stage_runs, work, workers
from app.errors import Conflict, Invalid, NotFound
from app.settings import Settings
from app.storage.s3 import Storage
from tests.ingest.support import counted
from tests.support.world import Browser, World

NO_ROOM = "Waiting: not enough room on the worker's disk: 12 GB needed, 3 GB free."


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


@pytest.fixture
def chief(world: World) -> Person:
    """An admin of everywhere."""
    return world.person("chief@example.org", Role.ADMIN)


def begin(world: World, storage: Storage, title: str = "A made-up consultation", **columns: Any) -> Run:
    """A recording that has just been uploaded: its run."""
    recording = world.recording(title=title, state=RecordingState.UPLOADING, **columns)
    world.artefact(storage, recording, ArtefactKind.SOURCE, b"as uploaded" + title.encode())
    return runs.start(world.session, recording)


def first_stage(session: Session, run: Run) -> StageRun:
    return session.scalars(select(StageRun).where(StageRun.run_id == run.id, StageRun.state == StageState.QUEUED)).one()


def browser_of(app: Flask, session: Session, person: Person) -> Browser:
    session.commit()
    browser = Browser(app)
    browser.sign_in(person.id)
    return browser


def job_priorities(session: Session) -> list[int]:
    return list(session.scalars(text("SELECT priority FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id")))


def told(session: Session) -> list[str]:
    """Actions in the audit, in order."""
    return list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))


# -- who -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "area", "may"),
    [
        (Role.ADMIN, None, True),
        (Role.ADMIN, "ENG", False),
        (Role.CUSTODIAN, None, False),
        (Role.FACILITATOR, None, False),
    ],
)
def test_the_work_of_all_places_is_for_admins_of_everywhere(
    world: World, role: Role, area: str | None, may: bool
) -> None:
    person = world.person("somebody@example.org", role, area)
    who = access.load(world.session, person.id, clock.now())
    for action in (Action.WORK_VIEW, Action.WORK_ADMINISTER):
        assert policy.can(who, action) is may
        assert not policy.can(who.narrowed("token", access.SCOPES["publish"]), action)


def test_no_title_of_a_recording_that_one_may_not_view(world: World, storage: Storage) -> None:
    """The list, its workers and its findings ask the policy for each recording, whoever they are shown to."""
    run = begin(world, storage, "Nobody else may read this")
    stage = first_stage(world.session, run)
    workers.enter(world.session, "m-1", "m", 1, ["light"])
    stage_runs.begin(world.session, stage.id, "m-1")
    stranger = access.load(world.session, world.person("s@example.org", Role.VIEWER, "SW").id, clock.now())
    page = work.listing(world.session, stranger, work.Filters(), work.SORTINGS[0])
    assert list(page.rows) == []
    (member,) = work.crew(world.session, stranger)
    assert [(one.stage, one.title) for one in member.doing] == [("Checking the file", "")]
    with pytest.raises(NotFound):
        work.find(world.session, stranger, run.id)
    (member,) = work.crew(world.session, SYSTEM)
    assert member.doing[0].title == "Nobody else may read this"


# -- what is told ----------------------------------------------------------------------------------------------------------


def test_queues(world: World, storage: Storage) -> None:
    session = world.session
    for number in range(3):
        run = begin(world, storage, f"Number {number}")
    session.execute(text("UPDATE procrastinate_events SET at = at - interval '90 seconds'"))
    session.execute(text("DELETE FROM procrastinate_jobs WHERE id = (SELECT max(id) FROM procrastinate_jobs)"))
    stage_runs.postpone(session, first_stage(session, run).id, NO_ROOM, after_seconds=60)
    session.execute(
        text("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = (SELECT min(id) FROM procrastinate_jobs)")
    )
    workers.enter(session, "m-1", "m", 1, ["light"])
    present = [member.worker for member in work.crew(session, SYSTEM) if member.present]
    light, encode, transcribe = work.queues(session, present)
    assert (light.waiting, light.running, light.later, light.no_room, light.takers) == (1, 1, 1, 1, 1)
    assert light.oldest_seconds is not None
    assert 90 <= light.oldest_seconds < 200
    assert (encode, transcribe) == (work.QueueStanding("encode"), work.QueueStanding("transcribe"))


def test_runs_are_narrowed_sorted_and_paged(world: World, storage: Storage) -> None:
    session = world.session
    made = [begin(world, storage, f"Play {number} at 100%") for number in range(5)]
    for number, run in enumerate(made):
        run.created_at = clock.now() - timedelta(hours=number)
    made[3].priority = 10
    runs.cancel(session, made[4])

    def listed(sort: int = 0, **filters: str) -> list[int]:
        page = work.listing(session, SYSTEM, work.Filters(**filters), work.SORTINGS[sort])
        return [made.index(run) for run in page.rows]

    assert listed() == [0, 1, 2, 3, 4]
    assert listed(1) == [4, 3, 2, 1, 0]
    assert listed(2)[0] == 3
    assert listed(state="cancelled") == [4]
    assert listed(stage="probe", state="running") == [0, 1, 2, 3]
    assert listed(stage="transcode") == []
    assert listed(workflow="erase") == []
    assert listed(recording="play 2 AT 100%") == [2]
    assert listed(recording=str(made[1].recording_id)) == [1]
    assert listed(recording="_lay") == []
    for name in ("state", "workflow", "stage"):
        with pytest.raises(Invalid) as refused:
            listed(**{name: "nonsense"})
        assert list(refused.value.fields) == [name]
    first = work.listing(session, SYSTEM, work.Filters(), work.SORTINGS[2], size=2)
    second = work.listing(session, SYSTEM, work.Filters(), work.SORTINGS[2], size=2, after=first.after)
    assert len({run.id for run in [*first.rows, *second.rows]}) == 4
    assert paging.choose(work.SORTINGS, "oldest").name == "oldest"


def test_what_stages_take(world: World, storage: Storage) -> None:
    session, now = world.session, clock.now()
    for number, seconds in enumerate((2, 4, 60)):
        stage = first_stage(session, begin(world, storage, f"Number {number}"))
        stage.state = StageState.FAILED if number == 2 else StageState.SUCCEEDED
        stage.started_at, stage.finished_at, stage.cpu_seconds = now - timedelta(seconds=seconds), now, 1.5
    old = first_stage(session, begin(world, storage, "Long ago"))
    old.state, old.started_at, old.finished_at = StageState.FAILED, now - timedelta(days=9), now - timedelta(days=8)
    session.flush()
    (figure,) = work.figures(session)
    assert (figure.label, figure.ends, figure.failures, figure.median_seconds, figure.cpu_seconds) == (
        "Checking the file", 3, 1, 4.0, 4.5,
    )  # fmt: skip


# -- what can be done ------------------------------------------------------------------------------------------------------


def test_a_run_that_is_raised_is_taken_up_first_with_all_its_jobs(world: World, storage: Storage) -> None:
    session = world.session
    first, second = begin(world, storage, "First"), begin(world, storage, "Second")
    assert job_priorities(session) == [0, 0]
    assert runs.reprioritise(session, second, higher=True) == 10
    assert runs.reprioritise(session, second, higher=True) == 10  # there is nothing above it
    assert job_priorities(session) == [0, 10]
    session.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))
    taken = session.execute(
        text("SELECT args FROM procrastinate_fetch_job_v2(ARRAY['light'], (SELECT min(id) FROM procrastinate_workers))")
    ).scalar()
    assert taken["stage_run_id"] == str(first_stage(session, second).id)
    # and what it will have later: the stage is put back, and its new job is where the run is
    attempt = stage_runs.begin(session, first_stage(session, second).id, "m-1")
    assert attempt is not None
    stage = session.scalars(select(StageRun).where(StageRun.state == StageState.RUNNING)).one()
    stage_runs.fail(session, stage.id, attempt, "It did not work.", "failed")
    assert job_priorities(session) == [0, 10]
    for _ in range(3):
        runs.reprioritise(session, first, higher=False)
    assert first.priority == -10
    assert job_priorities(session) == [-10, 10]
    runs.cancel(session, first)
    with pytest.raises(Conflict):
        runs.reprioritise(session, first, higher=True)


def test_the_buttons_of_the_page(app: Flask, world: World, storage: Storage, chief: Person) -> None:
    session = world.session
    run = begin(world, storage)
    workers.enter(session, "m-1", "m", 1, ["light"])
    browser = browser_of(app, session, chief)
    page = browser.get("/work").text
    assert "A made-up consultation" in page
    assert "m-1" in page
    assert [act for act in work.ACTS if f"/work/runs/{run.id}/{act}" in page] == ["cancel", "raise", "lower"]
    here = f"/work/runs/{run.id}"
    for act, words in (
        ("raise", "High"),
        ("lower", "Normal"),
        ("cancel", "Cancelled by chief"),
        ("retry", "In progress"),
    ):
        answer = browser.post(f"{here}/{act}", follow_redirects=True)
        assert answer.status_code == 200
        assert words in answer.text, act
    assert browser.post(f"{here}/retry").status_code == 409
    worker = session.scalars(select(Worker)).one()
    assert "Draining" in browser.post(f"/work/workers/{worker.id}/drain", follow_redirects=True).text
    assert "Working" in browser.post(f"/work/workers/{worker.id}/undrain", follow_redirects=True).text
    assert [action for action in told(session) if action.startswith(("processing:", "worker:"))] == [
        "processing:raise", "processing:lower", "processing:cancel", "processing:retry", "worker:drain", "worker:undrain",
    ]  # fmt: skip
    session.execute(update(Worker).values(state=WorkerState.GONE))
    session.commit()
    assert browser.post(f"/work/workers/{worker.id}/drain").status_code == 409
    assert browser.post(f"/work/workers/{uuid.uuid4()}/drain").status_code == 404


def test_why_a_stage_waits_is_told_everywhere(app: Flask, world: World, storage: Storage, chief: Person) -> None:
    session = world.session
    run = begin(world, storage)
    stage_runs.postpone(session, first_stage(session, run).id, NO_ROOM, after_seconds=60)
    browser = browser_of(app, session, chief)
    shown = NO_ROOM.replace("'", "&#39;")
    for path in ("/work", f"/work/runs/{run.id}", f"/recordings/{run.recording_id}/manage"):
        assert shown in browser.get(path).text, path
    assert browser.get(f"/api/v1/recordings/{run.recording_id}").json["stages"][0]["waiting"] == NO_ROOM
    assert browser.get(f"/api/v1/work/runs/{run.id}").json["waiting"] == NO_ROOM
    assert browser.get(f"/api/v1/work/runs/{run.id}").json["stages"][0]["waiting"] == NO_ROOM


def test_the_api(app: Flask, world: World, storage: Storage, chief: Person) -> None:
    session = world.session
    run = begin(world, storage)
    workers.enter(session, "m-1", "m", 1, ["light"])
    stage_runs.begin(session, first_stage(session, run).id, "m-1")
    browser = browser_of(app, session, chief)
    found = browser.get("/api/v1/work").json
    assert [queue["name"] for queue in found["queues"]] == ["light", "encode", "transcribe"]
    (worker,) = found["workers"]
    assert (worker["state"], worker["memory_peak_bytes"]) == ("working", None)
    assert worker["doing"] == [
        {
            "run_id": str(run.id), "stage": "Checking the file", "chunk": None, "progress": 0.0,
            "title": "A made-up consultation",
        }
    ]  # fmt: skip
    assert found["fixity"]["objects"] == 1
    listed = browser.get("/api/v1/work/runs?state=running&stage=probe&limit=1").json
    assert [(item["id"], item["possible"]) for item in listed["items"]] == [(str(run.id), ["raise", "lower", "cancel"])]
    raised = browser.send("POST", f"/api/v1/work/runs/{run.id}/raise")
    assert (raised.status_code, raised.json["priority"]) == (200, 10)
    assert {part["stage"] for part in raised.json["stages"]} >= {"probe", "join"}
    drained = browser.send("POST", f"/api/v1/work/workers/{worker['id']}/drain")
    assert drained.json["state"] == "draining"
    assert browser.get("/api/v1/work/runs?state=nonsense").status_code == 400
    assert browser.get(f"/api/v1/work/runs/{uuid.uuid4()}").status_code == 404


def test_the_command(settings: Settings, world: World, storage: Storage) -> None:
    session = world.session
    run = begin(world, storage)
    workers.enter(session, "m-1", "m", 1, ["light"])
    session.commit()
    names = ("database_url", "secret_key", "s3_endpoint", "s3_access_key", "s3_secret_key", "s3_bucket", "data")
    environment = {f"VIGNETTE_{name.upper()}": str(getattr(settings, name)) for name in names}

    def call(*words: str) -> dict[str, Any]:
        done = CliRunner(env=environment).invoke(main, ["work", *words, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    found = call("list")
    assert [worker["name"] for worker in found["workers"]] == ["m-1"]
    assert [item["id"] for item in found["runs"]] == [str(run.id)]
    assert call("drain", "m-1") == {"worker": "m-1", "state": "draining"}
    assert call("undrain", "m-1")["state"] == "working"
    assert call("change", str(run.id), "lower")["priority"] == -10
    assert call("change", str(run.id), "cancel")["state"] == "cancelled"
    assert call("list")["runs"] == []
    assert [item["id"] for item in call("list", "--all")["runs"]] == [str(run.id)]
    words = CliRunner(env=environment).invoke(main, ["work", "list", "--all"], catch_exceptions=False).stdout
    assert "Queue light: 0 waiting" in words
    wrong = CliRunner(env=environment).invoke(main, ["work", "drain", "nobody"], catch_exceptions=False)
    assert wrong.exit_code == 1
    assert "work list" in wrong.stderr


def test_figures_of_workers_and_waits(app: Flask, world: World, storage: Storage) -> None:
    session = world.session
    run = begin(world, storage)
    stage_runs.postpone(session, first_stage(session, run).id, NO_ROOM, after_seconds=60)
    workers.enter(session, "m-1", "m", 1, ["light"])
    session.commit()
    shown = app.test_client().get("/metrics").text
    for line in (
        'vignette_workers{state="working"} 1.0',
        'vignette_stages_without_room{queue="light"} 1.0',
        'vignette_fixity_findings{kind="altered"} 0.0',
        "vignette_fixity_due 0.0",
    ):
        assert line in shown
    assert 'vignette_queue_oldest_wait_seconds{queue="light"}' in shown


def test_the_page_asks_as_much_for_many_runs_as_for_one(
    app: Flask, world: World, storage: Storage, chief: Person
) -> None:
    session = world.session
    begin(world, storage)
    browser = browser_of(app, session, chief)
    browser.get("/work")
    with counted(app) as one:
        browser.get("/work")
    for number in range(6):
        begin(world, storage, f"Number {number}")
    session.commit()
    with counted(app) as many:
        browser.get("/work")
    assert len(many) == len(one)
    assert session.scalar(select(func.count()).select_from(Recording)) == 7
    assert RunState.RUNNING in {run.state for run in session.scalars(select(Run))}
