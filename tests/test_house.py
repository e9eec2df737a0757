"""Rules of the house, as tests that explain themselves: imports point down, types and style hold, what is declared
twice agrees."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import flask_migrate
import pytest

from app.core import Core
from app.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [
    path
    for folder in ("app", "workers", "migrations", "bench", "tests", "templates", "docs", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and "vendor" not in path.parts and "__pycache__" not in path.parts
] + [ROOT / "README.md", ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "CHANGELOG.md"]
BINARY = {".mp4", ".png", ".jpg", ".ico", ".svg"}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_point_down() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_style() -> None:
    done = run("ruff", "check", "--output-format", "concise", ".")
    assert done.returncode == 0, done.stdout
    done = run("ruff", "format", "--check", ".")
    assert done.returncode == 0, done.stdout


def test_types() -> None:
    done = run("mypy", "app", "workers")
    assert done.returncode == 0, done.stdout[-5000:]


def test_the_names_of_tests_do_not_change(request: pytest.FixtureRequest) -> None:
    """Another process, which hashes otherwise and starts at another second, finds the tests of this one by the same names.
    Processes that run the tests side by side must agree on them."""
    mine = [item.nodeid for item in request.session.items]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    theirs = set(done.stdout.splitlines())
    assert len(theirs) > 100, done.stdout[-2000:]
    assert not [name for name in mine if name.splitlines()[0] not in theirs]


def test_settings_are_documented_as_they_are() -> None:
    table = dict(
        re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \|$", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    )
    declared = {PREFIX + f.name.upper(): f for f in fields(Settings)}
    assert table.keys() == declared.keys()
    for name, row in table.items():
        assert declared[name].metadata["help"] in row, f"docs/settings.md says something else about {name}"
        default = str(declared[name].default)
        assert f"`{default}`" in row or not default, f"docs/settings.md names another default of {name}"


def test_migrations_make_the_tables(core: Core) -> None:
    with core.app.app_context():
        flask_migrate.check()


def test_migrations_go_down_and_up_again(core: Core) -> None:
    with core.app.app_context():
        flask_migrate.downgrade(revision="base")
        flask_migrate.upgrade()
        flask_migrate.check()


#: These touch the environment only to hand part of it to a child process, or as such a child.
ENVIRONMENT_FOR_CHILDREN = {"app/captions/child.py", "app/captions/sources.py", "app/embedded/supervisor.py"}


def test_only_settings_reads_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.suffix == ".py"
        and path.parts[len(ROOT.parts)] in ("app", "workers")
        and re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert readers == {"app/settings.py"} | ENVIRONMENT_FOR_CHILDREN


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"shell=True", "a child process starts from an argv list"),
        (r"\|\s*safe\b|Markup\(", "text of people is never passed as HTML"),
        (r"except( (Base)?Exception)?:\s*pass\b", "an error is never swallowed"),
        (r"verify=False", "certificates are checked"),
        (r"\b(TODO|FIXME|XXX)\b", "no loose ends"),
    ],
)
def test_house_rules(pattern: str, why: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{path.read_text()[: hit.start()].count(chr(10)) + 1}"
        for path in SOURCES
        if path.suffix not in BINARY and path.parts[len(ROOT.parts)] in ("app", "workers", "templates")
        for hit in re.finditer(pattern, path.read_text(), re.MULTILINE)
    ]
    assert not found, f"{why}: {found}"


def test_no_long_files() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if path.suffix in (".py", ".js", ".html")
        and "versions" not in path.parts
        and (lines := len(path.read_text().splitlines())) > 500
    }
    assert not long, f"would each be easier to live in as two? {long}"
