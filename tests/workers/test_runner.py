"""How a stage's end is written down, whatever its code does. The stages are stand-ins, the ledger is real."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core import Core
from app.db.recordings import ArtefactKind, Recording
from app.db.runs import Run, StageRun
from app.domain import runs
from app.domain.stage_runs import Made
from app.errors import NotFound, RejectedMedia, Unavailable
from app.media import sandbox
from app.pipeline.spec import Workflow
from app.storage.s3 import Storage, Stored
from tests.workers.conftest import PLAN, add_recording
from workers.context import Result, SkipStageError, StageContext, StageFailedError
from workers.pulse import Pulse
from workers.runner import Runner
from workers.scratch import Scratch

Code = Callable[[StageContext], Result]


class Bench:
    """A runner over one run of the workflow `small`, whose first stage does what the test says."""

    def __init__(self, core: Core, data: Path) -> None:
        self.core = core
        self.given_up = 0
        self.pulse = Pulse(core, 0.1, self._given_up)
        self.disk = Scratch(data)
        with core.session() as session:
            recording = add_recording(session)
            self.recording_id = recording.id
            self.run_id = runs.start(session, recording, "small").id

    def _given_up(self) -> None:
        self.given_up += 1

    def do(self, code: Code) -> tuple[str, int, str]:
        """Run the first stage. Returns its state, failures and error."""
        runner = Runner(self.core, self.pulse, self.disk, {("small", "look"): code}, "w", self._given_up)
        with self.core.session() as session:
            stage_run_id = session.query(StageRun.id).filter_by(run_id=self.run_id, stage="look").scalar()
        runner.run(stage_run_id)
        assert [path for path in self.disk.home.iterdir() if path.is_dir()] == []
        with self.core.session() as session:
            row = session.get_one(StageRun, stage_run_id)
            return row.state.value, row.failures, row.error

    def ask(self, question: str) -> object:
        with self.core.session() as session:
            return session.scalar(text(question))


@pytest.fixture
def bench(core: Core, small: Workflow, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(core, tmp_path)
    made.pulse.start()
    yield made
    made.pulse.end()
    made.pulse.join()


def raises(error: Exception) -> Code:
    def code(context: StageContext) -> Result:
        (context.scratch / "left").write_text("x")
        raise error

    return code


def test_a_stage_that_does_its_work(bench: Bench) -> None:
    assert bench.do(lambda context: Result(outputs={"a": 1}, plan=PLAN)) == ("succeeded", 0, "")


@pytest.mark.parametrize(
    ("error", "state", "failures"),
    [
        (Unavailable("Storage does not answer."), "queued", 0),
        (StageFailedError("It did not work."), "queued", 1),
        (ZeroDivisionError("secret words"), "queued", 1),
        (sandbox.Failed(1, "of a file"), "queued", 1),
        (sandbox.NoRoom(), "queued", 0),
        (OSError(errno.ENOSPC, "No space left on device"), "queued", 0),
        (OSError(errno.EACCES, "secret words"), "queued", 1),
        (NotFound(), "failed", 1),
        (RejectedMedia("No video.", code="not-a-video"), "failed", 0),
        (SkipStageError("Nothing to do."), "skipped", 0),
    ],
)
def test_a_stage_that_does_not(bench: Bench, error: Exception, state: str, failures: int) -> None:
    found = bench.do(raises(error))
    assert found[:2] == (state, failures)
    assert found[2]
    assert "secret" not in found[2]
    assert bench.given_up == 0


def test_a_disk_without_room_for_a_folder_uses_up_no_retry(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("workers.scratch.tempfile.mkdtemp", full)
        assert bench.do(lambda context: Result())[:2] == ("queued", 0)


def test_a_stage_that_runs_over_its_time_is_stopped_and_tried_again(bench: Bench) -> None:
    def code(context: StageContext) -> Result:
        context.held.deadline = time.monotonic()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            context.check()
            time.sleep(0.01)
        raise AssertionError("nobody stopped it")

    assert bench.do(code) == ("queued", 1, "Processing took longer than is allowed.")


def test_what_is_made_is_kept_while_storage_restarts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    put, tries = Storage.put_file, []

    def restarting(self: Storage, *given: Any) -> Stored:
        tries.append(given)
        if len(tries) == 1:
            raise Unavailable("Storage does not answer.")
        return put(self, *given)

    def code(context: StageContext) -> Result:
        (context.scratch / "poster").write_bytes(b"jpeg")
        return Result(
            plan=PLAN,
            artefacts=[
                context.keep(ArtefactKind.POSTER, "", context.scratch / "poster", "poster.jpg", "image/jpeg", {})
            ],
        )

    monkeypatch.setattr(Storage, "put_file", restarting)
    assert bench.do(code) == ("succeeded", 0, "")
    assert len(tries) == 2


def test_storage_that_goes_away_at_the_very_end_leaves_nothing_half_done(bench: Bench) -> None:
    def apply(session: Session) -> None:
        session.get_one(Recording, bench.recording_id).title = "half done"
        raise Unavailable("Storage does not answer.")

    made = Made(ArtefactKind.POSTER, "", "key", "image/jpeg", 1, "0" * 64)
    assert bench.do(lambda context: Result(artefacts=[made], plan=PLAN, apply=apply))[0] == "queued"
    assert bench.ask("SELECT count(*) FROM artefacts WHERE kind = 'poster'") == 0
    assert bench.ask("SELECT title FROM recordings") == "A synthetic recording"
    assert bench.ask("SELECT count(*) FROM stage_runs WHERE stage = 'cut'") == 0


def test_a_stage_whose_recording_is_deleted_stops_and_the_worker_lives_on(bench: Bench) -> None:
    def code(context: StageContext) -> Result:
        with context.core.session() as session:
            session.execute(text("DELETE FROM recordings"))
        until = time.monotonic() + 10
        while time.monotonic() < until:
            context.check()
            time.sleep(0.01)
        raise AssertionError("nobody stopped it")

    runner = Runner(bench.core, bench.pulse, bench.disk, {("small", "look"): code}, "w", bench._given_up)
    with bench.core.session() as session:
        stage_run_id = session.query(StageRun.id).filter_by(run_id=bench.run_id, stage="look").scalar()
    runner.run(stage_run_id)
    assert bench.given_up == 0


def test_an_attempt_that_others_have_taken_makes_the_worker_end(bench: Bench) -> None:
    def code(context: StageContext) -> Result:
        with context.core.session() as session:
            session.execute(text("UPDATE stage_runs SET attempt = attempt + 1 WHERE stage = 'look'"))
        return Result(plan=PLAN)

    bench.do(code)
    assert bench.given_up >= 1
    assert bench.ask("SELECT count(*) FROM stage_runs WHERE stage = 'cut'") == 0


def test_a_database_that_restarts_while_a_stage_works_costs_nothing(bench: Bench) -> None:
    def code(context: StageContext) -> Result:
        with context.core.session() as session:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            session.execute(text(cut))
        return Result(plan=PLAN)

    assert bench.do(code)[0] == "succeeded"
    with bench.core.session() as session:
        assert [s.attempt for s in session.get_one(Run, bench.run_id).stages if s.stage == "look"] == [1]


def test_what_begins_while_the_worker_ends_is_given_back(bench: Bench) -> None:
    def code(context: StageContext) -> Result:
        context.check()
        raise AssertionError("it should have stopped")

    bench.pulse.shut_down()
    assert bench.do(code)[0] == "queued"
    assert bench.pulse.held == []
