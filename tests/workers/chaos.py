"""Faults at random moments of a run, and what must be true afterwards: for `bench/chaos.py` and for the sample of it in
the tests.

Each round sends one small recording of several chunks through real worker processes, and one thing goes wrong on the
way. Which, when, for how long and for whom is drawn from the round's own seed. At the end the recording must be what an
undisturbed run made of it, to the byte, with nothing left over anywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core import Core
from app.db.captions import CaptionTrack, CaptionVersion
from app.db.recordings import Recording, RecordingState
from app.db.runs import Run, RunState, StageState
from app.settings import Settings
from app.storage import keys
from tests.support.services import Services
from tests.workers.harness import TIMINGS, WorkerProcess, children, ended, in_session, ingest, make_video, strays
from workers.pulse import DATABASE_AWAY
from workers.tidy import tidy

#: What goes wrong, as the issue of a machine room: see the functions of the same name.
KINDS = ("kill", "freeze", "memory", "disk", "storage", "database")
#: A run must have ended this long after its fault has, and whoever it had ended was back.
LIMIT_SECONDS = 120
CHUNKS = 3
#: Captions without a speech model: two words that are heard in every recording. All else about captions is as it is.
CAPTIONS = """
from pathlib import Path
from app.captions.engines import Transcript
from app.captions.words import Word
from workers.stages import transcribe
transcribe._model = lambda context: Path("/dev/null")
transcribe._hear = lambda context, wave, model: Transcript(
    (Word(0.5, 0.9, "Good", 0.9), Word(1.0, 1.4, "morning.", 0.9)), "en", "made", "made", 6.0, 1.0)
