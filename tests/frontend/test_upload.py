"""Uploading in parts against a stand-in for the API and S3: failures, pauses, reloads, and nothing sent twice."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.frontend.stub_uploads import PART, Stub
from tests.support.browser import Reports, axe, no_sideways_scroll, wait_until

pytestmark = pytest.mark.browser

PARTS = 7


@pytest.fixture
def stub(app: Flask) -> Stub:
    found: Stub = app.extensions["uploads"]
    return found


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "role_play.mp4"
    path.write_bytes(os.urandom(PART * (PARTS - 1) + 1234))
    return path


def until(page: Page, true: Callable[[], bool], seconds: float = 15) -> None:
    """Let the page go on until something is so on the server."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "It did not come about in time."
        page.wait_for_timeout(25)


def begin(page: Page, base: str, film: Path) -> None:
    page.goto(f"{base}/upload")
    wait_until(page, "document.querySelector('[data-part=controls]').hidden === false")
    page.get_by_label("Recording").set_input_files(film)
    page.get_by_role("button", name="Start upload").click()


def arrived(stub: Stub, film: Path) -> bool:
    return [hashlib.sha256(body).digest() for body in stub.completed] == [hashlib.sha256(film.read_bytes()).digest()]


def state(page: Page) -> str:
    return str(page.evaluate("document.querySelector('.app-upload').dataset.state"))


def test_a_file_arrives_whole_straight_at_storage(
    page: Page, reports: Reports, stub: Stub, base: str, film: Path
) -> None:
    begin(page, base, film)
    page.get_by_text("The file is uploaded.").first.wait_for()
    assert arrived(stub, film)
    assert sorted(stub.puts) == [("s3", n) for n in range(1, PARTS + 1)]
    sent = stub.uploads["u1"]
    assert (sent["case_id"], sent["title"], sent["filename"], sent["size"]) == (
        "case-1",
        "role play",
        film.name,
        film.stat().st_size,
    )
    expect(page.get_by_role("link", name="Go to the recording")).to_have_attribute("href", "/page/flash")
    expect(page.locator("[data-part=bytes]")).to_contain_text("(100%)")
    assert axe(page) == []
    assert reports.csp == []
    assert reports.errors == []


def test_without_crypto_subtle_a_worker_hashes(page: Page, reports: Reports, stub: Stub, base: str, film: Path) -> None:
    page.add_init_script("Object.defineProperty(Crypto.prototype, 'subtle', {get: () => undefined})")
    begin(page, base, film)
    page.get_by_text("The file is uploaded.").first.wait_for()
    assert page.evaluate("crypto.subtle === undefined")
    assert arrived(stub, film)  # the stand-in checks every part's hash
    assert reports.csp == []


def test_a_failing_part_is_tried_again_alone(page: Page, stub: Stub, base: str, film: Path) -> None:
    stub.fail[3] = 2
    begin(page, base, film)
    page.get_by_text("The file is uploaded.").first.wait_for(timeout=30_000)
    assert arrived(stub, film)
    assert sorted(n for _, n in stub.puts) == [1, 2, 3, 3, 3, 4, 5, 6, 7]
    assert {door for door, _ in stub.puts} == {"s3"}  # an answer, even a bad one, is no reason to leave the direct way


def test_an_expired_address_is_asked_for_again(page: Page, stub: Stub, base: str, film: Path) -> None:
    stub.fail_status, stub.fail[2] = 403, 1
    begin(page, base, film)
    page.get_by_text("The file is uploaded.").first.wait_for(timeout=30_000)
    assert arrived(stub, film)


def test_a_blocked_storage_host_goes_through_the_app(page: Page, stub: Stub, base: str, film: Path) -> None:
    page.route("**/s3/**", lambda route: route.abort("connectionrefused"))
    begin(page, base, film)
    page.get_by_text("The file is uploaded.").first.wait_for(timeout=30_000)
    assert arrived(stub, film)
    assert {door for door, _ in stub.puts} == {"proxy"}


def test_pause_stops_and_resume_sends_only_the_rest(page: Page, stub: Stub, base: str, film: Path) -> None:
    stub.free_parts = 3
    stub.hold.clear()
    begin(page, base, film)
    until(page, lambda: len(stub.uploads["u1"]["parts"]) == 3 if stub.uploads else False)
    expect(page.locator("[data-part=bytes]")).to_contain_text(re.compile(r"^[1-9]\d* kB of 394 kB \([1-9]\d*%\)$"))
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused. What was sent so far is kept.").first).to_be_visible()
    before = len(stub.puts)
    kept = set(stub.uploads["u1"]["parts"])
    stub.free_parts = 1000
    stub.hold.set()
    page.wait_for_timeout(300)
    assert state(page) == "paused"
    late = {n for _, n in stub.puts[before:]}  # those that were in flight; storage may or may not have them whole
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("The file is uploaded.").first.wait_for()
    assert arrived(stub, film)
    resent = [n for _, n in stub.puts[before:] if n in kept]
    assert resent == []
    assert late <= {4, 5, 6}


