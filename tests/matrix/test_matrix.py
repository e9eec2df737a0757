"""The access matrix: everybody asks every address about a recording in every state, and gets what the reference says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from tests.matrix.checker import LEAST, Checker, is_core
from tests.matrix.table import ABOUT, ACTORS, STATES, SURFACES, Actor
from tests.support.routes import routes

Record = Callable[[str, object], None]


def test_every_address_about_a_recording_has_a_row(app: Flask) -> None:
    wanted = {(rule.endpoint, method) for rule, method in routes(app) if ABOUT & rule.arguments}
    rows = {(surface.endpoint, surface.method) for surface in SURFACES if surface.method != "HEAD"}
    assert wanted - rows == set(), "these addresses have no row in tests/matrix/table.py"
    assert rows <= {(rule.endpoint, method) for rule, method in routes(app)}, "these rows name no address"


def test_the_table_is_as_wide_as_it_claims() -> None:
    for rows in (ACTORS, STATES, SURFACES):
        names = [row.name for row in rows]
        assert len(set(names)) == len(names)
    assert len([actor for actor in ACTORS if actor.whole]) >= 14
    assert len(STATES) >= 7
    assert len([surface for surface in SURFACES if is_core(surface)]) >= 26


@pytest.mark.parametrize("actor", ACTORS[::2], ids=lambda actor: actor.name)
def test_everybody_gets_exactly_what_they_may(checker: Checker, actor: Actor, record_property: Record) -> None:
    ask_all(checker, actor, record_property)


def ask_all(checker: Checker, actor: Actor, record_property: Record) -> None:
    """One actor asks all surfaces; how many cells that were is told in the summary. `test_matrix_others` has the rest of
    the actors: a file is run in one process."""
    things = [checker.setting.things[state.name] for state in STATES]
    before, event = checker.fingerprint(), checker.last_event()
    cells, core = checker.cells, checker.core_cells
    wrong = list(checker.run([actor], things, SURFACES))
    assert not wrong, f"{len(wrong)} of {checker.cells - cells} cells:\n" + "\n".join(map(str, wrong[:40]))
    assert checker.fingerprint() == before, "a request that was refused (or undone) changed a row"
    assert checker.written_amiss(actor, event) == []
    core = checker.core_cells - core
    assert core >= sum(is_core(surface) for surface in SURFACES) * (len(STATES) if actor.whole else LEAST)
    record_property("matrix_cells", checker.cells - cells)
    record_property("matrix_core_cells", core)
