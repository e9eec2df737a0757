from __future__ import annotations

import random
import uuid

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app.core import Core, build_core
from app.db import db
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.db.runs import Run, RunState, StageRun, StageState
from app.domain import runs, stage_runs
from app.domain.stage_runs import Made
from app.errors import Conflict
from app.pipeline.spec import Workflow
from app.settings import Settings
from tests.workers.conftest import PLAN, add_recording
from tests.workers.harness import in_session, wait_until
from workers.pulse import DATABASE_AWAY


def row(session: Session, run: Run, stage: str, chunk: int = 0) -> StageRun:
    query = select(StageRun).where(StageRun.run_id == run.id, StageRun.stage == stage, StageRun.chunk == chunk)
    return session.execute(query.execution_options(populate_existing=True)).scalar_one()


def jobs(session: Session) -> list[str]:
    """The stages that jobs wait for, one entry a job."""
    query = text(
        "SELECT s.stage || s.chunk FROM procrastinate_jobs j JOIN stage_runs s ON s.id::text = j.args ->> 'stage_run_id' "
        "WHERE j.status = 'todo' ORDER BY j.id"
    )
    return list(session.scalars(query))


def do(session: Session, run: Run, stage: str, chunk: int = 0, **more: object) -> None:
    """Take a stage up and finish it."""
    stage_run_id = row(session, run, stage, chunk).id
    attempt = stage_runs.begin(session, stage_run_id, "w")
    assert attempt is not None
    assert stage_runs.finish(session, stage_run_id, attempt, {"by": attempt}, **more)  # type: ignore[arg-type]


def rendition(recording: Recording, key: str = "") -> Made:
    key = key or f"recordings/{recording.id}/made/{uuid.uuid4()}"
    return Made(ArtefactKind.RENDITION, "480p", key, "video/mp4", 3, "0" * 64)