def test_after_a_reload_only_missing_parts_are_sent(page: Page, stub: Stub, base: str, film: Path) -> None:
    page.on("dialog", lambda dialog: dialog.accept())  # "leave this page?"
    stub.free_parts = 4
    stub.hold.clear()
    begin(page, base, film)
    until(page, lambda: len(stub.uploads["u1"]["parts"]) == 4 if stub.uploads else False)
    page.goto("about:blank")
    stub.free_parts = 1000
    stub.hold.set()
    kept = set(stub.uploads["u1"]["parts"])
    page.goto(f"{base}/upload")
    page.get_by_text("Choose the same file again to go on where it stopped.").wait_for()
    assert axe(page) == []
    wait_until(page, "document.querySelector('[data-part=controls]').hidden === false")
    before = len(stub.puts)
    page.get_by_label("Recording").set_input_files(film)
    page.get_by_text("The file is uploaded.").first.wait_for()
    assert arrived(stub, film)
    assert list(stub.uploads) == ["u1"]
    assert kept.isdisjoint(n for _, n in stub.puts[before:])


def test_another_file_of_the_same_name_is_another_upload(page: Page, stub: Stub, base: str, film: Path) -> None:
    stub.uploads["u1"] = {
        "id": "u1", "filename": film.name, "size": film.stat().st_size + 1, "last_modified": 1, "parts": {},
    }  # fmt: skip
    begin(page, base, film)
    page.get_by_text("The file is uploaded.").first.wait_for()
    assert list(stub.uploads) == ["u1", "u2"]


def test_cancel_asks_first_and_deletes(page: Page, stub: Stub, base: str, film: Path) -> None:
    stub.hold.clear()
    begin(page, base, film)
    page.get_by_role("button", name="Cancel upload").click()
    dialog = page.get_by_role("dialog", name="Cancel this upload?")
    assert axe(page) == []
    dialog.get_by_role("button", name="Keep uploading").click()
    assert stub.cancelled == []
    page.get_by_role("button", name="Cancel upload").click()
    dialog.get_by_role("button", name="Cancel upload").click()
    until(page, lambda: stub.cancelled == ["u1"])
    stub.hold.set()
    expect(page.get_by_label("Recording")).to_be_visible()
    assert state(page) == "cancelled"


def test_going_offline_waits_and_goes_on(page: Page, stub: Stub, base: str, film: Path) -> None:
    stub.free_parts = 1
    stub.hold.clear()
    begin(page, base, film)
    until(page, lambda: len(stub.uploads["u1"]["parts"]) == 1 if stub.uploads else False)
    page.context.set_offline(True)
    stub.free_parts = 1000
    stub.hold.set()
    expect(page.get_by_text("Waiting for the network.").first).to_be_visible(timeout=30_000)
    page.context.set_offline(False)
    page.get_by_text("The file is uploaded.").first.wait_for(timeout=30_000)
    assert arrived(stub, film)


def test_a_refusal_is_told_and_the_form_comes_back(page: Page, stub: Stub, base: str, film: Path) -> None:
    stub.refuse = {"status": 400, "detail": "There is a problem.", "errors": {"title": "Enter a title"}}
    begin(page, base, film)
    page.get_by_role("alert").filter(has_text="There is a problem. Enter a title").wait_for()
    expect(page.get_by_label("Recording")).to_be_visible()
    assert axe(page) == []
    stub.refuse = {"status": 401, "detail": "Sign in to continue."}
    page.get_by_label("Recording").set_input_files(film)
    page.get_by_role("button", name="Start upload").click()
    page.get_by_role("alert").filter(has_text="Your session has ended.").wait_for()
    stub.refuse = None
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("The file is uploaded.").first.wait_for()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("", b"", "Select a file"),
        ("empty.mp4", b"", "The selected file is empty"),
        ("notes.pdf", b"%PDF", "The selected file must be a video"),
    ],
)
def test_a_wrong_file_is_refused_at_once(
    page: Page, stub: Stub, base: str, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    page.goto(f"{base}/upload")
    wait_until(page, "document.querySelector('[data-part=controls]').hidden === false")
    if name:
        (tmp_path / name).write_bytes(content)
        page.get_by_label("Recording").set_input_files(tmp_path / name)
    page.get_by_role("button", name="Start upload").click()
    expect(page.locator("#file-error")).to_have_text(f"Error: {sentence}")
    expect(page.get_by_label("Recording")).to_be_focused()
    assert axe(page) == []
    assert stub.uploads == {}


def test_leaving_is_warned_of_only_while_sending(page: Page, stub: Stub, base: str, film: Path) -> None:
    asked: list[str] = []

    def stay_or_go(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", stay_or_go)
    stub.hold.clear()
    begin(page, base, film)
    wait_until(page, "document.querySelector('.app-upload').dataset.state === 'sending'")
    page.goto(f"{base}/page/flash")
    assert asked == ["beforeunload"]
    stub.hold.set()
    stub.uploads.clear()
    begin(page, base, film)
    page.get_by_text("The file is uploaded.").first.wait_for()
    page.goto(f"{base}/page/flash")
    assert asked == ["beforeunload"]


def test_it_reflows_while_sending(chromium: Browser, stub: Stub, base: str, film: Path) -> None:
    context = chromium.new_context(viewport={"width": 320, "height": 700})
    page = context.new_page()
    stub.free_parts = 2
    stub.hold.clear()
    begin(page, base, film)
    wait_until(page, "document.querySelector('.app-upload').dataset.state === 'sending'")
    assert no_sideways_scroll(page)
    assert axe(page) == []
    stub.hold.set()
    context.close()
