from __future__ import annotations

from typing import Any

import pytest

from app.pipeline.spec import BadWorkflowError, Stage, Workflow
from app.pipeline.workflows import INGEST, WORKFLOWS


def stage(name: str, *needs: str, **more: Any) -> Stage:
    return Stage(name=name, label=name, needs=needs, **more)


@pytest.mark.parametrize(
    ("stages", "planner", "says"),
    [
        ([], "", "no stages"),
        ([stage("a"), stage("a")], "", "two of one name"),
        ([stage("a", "b")], "", "not there"),
        ([stage("a", "b"), stage("b", "a")], "", "circle"),
        ([stage("b", "a"), stage("a")], "", "listed before"),
        ([stage("a", per_chunk=True)], "", "no stage makes the plan"),
        ([stage("a"), stage("b", when="x")], "a", "before it is made"),
        ([stage("a", optional=True)], "a", "cannot make the plan"),
        ([stage("a")], "b", "cannot make the plan"),
    ],
)
def test_a_workflow_that_contradicts_itself_is_refused(stages: list[Stage], planner: str, says: str) -> None:
    with pytest.raises(BadWorkflowError, match=says):
        Workflow("w", tuple(stages), planner)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "no name"},
        {"queue": "fast"},
        {"retries": -1},
        {"timeout_seconds": 0},
        {"weight": 0},
        {"version": 0},
        {"priority": 9},
        {"priority": -1},
        {"urgent_chunks": 1},
        {"urgent_chunks": -1},
    ],
)
def test_a_stage_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadWorkflowError):
        Stage(**{"name": "a", "label": "A", **wrong})


def test_nothing_that_a_viewer_can_do_without_can_fail_an_ingest() -> None:
    assert {s.name for s in INGEST if s.optional} == {
        *("first_sound", "stills", "waves", "transcribe", "poster", "peaks"),
    }


def test_every_label_is_a_phrase_for_people() -> None:
    for workflow in WORKFLOWS.values():
        for s in workflow:
            assert s.label[0].isupper(), s.name
            assert "_" not in s.label, s.name
