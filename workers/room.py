"""How much of a worker's disk a stage needs: an upper estimate, from the shape of the workflow and the plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import VignetteError
from app.media.ladder import Plan
from app.pipeline.spec import Stage, Workflow

#: Beside pictures: sound as it is kept and as it is listened to (16-bit, 16 kHz), lists and small pictures.
_SOUND_BYTES_PER_SECOND = 16_000 + 32_000
_SMALL = 16 << 20


class NoRoomError(VignetteError):
    """The worker's machine has no room for a stage now. The message is a sentence for people."""

    code = "no-room"


@dataclass(frozen=True)
class Need:
    """Bytes: of the source, which all stages of a run on one machine share, and of the stage's own work. A stage that needs
    none never waits."""

    source: int = 0
    work: int = 0


NOTHING = Need()


def need(workflow: Workflow, stage: Stage, plan: Mapping[str, Any], source_bytes: int) -> Need:
    """What a stage needs.

    The stages that need the plan's own stage are those that read the source. What leaves nothing that lasts and
    hands nothing on (tidying up, erasing) needs no room: it makes some.
    """
    if stage.name == workflow.planner:
        return Need(source_bytes, _SMALL)
    reads_source = workflow.planner in stage.needs
    if not stage.makes and not stage.per_chunk and not reads_source:
        return NOTHING
    try:
        work = _work(stage, Plan.from_json(plan["media"]), source_bytes)
    except (KeyError, TypeError, ValueError):  # no plan that this version can read: the stage itself will say so
        work = source_bytes
    return Need(source_bytes if reads_source else 0, work + _SMALL)


def _work(stage: Stage, plan: Plan, source_bytes: int) -> int:
    seconds = plan.duration_seconds
    sound = int(seconds * _SOUND_BYTES_PER_SECOND)
    pictures = [int(rung.maxrate * 125 * seconds) for rung in plan.rungs]  # kbit/s at most, so bytes at most
    if stage.per_chunk:
        return sum(pictures) // max(1, len(plan.chunks))
    if stage.queue != "light":
        return sound
    # a copied or joined picture, and the parts that it is made of
    return max(2 * max(pictures, default=0), source_bytes if plan.copied else 0) + sound
