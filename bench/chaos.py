"""Faults at random moments of runs: nothing may be lost or doubled, and every run must end.

    python bench/chaos.py [--rounds 200] [--seed 1] [--start 1] [--minutes 0] [--report FILE] [--only KIND,...]

Each round: a recording of three chunks through two real worker processes, PostgreSQL and S3, and one fault: a worker
killed or frozen, a program out of memory, a full disk, S3 or database away. `tests/workers/chaos.py` says what happens
and what must be true afterwards. One line a round, as it ends, also in the report as JSON: a run that is cut off has
told what it saw, and `--start` goes on there. The full disk needs root, because a small disk is mounted for it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import flask_migrate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.core import Core, build_core
from app.domain import vocabulary
from app.settings import Settings
from tests.support.services import running_services
from tests.workers.chaos import KINDS, Outcome, World, schedule, small_disk

#: As in tests, but patient enough for a busy machine: a worker that is only slow must not count as lost.
TIMINGS = "beat=0.3, heartbeat=0.6, stalled=4, sweep=0.7, poll=0.3, upkeep=600, stop=4"


def prepared(settings: Settings) -> Core:
    """A core over a migrated database and a bucket."""
    owner = build_core(settings)
    with owner.app.app_context():
        flask_migrate.upgrade()
    with owner.session() as session:
        vocabulary.seed(session)
    owner.storage.ensure_bucket()
    return build_core(settings)


def main() -> None:
    """Play, print a line a round, and last one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=1, help="the first round to play")
    parser.add_argument("--minutes", type=float, default=0, help="stop after the round in which this has passed")
    parser.add_argument("--report", type=Path, help="append each round's JSON to this file")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds of fault, with commas between")
    options = parser.parse_args()
    wanted = [kind for kind in KINDS if kind in options.only.split(",")]
    found: list[Outcome] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vignette-chaos-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        services = stack.enter_context(running_services(folder))
        kinds = [kind for kind in wanted if kind != "disk"]
        if stack.enter_context(small_disk(folder / "data")) and "disk" in wanted:
            kinds.append("disk")
        elif "disk" in wanted:
            print("No small disk can be mounted here (that needs root): no round has a full one.", flush=True)
        url = services.create_database("chaos")
        core = prepared(
            replace(
                services.settings,
                database_url=url,
                owner_database_url=services.owner_url(url),
                data=folder / "data",
                chunk_seconds=2,
                caption_engine="faster-whisper",
                encode_threads=1,
                worker_encode=1,
                log_level="INFO",
            )
        )
        world = World(core, services, folder, timings=TIMINGS)
        stack.callback(world.crew.end)
        world.undisturbed()
        print(f"undisturbed: {world.usual_seconds:.1f} s", flush=True)
        for number, (kind, chance) in enumerate(schedule(kinds, options.rounds, options.seed), 1):
            if number < options.start:
                continue
            outcome = world.play(number, kind, chance)
            found.append(outcome)
            print(
                f"{number:4} {kind:9} {outcome.seconds:6.1f} s  redone {outcome.redone}  {outcome.detail}; met "
                f"{','.join(outcome.met) or '-'}{''.join(f' !! {problem}' for problem in outcome.problems)}",
                flush=True,
            )
            if options.report:
                with options.report.open("a") as report:
                    report.write(json.dumps(outcome.to_json()) + "\n")
            if options.minutes and time.monotonic() - began > options.minutes * 60:
                break
        if any(outcome.problems for outcome in found):
            kept = Path(tempfile.gettempdir()) / f"vignette-chaos-{options.seed}.log"
            kept.write_bytes(world.log.read_bytes())
            print(f"The workers' log is kept in {kept}.")
        statuses = world.crew.stop()
    tell(found, statuses, options.rounds)


def tell(found: list[Outcome], statuses: list[int], rounds: int) -> None:
    """A table by kind, and the line."""
    print(f"{'kind':10}{'rounds':>8}{'wrong':>8}{'longest':>10}{'redone':>8}")
    for kind in KINDS:
        own = [outcome for outcome in found if outcome.kind == kind]
        if own:
            wrong, longest = sum(bool(o.problems) for o in own), max(o.seconds for o in own)
            print(f"{kind:10}{len(own):>8}{wrong:>8}{longest:>8.1f} s{sum(o.redone for o in own):>8}")
    wrong = sum(bool(outcome.problems) for outcome in found)
    print(
        json.dumps(
            {
                "name": "chaos",
                "wrong_rounds": wrong,
                "limit": 0,
                "subject": {
                    "rounds": Counter(outcome.kind for outcome in found),
                    "longest_seconds": max((outcome.seconds for outcome in found), default=0),
                    "stages_met": Counter(stage for outcome in found for stage in outcome.met),
                    "chunks_redone": sum(outcome.redone for outcome in found),
                    "late_objects": sum(outcome.late_objects for outcome in found),
                    "exit_statuses": statuses,
                },
                "reference": {"rounds_asked": rounds},
                "runs": len(found),
            }
        )
    )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
