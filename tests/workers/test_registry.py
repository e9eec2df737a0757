from __future__ import annotations

import pytest

from app.errors import Misconfigured
from app.pipeline.spec import QUEUES
from app.pipeline.workflows import WORKFLOWS
from workers.__main__ import chosen
from workers.registry import STAGES


def test_every_declared_stage_has_its_code_and_no_code_is_left_over() -> None:
    assert set(STAGES) == {(workflow.name, stage.name) for workflow in WORKFLOWS.values() for stage in workflow}


def test_every_queue_is_used_by_a_stage() -> None:
    assert {stage.queue for workflow in WORKFLOWS.values() for stage in workflow} == set(QUEUES)


def test_queues_are_named_with_commas_between() -> None:
    assert chosen("encode, light") == ["light", "encode"]
    assert chosen("") == list(QUEUES)
    with pytest.raises(Misconfigured):
        chosen("encode,fast")
