"""The world of the matrix, with everything in it that an address can name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select
from werkzeug.routing import Rule

from app.web import guard
from tests.matrix.checker import Checker
from tests.matrix.conftest import _left_as_found, checker, parts, world_session, world_settings
from tests.matrix.table import ACTORS, Actor
from tests.support.routes import path_of
from tests.support.world import Browser

__all__ = ["_left_as_found", "checker", "parts", "world_session", "world_settings"]

ADMIN: Actor = next(actor for actor in ACTORS if actor.name == "admin of everywhere")
VIEWER: Actor = next(actor for actor in ACTORS if actor.name == "viewer of the granted region")
ELSEWHERE: Actor = next(actor for actor in ACTORS if actor.name == "viewer of another region")


@pytest.fixture(scope="module")
def real_path(checker: Checker) -> Callable[[Rule], str]:
    """The address of a rule for rows that there are: those of the published recording, else any of the table."""
    thing = checker.setting.things["published"]
    known = {
        **{f"{name}_id": value for name, value in thing.values.items()},
        "recording_id": thing.recording,
        "case_id": thing.case,
        "material_id": thing.material,
        "group_id": checker.setting.group,
        "organisation_id": checker.setting.organisation,
        "person_id": checker.setting.people["viewer"],
        "name": "480p",
        "language": "en",
    }

    def path(rule: Rule) -> str:
        values = dict(known)
        declared = guard.declaration_of(checker.app.view_functions[rule.endpoint])
        if declared is not None and declared.kind == "row" and declared.param not in values:
            assert declared.table is not None
            values[declared.param] = checker.session.scalar(select(declared.table.id).limit(1))
            checker.session.commit()
        return path_of(checker.app, rule, {name: value for name, value in values.items() if value is not None})

    return path


@pytest.fixture(scope="module")
def admin(checker: Checker) -> Browser:
    """An admin of everywhere, with forms open already."""
    browser = checker.browser(ADMIN, checker.setting.things["published"])
    browser.form_token()
    return browser


@pytest.fixture(scope="module")
def viewer(checker: Checker) -> Browser:
    """Somebody who may watch the published recording, with forms open already."""
    browser = checker.browser(VIEWER, checker.setting.things["published"])
    browser.form_token()
    return browser
