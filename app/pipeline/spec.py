"""What a workflow is made of. Both classes are data, checked when they are built; code is bound to names elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Literal, get_args

Queue = Literal["light", "encode", "transcribe"]
QUEUES: tuple[Queue, ...] = get_args(Queue)
#: The priority of what somebody waits for before they can watch at all.
URGENT = 9


class BadWorkflowError(ValueError):
    """A workflow that contradicts itself. The message names the stage."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a workflow.

    `name` binds the code; `label` is what people read. `needs` names stages that must be settled first. `makes` names
    the kinds of artefact that stay; a stage that makes none leaves only what later stages of the same run read.
    `retries` is how often it is taken up again after its own failures (a lost worker or an absent service is not one).
    `version` goes into the fingerprint: raise it when the result changes for the same input. A failed `optional`
    stage does not fail the run. `per_chunk` stages have one row for each chunk that the plan counts. `when` names a
    fact of the plan that must be true, else the stage is skipped; `reads` names facts that go into the fingerprint.
    `weight` is the share of the whole work that it usually is, for the progress bar only. Of several stages that could
    run, the one with the highest `priority` does first; the first `urgent_chunks` of a stage come before everything.
    """

    name: str
    label: str
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    queue: Queue = "light"
    retries: int = 2
    timeout_seconds: int = 1800
    version: int = 1
    optional: bool = False
    per_chunk: bool = False
    when: str = ""
    reads: tuple[str, ...] = ()
    weight: float = 1.0
    priority: int = 0
    urgent_chunks: int = 0

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise BadWorkflowError(f"{self.name!r} is not a name for a stage")
        if self.queue not in QUEUES:
            raise BadWorkflowError(f"{self.name}: there is no queue {self.queue!r}")
        if self.retries < 0 or self.timeout_seconds <= 0 or self.weight <= 0 or self.version < 1:
            raise BadWorkflowError(f"{self.name}: retries, time-out, weight or version out of range")
        if not 0 <= self.priority < URGENT or self.urgent_chunks < 0 or (self.urgent_chunks and not self.per_chunk):
            raise BadWorkflowError(f"{self.name}: priority or urgent chunks out of range")

    def priority_of(self, chunk: int) -> int:
        """Higher ones run first, within a run and among runs alike."""
        return URGENT if chunk < self.urgent_chunks else self.priority


@dataclass(frozen=True)
class Workflow:
    """Stages in an order in which they can run.

    `planner` names the stage whose result is the plan: facts that decide which stages run and how many chunks there
    are. Only stages that come after it may depend on facts.

    Raises:
        BadWorkflowError: names twice, a need that is not there, a cycle, or a fact asked before the plan is made.
    """

    name: str
    stages: tuple[Stage, ...]
    planner: str = ""
    priority: int = 0

    def __post_init__(self) -> None:
        by_name = {stage.name: stage for stage in self.stages}
        if not self.stages or len(by_name) != len(self.stages):
            raise BadWorkflowError(f"{self.name}: no stages, or two of one name")
        for stage in self.stages:
            if missing := set(stage.needs) - by_name.keys():
                raise BadWorkflowError(f"{stage.name} needs {', '.join(sorted(missing))}, which is not there")
        try:
            order = tuple(TopologicalSorter({s.name: s.needs for s in self.stages}).static_order())
        except CycleError as error:
            raise BadWorkflowError(f"{self.name}: stages need each other in a circle: {error.args[1]}") from None
        listed = [stage.name for stage in self.stages]
        for stage in self.stages:
            if any(listed.index(need) > listed.index(stage.name) for need in stage.needs):
                raise BadWorkflowError(f"{stage.name} is listed before what it needs; one order is {', '.join(order)}")
        if self.planner:
            self._check_planner(by_name)
        elif any(s.when or s.per_chunk or s.reads for s in self.stages):
            raise BadWorkflowError(f"{self.name}: facts are asked for, but no stage makes the plan")

    def _check_planner(self, by_name: dict[str, Stage]) -> None:
        planner = by_name.get(self.planner)
        if planner is None or planner.optional or planner.per_chunk or planner.when or planner.reads:
            raise BadWorkflowError(f"{self.name}: {self.planner} cannot make the plan")
        for stage in self.stages:
            if (stage.when or stage.per_chunk or stage.reads) and self.planner not in self.ancestors(stage.name):
                raise BadWorkflowError(f"{stage.name} depends on the plan, but may run before it is made")

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def stage(self, name: str) -> Stage:
        """The stage of this name. Raises `KeyError`."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)

    def position(self, name: str) -> int:
        """Where the stage stands in the list, from 0."""
        return [stage.name for stage in self.stages].index(name)

    def ancestors(self, name: str) -> set[str]:
        """Names of all stages that come before this one, near and far."""
        found: set[str] = set()
        todo = [name]
        while todo:
            for need in self.stage(todo.pop()).needs:
                if need not in found:
                    found.add(need)
                    todo.append(need)
        return found

    def dependants(self, name: str) -> list[Stage]:
        """The stages that need this one directly."""
        return [stage for stage in self.stages if name in stage.needs]
