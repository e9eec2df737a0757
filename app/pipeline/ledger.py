"""The ledger's rules: given where each stage of a run is, what may happen next. Pure; states are the words that
`app.db.runs` stores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.pipeline.spec import Stage, Workflow

Facts = Mapping[str, Any]

WAITING, QUEUED, RUNNING = "waiting", "queued", "running"
SUCCEEDED, FAILED, SKIPPED, CANCELLED = "succeeded", "failed", "skipped", "cancelled"
ENDED = frozenset({SUCCEEDED, FAILED, SKIPPED, CANCELLED})


class Cell(NamedTuple):
    """One row of a run: stage, chunk (0 where the stage has no chunks) and state; `progress` is 0 to 1."""

    stage: str
    chunk: int
    state: str
    progress: float = 0.0


Place = tuple[str, int]


@dataclass
class Moves:
    """What is to change. `outcome` is "succeeded", "failed" or "cancelled" once the run has ended; `broken` is true
    from the moment it cannot succeed any more."""

    queue: list[Place] = field(default_factory=list)
    skip: list[Place] = field(default_factory=list)
    cancel: list[Place] = field(default_factory=list)
    outcome: str | None = None
    broken: bool = False


def rows(workflow: Workflow, facts: Facts | None) -> list[Place]:
    """The rows that a run has: without facts, those of stages without chunks; with facts, all."""
    found: list[Place] = []
    for stage in workflow:
        if not stage.per_chunk:
            found.append((stage.name, 0))
        elif facts is not None and wanted(stage, facts):
            found += [(stage.name, chunk) for chunk in range(int(facts["chunks"]))]
    return found


def wanted(stage: Stage, facts: Facts) -> bool:
    """Whether the plan asks for the stage. A plan made before there was such a stage does not."""
    return not stage.when or bool(facts.get(stage.when))


def settled(stage: Stage, state: str) -> bool:
    """Whether a row in this state lets the stages that need it go on."""
    return state in (SUCCEEDED, SKIPPED) or (state == FAILED and stage.optional)


def advance(workflow: Workflow, cells: Iterable[Cell], facts: Facts | None, *, stopping: bool = False) -> Moves:
    """What follows from where the rows are.

    Calling it again after its moves were made gives no new `queue`, `skip` or `cancel`: nothing is queued twice.

    Args:
        facts: None until the planner has succeeded.
        stopping: the run was cancelled, or has failed already: nothing new starts.
    """
    by_stage: dict[str, dict[int, str]] = {stage.name: {} for stage in workflow}
    for cell in cells:
        by_stage[cell.stage][cell.chunk] = cell.state
    moves = Moves()
    failed = any(
        state == FAILED and not stage.optional for stage in workflow for state in by_stage[stage.name].values()
    )
    moves.broken = failed or stopping
    if moves.broken:
        _wind_down(by_stage, moves, failed=failed)
        return moves
    done: set[str] = set()
    for stage in workflow:
        states = by_stage[stage.name]
        if all(need in done for need in stage.needs):
            _open(stage, states, facts, moves)
        known = not stage.per_chunk or facts is not None
        if known and all(settled(stage, state) for state in states.values()):
            done.add(stage.name)
    if len(done) == len(workflow.stages):
        moves.outcome = SUCCEEDED
    return moves


def _open(stage: Stage, states: dict[int, str], facts: Facts | None, moves: Moves) -> None:
    """Queue or skip the waiting rows of a stage that has all it needs."""
    skip = facts is not None and not wanted(stage, facts)
    for chunk in sorted(chunk for chunk, state in states.items() if state == WAITING):
        states[chunk] = SKIPPED if skip else QUEUED
        (moves.skip if skip else moves.queue).append((stage.name, chunk))


def _wind_down(by_stage: Mapping[str, dict[int, str]], moves: Moves, *, failed: bool) -> None:
    running = False
    for name, states in by_stage.items():
        for chunk, state in sorted(states.items()):
            if state in (WAITING, QUEUED):
                moves.cancel.append((name, chunk))
            running = running or state == RUNNING
    if not running:
        moves.outcome = FAILED if failed else CANCELLED


# -- what need not be done again ---------------------------------------------------------------------------------------


def fingerprint(name: str, version: int, inputs: Sequence[str]) -> str:
    """SHA-256, hexadecimal, of a stage's name, its version and the digests of what it reads."""
    return hashlib.sha256(json.dumps([name, version, list(inputs)]).encode()).hexdigest()


def fingerprints(workflow: Workflow, facts: Facts) -> dict[str, str]:
    """Fingerprint of each stage under a plan: equal ones make equal results. The planner is known by its facts. A fact that
    a plan of an older program does not state differs from every one that is stated."""
    found: dict[str, str] = {}
    for stage in workflow:
        inputs = [found[need] for need in stage.needs if need != workflow.planner]
        inputs += [f"{fact}={json.dumps(facts.get(fact), sort_keys=True)}" for fact in stage.reads]
        found[stage.name] = fingerprint(stage.name, stage.version, inputs)
    return found


@dataclass(frozen=True)
class Reuse:
    """Stages whose lasting results are there already, and stages whose passing results nobody needs then."""

    reused: frozenset[str]
    needless: frozenset[str]


def reuse(
    workflow: Workflow, prints: Mapping[str, str], done: Mapping[str, Any] | frozenset[str], facts: Facts
) -> Reuse:
    """What a new run need not do when results with the fingerprints in `done` are still kept. A stage that the plan does
    not ask for needs nothing."""
    reused = {s.name for s in workflow if s.makes and prints[s.name] in done}
    needless: set[str] = set()
    for stage in reversed(workflow.stages):
        after = workflow.dependants(stage.name)
        if stage.name == workflow.planner or stage.makes or not after:
            continue
        if all(d.name in reused or d.name in needless or not wanted(d, facts) for d in after):
            needless.add(stage.name)
    return Reuse(frozenset(reused), frozenset(needless))


# -- progress ----------------------------------------------------------------------------------------------------------


def share(state: str, progress: float) -> float:
    """How much of a row is done, 0 to 1. An optional stage that failed will do no more."""
    if state in ENDED:
        return 1.0
    return min(max(progress, 0.0), 1.0) if state == RUNNING else 0.0


def fraction(workflow: Workflow, cells: Sequence[Cell]) -> float:
    """Progress of the whole, 0 to 1: stages by weight, a stage's chunks alike. Skipped stages weigh nothing; a stage
    whose chunks are not known yet has all its weight before it."""
    total = done = 0.0
    for stage in workflow:
        own = [cell for cell in cells if cell.stage == stage.name]
        if own and all(cell.state == SKIPPED for cell in own):
            continue
        if not own and any(cell.state == SUCCEEDED and cell.stage == workflow.planner for cell in cells):
            continue  # the plan asks for no chunk
        total += stage.weight
        if own:
            done += stage.weight * sum(share(cell.state, cell.progress) for cell in own) / len(own)
    return done / total if total else 1.0


def seconds_left(done: float, elapsed_seconds: float) -> int | None:
    """How long the rest takes if it goes on as before; None while too little is known."""
    if done <= 0.02 or elapsed_seconds < 1:
        return None
    return max(0, round(elapsed_seconds * (1 - done) / done))
