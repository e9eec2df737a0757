"""Stages wait where there is no room for them, with a reason, and go on by themselves: no try is used up."""

from __future__ import annotations

import errno
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core import Core
from app.db.recordings import Recording
from app.db.runs import StageRun, StageState
from app.domain import runs, standing
from app.media import ladder
from app.pipeline.spec import Workflow
from app.pipeline.workflows import ERASE, INGEST
from app.storage import keys
from tests.workers.conftest import PLAN, add_recording
from workers import machine, room
from workers.context import Result, StageContext
from workers.pulse import Held, Pulse
from workers.room import Need, NoRoomError
from workers.runner import ROOM_SECONDS, Runner
from workers.scratch import Scratch, in_words

MB = 1 << 20
#: The bytes of the source in these tests, and what its first stage sets aside besides.
SOURCE, SMALL = 3 * MB, 16 * MB


class Machine:
    """A worker's disk with a budget, and a runner over it whose first stage fetches the source."""

    def __init__(self, core: Core, data: Path, budget: int) -> None:
        self.disk = Scratch(data, budget)
        self.pulse = Pulse(core, 60, lambda: None)
        self.ran = 0
        self.code = self._look
        self.runner = Runner(core, self.pulse, self.disk, {("small", "look"): self._do}, "w", lambda: None)

    def _do(self, context: StageContext) -> Result:
        self.ran += 1
        return self.code(context)

    def _look(self, context: StageContext) -> Result:
        context.source()
        (context.scratch / "left").write_bytes(b"x" * 1000)
        return Result(plan=PLAN)

    def left(self) -> list[Path]:
        """Files that are left, but for the lock of the living worker and the sources of runs that go on."""
        return [
            path
            for path in self.disk.root.rglob("*")
            if path.is_file() and path.name not in ("lock", "source", "sha256", "expected")
        ]


@pytest.fixture
def begun(core: Core, small: Workflow) -> Iterator[uuid.UUID]:
    """A run of the small workflow over a source that is there: the id of its first stage."""
    with core.session() as session:
        recording = add_recording(session, size=SOURCE)
        core.storage.put_bytes(recording.artefacts[0].key, bytes(SOURCE), "application/octet-stream")
        run = runs.start(session, recording, "small")
        found = session.query(StageRun.id).filter_by(run_id=run.id, stage="look").scalar()
    yield found
    with core.session() as session:
        session.execute(text("DELETE FROM runs"))  # before its workflow is unknown again


def row_of(core: Core, stage_run_id: uuid.UUID) -> StageRun:
    with core.session() as session:
        row = session.get_one(StageRun, stage_run_id)
        session.expunge(row)
        return row


def jobs(core: Core) -> list[float]:
    """In how many seconds each waiting job may be taken."""
    with core.session() as session:
        query = text(
            "SELECT extract(epoch FROM scheduled_at - now())::float FROM procrastinate_jobs WHERE status = 'todo'"
        )
        return [seconds or 0.0 for seconds in session.scalars(query)]


def test_a_stage_without_room_waits_and_goes_on_when_there_is_some(
    core: Core, begun: uuid.UUID, tmp_path: Path
) -> None:
    short = Machine(core, tmp_path, budget=SOURCE)
    for _ in range(60):  # more often than a stage may be taken up
        with core.session() as session:
            session.execute(text("DELETE FROM procrastinate_jobs"))  # the job that brought us here
        short.runner.run(begun)
    row = row_of(core, begun)
    assert (row.state, row.attempt, row.failures, row.error, short.ran) == (StageState.QUEUED, 0, 0, "", 0)
    assert row.waits_for == "Waiting: not enough room on the worker's disk: 20 MB needed, 3.1 MB free."
    (seconds,) = jobs(core)
    assert 0 < seconds <= ROOM_SECONDS
    assert short.left() == []
    short.disk.budget = SOURCE + SMALL + MB
    short.runner.run(begun)
    row = row_of(core, begun)
    assert (row.state, row.attempt, row.waits_for, short.ran) == (StageState.SUCCEEDED, 1, "", 1)
    assert short.left() == []


def test_another_machine_goes_on(core: Core, begun: uuid.UUID, tmp_path: Path) -> None:
    short, roomy = Machine(core, tmp_path / "short", budget=SOURCE), Machine(core, tmp_path / "roomy", budget=0)
    short.runner.run(begun)
    roomy.runner.run(begun)
    assert (short.ran, roomy.ran, row_of(core, begun).state) == (0, 1, StageState.SUCCEEDED)


