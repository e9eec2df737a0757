"""A sample of `bench/chaos.py`: workers killed and frozen, programs out of memory, S3 and database away, at random
moments of real runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core import Core, build_core
from app.db import db
from app.settings import Settings
from tests.support.services import Services
from tests.workers.chaos import Outcome, World, schedule

#: A full disk needs a small one to be mounted: that is for the long run only.
KINDS = ("kill", "kill", "freeze", "memory", "storage", "database")
#: On a busy machine fewer than wished are played, but each kind at least once.
ROUNDS, SECONDS = 12, 90


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, chunk_seconds=2, caption_engine="faster-whisper", encode_threads=1, worker_encode=1)


@pytest.fixture
def core(settings: Settings) -> Iterator[Core]:
    made = build_core(settings)
    yield made
    with made.app.app_context():
        db.engine.dispose()


@pytest.mark.slow
def test_faults_at_random_moments_lose_nothing_and_double_nothing(
    core: Core, services: Services, tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    world = World(core, services, tmp_path)
    try:
        world.undisturbed()
        outcomes: list[Outcome] = []
        until = time.monotonic() + SECONDS
        for number, (kind, chance) in enumerate(schedule(KINDS, ROUNDS, 20), 1):
            if number <= len(KINDS) or time.monotonic() < until:
                outcomes.append(world.play(number, kind, chance))
        assert world.crew.stop() == [0, 0]
    finally:
        world.crew.end()
    record_testsuite_property("faults", [outcome.to_json() for outcome in outcomes])
    assert {f"{o.round} {o.kind}, {o.detail}": o.problems for o in outcomes if o.problems} == {}
    met = Counter(stage for outcome in outcomes for stage in outcome.met)
    assert sum(bool(outcome.met) for outcome in outcomes) >= len(outcomes) / 3, "the faults hardly met a stage at work"
    assert len(met) >= 2, "the faults met one stage only"