"""


@dataclass
class Outcome:
    """One round. `problems` are sentences; none of them may be there. `seconds` go from the fault's end to the run's;
    `redone` counts chunks whose encoding was begun and came to nothing."""

    round: int
    kind: str
    detail: str = ""
    met: list[str] = field(default_factory=list)
    seconds: float = 0.0
    redone: int = 0
    late_objects: int = 0
    given_up: int = 0
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """A plain object for a report."""
        return asdict(self)


class Crew:
    """Workers that are started again whenever they end, as what watches over them does."""

    def __init__(self, settings: Settings, log: Path, size: int, timings: str = TIMINGS) -> None:
        self.settings, self.log, self.timings = settings, log, timings
        self.exits: list[int] = []
        self.workers = [self._start() for _ in range(size)]

    def _start(self) -> WorkerProcess:
        return WorkerProcess(self.settings, self.log, timings=self.timings, first=CAPTIONS)

    def tend(self) -> None:
        """Start again whoever has ended."""
        for place, worker in enumerate(self.workers):
            if (status := worker.process.poll()) is not None:
                self.exits.append(status)
                self.workers[place] = self._start()

    def ready(self) -> bool:
        """Whether all of them have said that they work."""
        self.tend()
        started = {
            entry["worker"].rpartition("-")[2] for entry in _lines(self.log) if entry["event"] == "worker started"
        }
        return all(str(worker.pid) in started for worker in self.workers)

    def at_work(self, core: Core) -> list[WorkerProcess]:
        """Workers that hold a stage now; all of them when none does, or when nobody can say."""
        with contextlib.suppress(*DATABASE_AWAY):
            names = in_session(
                core, lambda s: list(s.scalars(text("SELECT worker FROM stage_runs WHERE state = 'running'")))
            )
            pids = {int(name.rpartition("-")[2]) for name in names}
            if busy := [worker for worker in self.workers if worker.pid in pids]:
                return busy
        return self.workers

    def stop(self) -> list[int]:
        """Tell all to end, once they have all begun. Returns their exit statuses."""
        _until(self.ready, 120)
        for worker in self.workers:
            worker.process.terminate()
        return [worker.process.wait(30) for worker in self.workers]

    def end(self) -> None:
        """Whatever state they are in."""
        for worker in self.workers:
            worker.end()


class World:
    """Services, workers, a video, and what an undisturbed run makes of it."""

    def __init__(
        self, core: Core, services: Services, folder: Path, *, workers: int = 2, timings: str = TIMINGS
    ) -> None:
        self.core, self.services = core, services
        self.data = core.settings.data
        self.video = make_video(folder / "video.mp4", seconds=2 * CHUNKS, size="640x480")
        self.log = folder / "workers.log"
        self.crew = Crew(core.settings, self.log, workers, timings)
        self.expected: dict[str, str] = {}
        self.usual_seconds = 0.0

    def undisturbed(self) -> None:
        """Learn what a run makes when nothing goes wrong, and how long it takes."""
        _until(lambda: self.log.read_text().count("worker started") >= len(self.crew.workers), 60)
        for _ in range(2):  # the first one is slower: workers load what they need
            recording_id, _ = ingest(self.core, self.video)
            began = time.monotonic()
            if not _until(lambda: ended(self.core, recording_id), LIMIT_SECONDS):  # noqa: B023
                raise RuntimeError("the undisturbed run did not end")
            self.usual_seconds = time.monotonic() - began
        self.expected = in_session(self.core, lambda session: _made(session, recording_id))
        outcome = Outcome(0, "none")
        self._check(outcome, recording_id)
        if outcome.problems:
            raise RuntimeError(f"the undisturbed run: {outcome.problems}")

    def play(self, number: int, kind: str, chance: random.Random) -> Outcome:
        """One round."""
        outcome = Outcome(number, kind)
        exits, mark = len(self.crew.exits), self.log.stat().st_size
        self.crew.tend()
        recording_id, run_id = ingest(self.core, self.video)
        if not _until(lambda: self._running(run_id) or ended(self.core, recording_id), 60):
            outcome.problems.append("no worker took the run up")
            return outcome
        # the moment is what is random here; nothing is waited for
        time.sleep(chance.uniform(0, self.usual_seconds * 0.9))
        outcome.met = self._running(run_id)
        lost = FAULTS[kind](self, outcome, chance)
        over = time.monotonic()
        outcome.detail += f"; lost {lost}"
        # on a busy machine a worker may take long to start again; what it does then is what is measured
        if not _until(lambda: self.crew.ready() or self._tended(recording_id), 300):
            outcome.problems.append("the workers did not start again")
        if not _until(lambda: self._tended(recording_id), LIMIT_SECONDS):
            outcome.problems.append(f"not ended {LIMIT_SECONDS} s after the fault")
            outcome.problems.append(str(in_session(self.core, lambda s: _states(s, run_id))))
            return outcome
        outcome.seconds = round(time.monotonic() - over, 1)
        self.crew.tend()
        outcome.given_up = self.crew.exits[exits:].count(75)
        self._check(outcome, recording_id)
        if kind != "disk" and outcome.redone > max(lost, outcome.given_up):
            outcome.problems.append(f"{outcome.redone} chunks were done again for {lost} lost workers or programs")
        outcome.problems += _broken(self.log, mark)
        return outcome

    def _tended(self, recording_id: uuid.UUID) -> bool:
        self.crew.tend()
        try:
            return ended(self.core, recording_id)
        except DATABASE_AWAY:
            return False

    def _running(self, run_id: uuid.UUID) -> list[str]:
        query = text("SELECT stage FROM stage_runs WHERE run_id = :run AND state = 'running'")
        try:
            return in_session(self.core, lambda session: list(session.scalars(query, {"run": run_id})))
        except DATABASE_AWAY:
            return []

    def _check(self, outcome: Outcome, recording_id: uuid.UUID) -> None:
        """All that must be true once the run has ended."""
        jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")
        if not _until(lambda: in_session(self.core, lambda s: s.scalar(jobs)) == 0, 30):
            outcome.problems.append("jobs are left in the queue")
        if not _until(lambda: not strays(self.data), 15):
            outcome.problems.append("a program outlived its worker")
        if not _until(lambda: not self._litter(), 15):
            outcome.problems.append(f"scratch is not empty: {[path.name for path in self._litter()]}")
        # what a given-up worker stored late is removed by the upkeep, which comes every few minutes
        outcome.late_objects = tidy(self.core, recording_id)
        in_session(self.core, lambda session: self._compare(session, outcome, recording_id))

    def _litter(self) -> list[Path]:
        return [path for path in (self.data / "scratch").rglob("*") if path.is_file() and path.name != "lock"]

    def _compare(self, session: Session, outcome: Outcome, recording_id: uuid.UUID) -> None:
        problems = outcome.problems
        recording = session.get_one(Recording, recording_id)
        if (recording.state, recording.reason) != (RecordingState.READY, ""):
            problems.append(f"the recording is {recording.state.value}: {recording.reason}")
            return
        made = _made(session, recording_id)
        if made != self.expected:
            wrong = sorted(name for name in made.keys() | self.expected if made.get(name) != self.expected.get(name))
            problems.append(f"lost, doubled or other bytes: {wrong}")
        stored = dict(self.core.storage.objects(keys.recording_prefix(recording_id)))
        if stored != {a.key: a.size for a in recording.artefacts}:
            problems.append(f"{len(stored)} objects for {len(recording.artefacts)} artefacts")
        runs = session.query(Run).filter_by(recording_id=recording_id).all()
        if [run.state for run in runs] != [RunState.SUCCEEDED]:
            problems.append(f"runs: {[run.state.value for run in runs]}")
        stages = runs[0].stages
        if left := [s.stage for s in stages if s.state not in (StageState.SUCCEEDED, StageState.SKIPPED)]:
            problems.append(f"stages that did not end well: {left}")
        chunks = [s for s in stages if s.stage == "transcode"]
        if [s.chunk for s in chunks] != list(range(CHUNKS)):
            problems.append(f"chunks: {[s.chunk for s in chunks]}")
        outcome.redone = sum(s.attempt - 1 for s in chunks) - _idle_ends(self.log, str(runs[0].id))
        versions = session.query(CaptionVersion).join(CaptionTrack).filter(CaptionTrack.recording_id == recording_id)
        if (count := versions.count()) != 1:
            problems.append(f"{count} caption versions")
        if twice := _doubled(self.log, str(runs[0].id)):
            problems.append(f"ended well more than once: {twice}")


def _made(session: Session, recording_id: uuid.UUID) -> dict[str, str]:
    """What a recording has, by kind and name, with the digest of each."""
    recording = session.get_one(Recording, recording_id)
    return {f"{a.kind.value}:{a.name}": a.sha256 for a in recording.artefacts}


def _states(session: Session, run_id: uuid.UUID) -> list[tuple[str, int, str, int, str]]:
    return [(s.stage, s.chunk, s.state.value, s.attempt, s.error) for s in session.get_one(Run, run_id).stages]


def _lines(log: Path, start: int = 0) -> Iterator[dict[str, Any]]:
    with log.open("rb") as file:
        file.seek(start)
        for line in file:
            with contextlib.suppress(ValueError):  # a killed process may leave half a line
                yield json.loads(line)


def _doubled(log: Path, run_id: str) -> dict[tuple[str, int], int]:
    """Stages of a run that workers say have ended well more than once, with how often."""
    ends: Counter[tuple[str, int]] = Counter()
    for entry in _lines(log):
        if (entry["event"], entry.get("action"), entry.get("run_id")) == ("stage ended", "succeeded", run_id):
            ends[entry["stage"], entry["chunk"]] += 1
    return {key: count for key, count in ends.items() if count > 1}


def _idle_ends(log: Path, run_id: str) -> int:
    """How often a chunk was put off before its encoding began, because a service was away."""
    return sum(
        (entry["event"], entry.get("run_id"), entry.get("stage")) == ("stage ended", run_id, "transcode")
        and entry["action"] == "away"
        and entry["cpu_seconds"] == 0
        for entry in _lines(log)
    )


def _broken(log: Path, start: int) -> list[str]:
    """What the workers themselves call an error, other than a lost connection: nothing here is foreseen."""
    return [
        f"a worker says: {entry['event']} {entry.get('error', '')} {entry.get('frames', '')}"
        for entry in _lines(log, start)
        if entry["level"] in ("error", "critical") and entry["event"] in ("a stage broke", "a part of the worker broke")
    ]


def _until(what: Callable[[], Any], seconds: float) -> bool:
    """Whether it came true in time."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