def test_a_run_goes_from_stage_to_stage_and_the_recording_becomes_ready(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    assert recording.state == RecordingState.PROCESSING
    assert jobs(session) == ["look0"]
    do(session, run, "look", plan=PLAN)
    assert jobs(session) == ["look0", "cut0", "cut1", "extra0"]
    do(session, run, "cut", 1)
    do(session, run, "extra")
    assert row(session, run, "glue").state == StageState.WAITING
    do(session, run, "cut", 0)
    assert jobs(session)[-1] == "glue0"
    assert recording.watchable_at is None
    do(session, run, "glue", artefacts=[rendition(recording)])
    session.refresh(recording)
    assert (run.state, recording.state) == (RunState.SUCCEEDED, RecordingState.READY)
    assert recording.watchable_at is not None
    assert runs.progress(run)["fraction"] == 1


def test_a_request_that_is_rolled_back_leaves_neither_row_nor_job(core: Core, small: Workflow) -> None:
    with core.session() as session:
        recording_id = add_recording(session).id
    with pytest.raises(ZeroDivisionError), core.session() as session:
        runs.start(session, session.get_one(Recording, recording_id), small.name)
        raise ZeroDivisionError
    with core.session() as session:
        assert session.scalar(select(func.count()).select_from(Run)) == 0
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0
        assert session.get_one(Recording, recording_id).state == RecordingState.UPLOADING


def test_a_recording_is_processed_once_at_a_time(session: Session, small: Workflow, recording: Recording) -> None:
    runs.start(session, recording, small.name)
    with pytest.raises(Conflict):
        runs.start(session, recording, small.name)


def test_without_a_source_there_is_nothing_to_process(session: Session, small: Workflow, recording: Recording) -> None:
    session.query(Artefact).delete()
    with pytest.raises(Conflict):
        runs.start(session, recording, small.name)


def test_a_worker_that_froze_and_woke_up_late_changes_nothing(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    look = row(session, run, "look").id
    frozen = stage_runs.begin(session, look, "frozen")
    assert frozen == 1
    assert stage_runs.begin(session, look, "other") is None, "a stage is taken up by one worker"
    assert stage_runs.beat(session, look, frozen, 0.5) == "go"
    stale(session)
    assert stage_runs.recover(session, 15) == 1
    assert stage_runs.beat(session, look, frozen, 0.6) == "superseded"
    other = stage_runs.begin(session, look, "other")
    assert other == 2
    assert not stage_runs.finish(session, look, frozen, {}, artefacts=[rendition(recording)], plan=PLAN)
    assert not stage_runs.fail(session, look, frozen, "Late.", "late", final=True)
    assert not stage_runs.release(session, look, frozen)
    assert not stage_runs.reject(session, look, frozen, "Late.", "late")
    assert session.scalar(select(func.count()).where(Artefact.kind == ArtefactKind.RENDITION)) == 0
    assert stage_runs.finish(session, look, other, {}, plan=PLAN)
    assert not stage_runs.finish(session, look, other, {}, plan=PLAN), "an end counts once"
    assert jobs(session).count("cut0") == 1


def test_a_worker_that_froze_inside_a_transaction_holds_nobody_up(
    core: Core, settings: Settings, small: Workflow
) -> None:
    with core.session() as session:
        run = runs.start(session, add_recording(session), small.name)
        look = row(session, run, "look").id
        stage_runs.begin(session, look, "frozen")
        stale(session)
    machine = build_core(settings, idle_seconds=1)
    with pytest.raises(DATABASE_AWAY), machine.session() as frozen:
        # it has looked for lost stages and holds what it found, and its next word never comes
        assert stage_runs.recover(frozen, 15) == 1
        wait_until(lambda: in_session(core, lambda s: stage_runs.recover(s, 15)) == 1, 15, "the database lets go")
    with machine.app.app_context():
        db.engine.dispose()


def test_a_job_that_its_living_worker_has_lost_is_given_out_again(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    look = row(session, run, "look")

    def statuses() -> list[str]:
        return list(session.scalars(text("SELECT status::text FROM procrastinate_jobs")))

    def lose() -> None:
        """The job counts as taken by a worker that gives signs of life, since a minute ago."""
        session.execute(
            text(
                "WITH w AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id) "
                "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM w)"
            )
        )
        session.execute(text("UPDATE procrastinate_events SET at = now() - interval '1 minute'"))

    lose()
    stage_runs.recover(session, 15)
    assert statuses() == ["todo"], "nobody has begun the stage"
    lose()
    attempt = stage_runs.begin(session, look.id, "w")
    assert attempt
    stage_runs.recover(session, 15)
    assert statuses() == ["doing"], "the stage is at work"
    stage_runs.fail(session, look.id, attempt, "It broke.", "broken", final=True)
    stage_runs.recover(session, 15)
    assert statuses() == ["doing"], "the worker may be about to write the job's end"
    stale(session)
    stage_runs.recover(session, 15)
    assert statuses() == ["todo"], "it has ended long ago"


def stale(session: Session) -> None:
    """Let a minute pass since every sign of life."""
    session.flush()
    session.execute(update(StageRun).values(heartbeat_at=func.clock_timestamp() - text("interval '1 minute'")))


def test_recovering_gives_every_queued_stage_exactly_one_job(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
    assert stage_runs.recover(session, 15) == 0
    stage_runs.recover(session, 15)
    assert jobs(session) == ["look0"]
    # a job that a lost worker had fetched comes back too, and is not doubled
    session.execute(text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL WHERE status = 'todo'"))
    stage_runs.recover(session, 15)
    assert jobs(session) == ["look0"]
    assert stage_runs.begin(session, row(session, run, "look").id, "w") == 1


def test_failures_are_tried_again_after_a_pause_and_then_end_the_run(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    look = row(session, run, "look").id
    first = stage_runs.begin(session, look, "w")
    assert first and stage_runs.fail(session, look, first, "It broke.", "broke")
    assert row(session, run, "look").state == StageState.QUEUED
    pause = session.scalar(text("SELECT scheduled_at > now() FROM procrastinate_jobs ORDER BY id DESC LIMIT 1"))
    assert pause is True
    second = stage_runs.begin(session, look, "w")
    assert second and stage_runs.fail(session, look, second, "It broke.", "broke")
    session.refresh(recording)
    assert (run.state, run.reason_code) == (RunState.FAILED, "broke")
    assert (recording.state, recording.reason) == (RecordingState.FAILED, "It broke.")
    assert row(session, run, "glue").state == StageState.CANCELLED


def test_a_service_that_was_away_uses_up_no_retries_but_not_for_ever(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    look = row(session, run, "look").id
    for number in range(1, stage_runs.ATTEMPT_LIMIT + 1):
        assert run.state == RunState.RUNNING
        assert stage_runs.begin(session, look, "w") == number
        stage_runs.fail(session, look, number, "Storage does not answer.", "unavailable", transient=True)
    assert run.state == RunState.FAILED


def test_an_optional_stage_that_fails_leaves_the_run_alone(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    do(session, run, "look", plan=PLAN)
    extra = row(session, run, "extra").id
    attempt = stage_runs.begin(session, extra, "w")
    assert attempt and stage_runs.fail(session, extra, attempt, "No stills.", "stills")
    do(session, run, "cut", 0)
    do(session, run, "cut", 1)
    do(session, run, "glue")
    assert run.state == RunState.SUCCEEDED
    assert row(session, run, "extra").error == "No stills."


def test_cancelling_stops_what_waits_now_and_what_runs_when_it_says_so(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    do(session, run, "look", plan=PLAN)
    cut = row(session, run, "cut").id
    attempt = stage_runs.begin(session, cut, "w")
    assert attempt
    runs.cancel(session, run, by="A Person")
    assert run.state.value == "cancelling"
    assert row(session, run, "cut", 1).state == StageState.CANCELLED
    assert stage_runs.begin(session, row(session, run, "cut", 1).id, "w") is None
    assert stage_runs.beat(session, cut, attempt, 0.1) == "cancel"
    assert stage_runs.release(session, cut, attempt)
    session.refresh(recording)
    assert run.state == RunState.CANCELLED
    assert (recording.state, recording.reason) == (RecordingState.FAILED, "Cancelled by A Person.")
    with pytest.raises(Conflict):
        runs.cancel(session, run)


def test_a_cancelled_run_whose_worker_was_lost_ends(session: Session, small: Workflow, recording: Recording) -> None:
    run = runs.start(session, recording, small.name)
    assert stage_runs.begin(session, row(session, run, "look").id, "w")
    runs.cancel(session, run)
    stale(session)
    stage_runs.recover(session, 15)
    assert run.state == RunState.CANCELLED


def test_trying_again_does_only_what_was_not_done(session: Session, small: Workflow, recording: Recording) -> None:
    run = runs.start(session, recording, small.name)
    do(session, run, "look", plan=PLAN)
    do(session, run, "cut", 0)
    with pytest.raises(Conflict):
        runs.retry(session, run)
    runs.cancel(session, run)
    assert run.state.value == "cancelled"
    before = len(jobs(session))
    runs.retry(session, run)
    assert jobs(session)[before:] == ["cut1", "extra0"]
    assert row(session, run, "cut", 0).attempt == 1
    session.refresh(recording)
    assert (recording.state, recording.reason) == (RecordingState.PROCESSING, "")
    for stage, chunk in (("cut", 1), ("extra", 0), ("glue", 0)):
        do(session, run, stage, chunk)
    assert run.state == RunState.SUCCEEDED


def test_trying_again_after_the_probe_got_a_new_version_plans_anew(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    do(session, run, "look", plan=PLAN)
    runs.cancel(session, run)
    row(session, run, "look").fingerprint = "that of an older version"
    runs.retry(session, run)
    assert [s.stage for s in runs.locked_stages(session, run)] == ["look", "extra", "glue"]
    do(session, run, "look", plan={"facts": {**PLAN["facts"], "chunks": 1}})
    assert row(session, run, "cut", 0).state == StageState.QUEUED


def test_a_second_run_takes_over_what_the_first_has_left(
    session: Session, small: Workflow, recording: Recording
) -> None:
    first = runs.start(session, recording, small.name)
    do(session, first, "look", plan=PLAN)
    for stage, chunk in (("cut", 0), ("cut", 1), ("extra", 0)):
        do(session, first, stage, chunk)
    do(session, first, "glue", artefacts=[rendition(recording)])
    second = runs.start(session, recording, small.name)
    assert recording.state == RecordingState.READY, "what can be watched stays so"
    do(session, second, "look", plan=PLAN)
    assert row(session, second, "glue").state == StageState.SUCCEEDED
    assert [s.stage for s in runs.locked_stages(session, second)].count("cut") == 0
    assert row(session, second, "extra").state == StageState.SKIPPED, "nobody reads what it would make"
    assert second.state == RunState.SUCCEEDED


def test_a_new_artefact_replaces_the_one_of_its_name(session: Session, small: Workflow, recording: Recording) -> None:
    for key in ("first", "second"):
        run = runs.start(session, recording, small.name)
        facts = {**PLAN["facts"], "source": key}
        do(session, run, "look", plan={"facts": facts})
        for stage, chunk in (("cut", 0), ("cut", 1), ("extra", 0)):
            do(session, run, stage, chunk)
        do(session, run, "glue", artefacts=[rendition(recording, key)])
    kept = session.scalars(select(Artefact.key).where(Artefact.kind == ArtefactKind.RENDITION)).all()
    assert kept == ["second"]


def test_a_rejected_file_is_erased_before_the_recording_says_so(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    look = row(session, run, "look").id
    attempt = stage_runs.begin(session, look, "w")
    assert attempt and stage_runs.reject(session, look, attempt, "This is not a video.", "not-a-video")
    session.refresh(recording)
    assert recording.state == RecordingState.PROCESSING
    erasing = runs.latest(session, recording.id)
    assert erasing is not None and erasing.workflow == "erase"
    do(session, erasing, "erase")
    session.refresh(recording)
    assert (recording.state, recording.reason, recording.reason_code) == (
        RecordingState.REJECTED,
        "This is not a video.",
        "not-a-video",
    )
    assert session.scalar(select(func.count()).select_from(Artefact)) == 0
    with pytest.raises(Conflict):
        runs.retry(session, run)


def test_a_recording_that_was_withdrawn_meanwhile_stays_so(
    session: Session, small: Workflow, recording: Recording
) -> None:
    run = runs.start(session, recording, small.name)
    recording.state = RecordingState.WITHDRAWN
    runs.cancel(session, run)
    session.refresh(recording)
    assert recording.state == RecordingState.WITHDRAWN


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_to_workers_nothing_is_done_twice_and_the_run_ends(
    session: Session, small: Workflow, recording: Recording, seed: int
) -> None:
    chance = random.Random(seed)
    run = runs.start(session, recording, small.name)
    tickets: list[tuple[uuid.UUID, int]] = []
    ends: dict[uuid.UUID, int] = {}
    for _ in range(400):
        if run.state not in runs.UNFINISHED:
            break
        fate = chance.random()
        if fate < 0.4:
            waiting = [s for s in runs.locked_stages(session, run) if s.state == StageState.QUEUED]
            for stage in waiting[:1]:
                attempt = stage_runs.begin(session, stage.id, "w")
                assert attempt
                tickets.append((stage.id, attempt))
        elif fate < 0.5:
            stale(session)
            stage_runs.recover(session, 15)
        elif tickets:
            ticket = chance.choice(tickets)
            plan = PLAN if session.get_one(StageRun, ticket[0]).stage == "look" else None
            if fate < 0.55:
                stage_runs.fail(session, *ticket, "Away.", "unavailable", transient=True)
            elif stage_runs.finish(session, *ticket, {}, plan=plan):
                ends[ticket[0]] = ends.get(ticket[0], 0) + 1
    stages = runs.locked_stages(session, run)
    assert run.state == RunState.SUCCEEDED
    assert len(stages) == 5
    assert ends == {stage.id: 1 for stage in stages}