def test_the_reason_is_shown(core: Core, begun: uuid.UUID, tmp_path: Path) -> None:
    Machine(core, tmp_path, budget=1).runner.run(begun)
    with core.session() as session:
        row = session.get_one(StageRun, begun)
        recording = session.get_one(Recording, row.run.recording_id)
        told = standing.progress(recording, standing.latest_run(session, recording))
    assert re.fullmatch(r"Waiting: not enough room .* 20 MB needed, 0 kB free\.", told.stages[0]["waiting"])
    assert {stage["waiting"] for stage in told.stages[1:]} == {""}


def test_a_disk_that_fills_up_meanwhile_is_no_failure(core: Core, begun: uuid.UUID, tmp_path: Path) -> None:
    full = Machine(core, tmp_path, budget=0)

    def fills_up(context: StageContext) -> Result:
        (context.scratch / "left").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    full.code = fills_up  # type: ignore[method-assign]
    full.runner.run(begun)
    row = row_of(core, begun)
    assert (row.state, row.failures, row.attempt) == (StageState.QUEUED, 0, 1)
    assert "disk" in row.error
    assert full.left() == []


def test_no_room_for_the_source_is_found_before_any_work(core: Core, begun: uuid.UUID, tmp_path: Path) -> None:
    full = Machine(core, tmp_path, budget=0)

    def no_room(context: StageContext) -> Result:
        raise NoRoomError("Waiting: not enough room.")

    full.code = no_room  # type: ignore[method-assign]
    for _ in range(45):
        full.runner.run(begun)
    row = row_of(core, begun)
    assert (row.state, row.failures, row.attempt, row.waits_for) == (
        StageState.QUEUED, 0, 45, "Waiting: not enough room.",
    )  # fmt: skip
    full.code = full._look  # type: ignore[method-assign]
    full.runner.run(begun)
    assert row_of(core, begun).state == StageState.SUCCEEDED