# -- what goes wrong: each returns how many workers, or programs of theirs, it has cost --------------------------------


def kill(world: World, outcome: Outcome, chance: random.Random) -> int:
    """A worker that holds a stage is killed, now and then all of them at once; their programs must go with them."""
    crew = world.crew
    victims = list(crew.workers) if chance.random() < 0.25 else [chance.choice(crew.at_work(world.core))]
    programs = [pid for victim in victims for pid in children(victim.pid)]
    for victim in victims:
        victim.process.kill()
    for victim in victims:
        victim.process.wait()
    outcome.detail = f"{len(victims)} workers with {len(programs)} programs"
    if not _until(lambda: not any(_works(pid) for pid in programs), 5):
        outcome.problems.append("a program outlived its killed worker")
    return len(victims)


def freeze(world: World, outcome: Outcome, chance: random.Random) -> int:
    """A worker stands still, shorter or longer than it takes others to give it up, and wakes up again."""
    victim = chance.choice(world.crew.at_work(world.core))
    seconds = chance.choice((chance.uniform(0.2, 2), chance.uniform(4, 12)))
    outcome.detail = f"for {seconds:.1f} s"
    victim.process.send_signal(signal.SIGSTOP)
    _hold(world, seconds)
    victim.process.send_signal(signal.SIGCONT)
    return 1


