"""A real Chromium for tests: how it is started, and what is looked at on every page."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request
from werkzeug.serving import WSGIRequestHandler, make_server

CHROMIUM = "/usr/bin/chromium"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
ARGUMENTS = [
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
]


def chromium_path() -> str | None:
    """The system's Chromium, or None where there is none (browser tests then skip)."""
    return shutil.which("chromium") or (CHROMIUM if os.access(CHROMIUM, os.X_OK) else None)


def launch(playwright: Playwright, *extra: str) -> Browser:
    """A headless Chromium that talks to nobody by itself. Root needs its sandbox off."""
    arguments = [*ARGUMENTS, *extra]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    return playwright.chromium.launch(executable_path=chromium_path(), args=arguments)


def axe(page: Page, **options: Any) -> list[dict[str, Any]]:
    """What axe-core finds wrong on the page as it is now: id, impact and the elements; empty is good."""
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": AXE_TAGS}, **options})
    return [
        {"id": v["id"], "impact": v["impact"], "help": v["help"], "nodes": [n["html"][:200] for n in v["nodes"]]}
        for v in found.response["violations"]
    ]


def wait_until(page: Page, expression: str, seconds: float = 15) -> Any:
    """Poll a JavaScript expression until it is true; its value.

    Playwright's own wait_for_function evaluates a string inside the page, which a strict policy rightly refuses.

    Raises:
        AssertionError: it did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (value := page.evaluate(expression)):
        if time.monotonic() > deadline:
            raise AssertionError(f"Still not true after {seconds} s: {expression}")
        page.wait_for_timeout(50)
    return value


def sideways_overflow(page: Page) -> int:
    """CSS pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def no_sideways_scroll(page: Page) -> bool:
    """True when nothing makes the page scroll sideways."""
    return sideways_overflow(page) <= 0


class Reports:
    """What a page complains about and whom it asks: CSP violations, uncaught errors, hosts of all http requests.

    Make one before the first `goto`; `assert not reports.csp` afterwards.
    """

    def __init__(self, page: Page) -> None:
        self.csp: list[str] = []
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.expose_function("__reportViolation", lambda report: self.csp.append(report))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', e => "
            "__reportViolation(`${e.effectiveDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`))"
        )
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss"):
            self.hosts.add(address.netloc)

    def _console(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.csp.append(message.text)


class _Quiet(WSGIRequestHandler):
    """Serves without a line per request; keeps connections open, as production servers do."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """`app` on a free loopback port in a thread of its own; gives its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(timeout=10)