def test_a_busy_machine_short_of_memory_finishes_something_first(
    core: Core, begun: uuid.UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Machine(core, tmp_path, budget=0)
    here.runner.run(begun)
    with core.session() as session:
        cut = session.query(StageRun.id).filter_by(stage="cut", chunk=0).scalar()
    done: list[int] = []
    here.runner.registry["small", "cut"] = lambda context: (done.append(1), Result())[1]  # type: ignore[index, func-returns-value]
    monkeypatch.setattr(machine, "free_memory", lambda **_: 100 * 10**6)
    with here.pulse.holding(Held(uuid.uuid4(), 1, 1e12)):
        here.runner.run(cut)
    assert (done, row_of(core, cut).waits_for) == (
        [], "Waiting: not enough memory on the worker's machine: 537 MB needed, 100 MB free.",
    )  # fmt: skip
    here.runner.run(cut)  # with nothing else going on, waiting would not help
    assert (done, row_of(core, cut).state) == ([1], StageState.SUCCEEDED)


# -- what is set aside -----------------------------------------------------------------------------------------------------


def test_stages_that_begin_together_do_not_count_on_the_same_room(tmp_path: Path) -> None:
    first, second = (Scratch(tmp_path, 10 * MB) for _ in range(2))  # two processes of one machine
    run, other = uuid.uuid4(), uuid.uuid4()
    with first.folder(run, Need(2 * MB, 3 * MB)) as folder:
        (folder / "made").write_bytes(bytes(2 * MB))  # of the 3 that were set aside for it
        same = second.folder(run, Need(2 * MB, 4 * MB))  # of the same source
        with same, pytest.raises(NoRoomError, match="free"), second.folder(other, Need(0, 2 * MB)):
            pass
    with second.folder(other, Need(1 * MB, 7 * MB)):
        pass


def test_sources_that_nobody_works_on_make_room(tmp_path: Path, core: Core) -> None:
    disk = Scratch(tmp_path, 4 * MB)
    key = keys.source(uuid.uuid4(), uuid.uuid4())
    core.storage.put_bytes(key, bytes(3 * MB), "application/octet-stream")
    idle, busy = uuid.uuid4(), uuid.uuid4()
    disk.source(core.storage, idle, key, 3 * MB, "", lambda: None)
    with pytest.raises(NoRoomError), disk.folder(idle, Need(0, 2 * MB)):
        pass
    assert (disk.sources / str(idle)).exists()  # it is this run's own
    with disk.folder(busy, Need(1 * MB, 2 * MB)):
        assert not (disk.sources / str(idle)).exists()


def test_places_on_a_machine_are_shared_by_its_workers(tmp_path: Path) -> None:
    first, second = Scratch(tmp_path), Scratch(tmp_path)
    held = first.slots("encode", 3, 2)
    assert (len(held), len(second.slots("transcribe", 1, 2))) == (2, 1)
    rest = second.slots("encode", 3, 2)
    assert (len(rest), len(second.slots("encode", 3, 2))) == (1, 0)
    for place in held:
        place.close()
    assert len(second.slots("encode", 3, 5)) == 2


@pytest.mark.parametrize(
    ("size", "up", "words"),
    [
        (0, False, "0 kB"), (999, True, "1 kB"), (12_000_000_000, True, "12 GB"), (2_960_000_000, False, "2.9 GB"),
        (2_910_000_000, True, "3 GB"), (10_400_000, True, "11 MB"), (10_400_000, False, "10 MB"),
    ],
)  # fmt: skip
def test_sizes_in_words(size: int, up: bool, words: str) -> None:
    assert in_words(size, up=up) == words


# -- what a stage needs ----------------------------------------------------------------------------------------------------


def plan(seconds: int = 100, *, copied: bool = False) -> ladder.Plan:
    rungs = (ladder.Rung("720p", 1280, 720, 23, 2500, copied), ladder.Rung("360p", 640, 360, 25, 600))
    chunks = tuple(ladder.Chunk(n, n * 250, 250) for n in range(10))
    return ladder.Plan("1", "mp4", 0, 0.0, True, False, None, "25", 50, seconds * 25, 1, rungs, chunks, ())


def test_what_stages_need() -> None:
    media = {"media": plan().to_json()}
    source = 7 * 10**9
    needs = {stage.name: room.need(INGEST, stage, media, source) for stage in INGEST}
    # everything that the ladder allows for 100 s is 38.75 MB, so a tenth of it a chunk
    assert needs["transcode"] == Need(source, 3_875_000 + SMALL)
    assert needs["join"].work > 2 * 2500 * 125 * 100
    assert needs["transcribe"].work >= 100 * 32_000
    assert {name for name, need in needs.items() if need.source} == {
        *("probe", "first_sound", "audio", "copy", "transcode"),
    }
    assert needs["finish"] == Need()
    assert room.need(ERASE, ERASE.stages[0], {}, source) == Need()
    copied = room.need(INGEST, INGEST.stage("copy"), {"media": plan(copied=True).to_json()}, source)
    assert copied.work >= source
    assert room.need(INGEST, INGEST.stage("join"), {}, source).work == source + SMALL  # no plan that can be read


# -- what a machine tells --------------------------------------------------------------------------------------------------


def test_accounting_where_there_is_a_cgroup(tmp_path: Path) -> None:
    group = tmp_path / "cgroup" / "vignette" / "worker"
    group.mkdir(parents=True)
    for name, value in (("memory.current", "400"), ("memory.peak", "700"), ("memory.max", "1000"), ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n")):  # fmt: skip
        (group / name).write_text(value + "\n")
    own = tmp_path / "own"
    own.write_text("1:cpu:/other\n0::/vignette/worker\n")
    found = machine.cgroup(own, tmp_path / "cgroup")
    assert found == group
    assert machine.accounting(found) == {
        "memory_bytes": 400, "memory_peak_bytes": 700, "memory_limit_bytes": 1000, "cpu_seconds": 2.5,
    }  # fmt: skip
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:   2 kB\n")
    assert machine.free_memory(meminfo) == 2048
    assert machine.free_memory(meminfo, group) == 600
    (group / "memory.max").write_text("max\n")
    assert machine.free_memory(meminfo, group) == 2048


def test_accounting_is_absent_elsewhere(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("4:memory:/x\n0::/\n")
    assert machine.cgroup(own, tmp_path) is None
    assert machine.cgroup(tmp_path / "nothing", tmp_path) is None
    assert set(machine.accounting(None).values()) == {None}
    assert machine.facts(tmp_path)["disk_free_bytes"] > 0
