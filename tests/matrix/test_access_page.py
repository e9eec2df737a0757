"""docs/access.md says what the policy says."""

from __future__ import annotations

import re
from pathlib import Path

from app.access import EMBED_ACTIONS, SCOPES, policy
from tests.matrix.table import ACTORS, STATES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"


def rules_table() -> list[str]:
    """The rows of the table of rules, as they must stand in the page."""
    rows = []
    for action, made in policy.POLICIES.items():
        opens = "; or ".join(rule.sentence for rule in made.allow)
        needs = "; and ".join(rule.sentence for rule in made.need) or "-"
        unknown = "-" if made.first is action else f"`{made.first}`"
        rows.append(f"| `{action}` | {opens} | {needs} | {unknown} |")
    return rows


def capabilities_table() -> list[str]:
    """The rows of the table of actions that need no row."""
    return [
        f"| `{action}` | {', '.join(role.value for role in roles) or 'anybody signed in'}"
        f"{' of everywhere' if action in policy.EVERYWHERE else ''} |"
        for action, roles in policy.CAPABILITIES.items()
    ]


def scopes_table() -> list[str]:
    """The rows of the table of scopes; a frame stands below them."""
    scopes = {f"token `{scope}`": actions for scope, actions in SCOPES.items()} | {"frame": EMBED_ACTIONS}
    every = frozenset(policy.POLICIES) | frozenset(policy.CAPABILITIES)
    return [
        f"| {name} | {'everything' if actions == every else ', '.join(f'`{a}`' for a in sorted(actions))} |"
        for name, actions in scopes.items()
    ]


def _section(name: str) -> list[str]:
    text = PAGE.read_text()
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.S)
    assert found, name
    return found[1].splitlines()[2:]


def test_the_tables_are_what_the_policy_says() -> None:
    for name, rows in (("rules", rules_table()), ("capabilities", capabilities_table()), ("scopes", scopes_table())):
        assert _section(name) == rows, "\n".join(rows)


def test_the_page_names_what_is_tested() -> None:
    text = PAGE.read_text()
    assert f"{len(ACTORS)} actors" in text
    assert f"{len(STATES)} states" in text
