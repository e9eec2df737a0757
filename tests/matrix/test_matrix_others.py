"""The other half of the actors of the access matrix: see `test_matrix`."""

from __future__ import annotations

import pytest

from tests.matrix.checker import Checker
from tests.matrix.table import ACTORS, Actor
from tests.matrix.test_matrix import Record, ask_all


@pytest.mark.parametrize("actor", ACTORS[1::2], ids=lambda actor: actor.name)
def test_everybody_gets_exactly_what_they_may(checker: Checker, actor: Actor, record_property: Record) -> None:
    ask_all(checker, actor, record_property)
