"""Static files: vendored as locked, nothing off-origin, addresses that change with the content."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from flask import Flask

from app.web import assets, formats
from tests.frontend.harness import make_app

# Names of things, never fetched: XML namespaces, ID3 and TTML schemes.
IDENTIFIERS = ("http://www.w3.org/", "https://aomedia.org/emsg/ID3")
TEXT = {".css", ".js", ".svg", ".json", ".html"}


@pytest.fixture
def app() -> Flask:
    return make_app()


def test_vendored_files_are_those_of_the_lock() -> None:
    assert assets.vendored_faults() == []


def test_a_changed_missing_or_unlisted_vendored_file_is_noticed(tmp_path: Path) -> None:
    vendor = Path(shutil.copytree(assets.VENDOR, tmp_path / "vendor"))
    (vendor / "hls" / "hls.js").write_text("alert(1)")
    (vendor / "nhsuk" / "LICENCE.txt").unlink()
    (vendor / "extra.js").write_text("")
    assert assets.vendored_faults(vendor) == [
        "extra.js is not in lock.json.",
        "nhsuk/LICENCE.txt is missing.",
        "hls/hls.js differs from lock.json.",
    ]


def test_no_static_file_or_template_refers_off_origin() -> None:
    found = []
    for path in [*assets.STATIC.rglob("*"), *assets.TEMPLATES.rglob("*.html")]:
        if path.suffix not in TEXT or path.name == "lock.json":
            continue
        text = path.read_text()
        found += [
            f"{path.name}: {address}"
            for address in re.findall(r"(?<=[\"'`(=\s])(?:https?:|wss?:)?//[\w-]+(?:\.[\w-]+)+[^\s\"'`)<]*", text)
            if not address.startswith(IDENTIFIERS)
        ]
        found += [f"{path.name}: {rule}" for rule in ("@import", "@font-face", "sourceMappingURL") if rule in text]
    assert found == []


def test_no_template_has_inline_script_style_or_handler() -> None:
    found = []
    for path in assets.TEMPLATES.rglob("*.html"):
        if "email" in path.parts:
            continue
        text = path.read_text()
        if re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=\"|javascript:", text):
            found.append(path.name)
    assert found == []


def test_an_address_names_its_version_and_may_be_kept(app: Flask) -> None:
    with app.test_request_context():
        address = assets.asset("js/player.js")
    assert address == f"/static/v-{assets.static_version()}/js/player.js"
    answer = app.test_client().get(address)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert "max-age=31536000" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("address", ["/static/js/player.js", "/static/v-000000000000/js/player.js"])
def test_other_versions_answer_but_may_not_be_kept(app: Flask, address: str) -> None:
    answer = app.test_client().get(address)
    assert answer.status_code == 200
    assert "immutable" not in answer.headers["Cache-Control"]
    assert "max-age" not in answer.headers["Cache-Control"]


@pytest.mark.parametrize("address", ["/static/../assets.py", "/static/v-x/../../assets.py", "/static/none.js"])
def test_nothing_outside_static_is_served(app: Flask, address: str) -> None:
    assert app.test_client().get(address).status_code == 404


def test_a_page_that_names_a_missing_file_fails(app: Flask) -> None:
    with app.test_request_context(), pytest.raises(FileNotFoundError):
        assets.asset("js/none.js")


def test_words_for_lengths_moments_and_sizes() -> None:
    assert [formats.duration(s) for s in (0, 1, 65, 185, 599, 601, 2700, 3600, 7384)] == [
        "0 seconds",
        "1 second",
        "1 minute 5 seconds",
        "3 minutes 5 seconds",
        "9 minutes 59 seconds",
        "10 minutes",
        "45 minutes",
        "1 hour",
        "2 hours 3 minutes",
    ]
    assert [formats.clock(s) for s in (0, 9.99, 751, 3723)] == ["0:00", "0:09", "12:31", "1:02:03"]
    assert [formats.filesize(n) for n in (1, 999, 1400, 20_000_000, 1_400_000_000)] == [
        "1 byte",
        "999 bytes",
        "1.4 kB",
        "20 MB",
        "1.4 GB",
    ]
    assert formats.human_date(date(2026, 11, 23)) == "23 November 2026"
    # 23:30 UTC in summer is the next day in the United Kingdom.
    assert formats.human_date(datetime(2026, 7, 1, 23, 30, tzinfo=UTC)) == "2 July 2026"
    assert formats.human_datetime(datetime(2026, 11, 23, 14, 5, tzinfo=UTC)) == "23 November 2026, 2:05pm"
    assert formats.human_datetime(datetime(2026, 11, 23, 12, 0, tzinfo=UTC)) == "23 November 2026, midday"
