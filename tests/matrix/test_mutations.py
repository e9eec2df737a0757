"""The matrix can fail: each rule that is left out, and each door left open, is reported by the same checker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import true

from app.access import Action, policy, rules
from app.access.rules import Rule
from app.db.cases import Case
from app.db.materials import Material
from app.db.recordings import Recording
from tests.matrix.checker import Checker, undone
from tests.matrix.table import ACTORS, STATES, SURFACES

ALWAYS = Rule("always", "it is a fault put in by a test", lambda actor, now: true())
OF_ACTION = {"frame": "material:view"}


@dataclass(frozen=True)
class Mutation:
    """One action's policy with one fault."""

    name: str
    action: Action
    faulty: policy.Policy


def _without(parts: tuple[Rule, ...], index: int) -> tuple[Rule, ...]:
    return parts[:index] + parts[index + 1 :]


def mutations() -> Iterator[Mutation]:
    """Every policy about recordings, cases and materials with each of its rules left out, and with an open door."""
    for action, sound in policy.POLICIES.items():
        if sound.table not in (Recording, Case, Material):
            continue
        yield Mutation(f"{action} open to all", action, replace(sound, allow=(*sound.allow, ALWAYS)))
        for kind in ("allow", "need"):
            parts: tuple[Rule, ...] = getattr(sound, kind)
            for index, rule in enumerate(parts):
                faulty = replace(sound, **{kind: _without(parts, index)})
                yield Mutation(f"{action} without {kind} {rule.name}", action, faulty)
    parts_of = {
        "in-audience": (rules._published, rules._case_is_live, rules._granted),
        "has-recording": (rules.CASE_IS_LIVE.holds, rules.case_has_recording(policy._view_recording)),
    }
    for action, name in ((Action.RECORDING_VIEW, "in-audience"), (Action.CASE_VIEW, "has-recording")):
        sound = policy.POLICIES[action]
        for left_out in parts_of[name]:
            rest = rules.all_of(*(part for part in parts_of[name] if part is not left_out))
            allow = tuple(replace(rule, holds=rest) if rule.name == name else rule for rule in sound.allow)
            assert allow != sound.allow
            word = getattr(left_out, "__qualname__", "part")
            yield Mutation(f"{action}: {name} without {word}", action, replace(sound, allow=allow))


@pytest.mark.parametrize("mutation", list(mutations()), ids=lambda mutation: mutation.name)
def test_a_fault_in_any_rule_is_reported(checker: Checker, mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    things = [checker.setting.things[state.name] for state in STATES]
    asking = [surface for surface in SURFACES if OF_ACTION.get(surface.act, surface.act) == mutation.action]
    surfaces = [surface for surface in asking if surface.core] or asking[:1]
    assert surfaces, "no surface asks for this action"
    actors = sorted(ACTORS, key=lambda actor: actor.name not in _likely(mutation))
    checker.open_browsers(actors, things)
    monkeypatch.setitem(policy.POLICIES, mutation.action, mutation.faulty)
    with undone():  # what the fault lets through must not last either
        found = next(checker.run(actors, things, surfaces, whole=True), None)
    assert found is not None, "the matrix does not notice"


def _likely(mutation: Mutation) -> tuple[str, ...]:
    """Who is asked first: only to be quick."""
    return (
        "viewer of the granted region", "facilitator of the place", "owner, facilitator elsewhere",
        "custodian of the place", "facilitator of another region", "frame of another material, of the facilitator",
    )  # fmt: skip


def test_the_sound_policy_is_not_reported(checker: Checker) -> None:
    thing = checker.setting.things["published"]
    core = [surface for surface in SURFACES if surface.core]
    assert list(checker.run(ACTORS[:6], [thing], core)) == []