def memory(world: World, outcome: Outcome, chance: random.Random) -> int:
    """The kernel kills a program that reads the upload, or gives it no more memory."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [pid for pid in strays(world.data) if _works(pid)]
        return bool(found)

    if not _until(look, 3):
        outcome.detail = "no program was there"
        return 0
    victim = chance.choice(found)
    with contextlib.suppress(ProcessLookupError):
        if chance.random() < 0.3 and "ffmpeg" in _name(victim):
            resource.prlimit(victim, resource.RLIMIT_AS, (1 << 20, 1 << 20))
            outcome.detail = f"{_name(victim)} gets no more"
        else:
            outcome.detail = f"{_name(victim)} is killed"
            os.kill(victim, signal.SIGKILL)
    return 1


def disk(world: World, outcome: Outcome, chance: random.Random) -> int:
    """The workers' disk is full for some seconds. It must be one of its own: `small_disk` makes it."""
    filler = world.data / "filler"
    seconds = chance.uniform(0.5, 6)
    outcome.detail = f"for {seconds:.1f} s"
    room = os.statvfs(world.data)
    with filler.open("wb") as file:
        left = room.f_bavail * room.f_frsize
        while left > 0:  # programs take and give back room meanwhile
            try:
                os.posix_fallocate(file.fileno(), file.tell(), left)
                file.seek(0, os.SEEK_END)
            except OSError:
                left //= 2
    _hold(world, seconds)
    filler.unlink()
    return 0


def storage(world: World, outcome: Outcome, chance: random.Random) -> int:
    """S3 is killed and comes back some seconds later, or stands still for as long."""
    seaweedfs = world.services.seaweedfs
    seconds = chance.uniform(0.2, 5)
    process = seaweedfs.process
    assert process is not None
    if chance.random() < 0.3:
        outcome.detail = f"still for {seconds:.1f} s"
        process.send_signal(signal.SIGSTOP)
        _hold(world, seconds)
        process.send_signal(signal.SIGCONT)
        return 0
    outcome.detail = f"down for {seconds:.1f} s"
    process.kill()
    process.wait()
    _hold(world, seconds)
    seaweedfs.start()
    return 0


def database(world: World, outcome: Outcome, chance: random.Random) -> int:
    """The database is restarted, or killed and started again."""
    postgres = world.services.postgres
    seconds = chance.choice((0.0, chance.uniform(0.2, 4)))
    assert postgres.process is not None
    if chance.random() < 0.5:
        outcome.detail = f"killed, away for {seconds:.1f} s"
        postgres.process.kill()
        postgres.process.wait()
        postgres.process = None
    else:
        outcome.detail = f"stopped, away for {seconds:.1f} s"
        postgres.stop()
    _hold(world, seconds)
    postgres.start()
    return 0


FAULTS: dict[str, Callable[[World, Outcome, random.Random], int]] = {
    "kill": kill, "freeze": freeze, "memory": memory, "disk": disk, "storage": storage, "database": database,
}  # fmt: skip


def _hold(world: World, seconds: float) -> None:
    """The fault lasts; who ends meanwhile is started again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        world.crew.tend()
        time.sleep(0.05)


def _works(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "400m") -> Iterator[bool]:
    """A disk of its own at `folder`, in memory. False where this process may not mount one: it then is a plain folder."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "vignette-chaos", str(folder)]
    mounted = subprocess.run(argv, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def schedule(kinds: Sequence[str], rounds: int, seed: int) -> list[tuple[str, random.Random]]:
    """What goes wrong in each round, all kinds alike often, and each round's own chance: the same for the same seed, so
    that one round can be played again."""
    order = random.Random(seed)
    drawn: list[str] = []
    while len(drawn) < rounds:
        drawn += order.sample(list(kinds), len(kinds))
    return [(kind, random.Random(f"{seed}:{number}")) for number, kind in enumerate(drawn[:rounds], 1)]
