"""What a request says of itself in headers changes nothing: neither answers, nor links, nor what is written down."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.routing import Rule

from tests.matrix.checker import Checker
from tests.matrix.table import ACTORS
from tests.support.routes import routes
from tests.support.world import Browser

EVIL = "evil.example.net"
#: Headers by which a proxy in front would tell of the request. There is none here: `trusted_proxies` is 0.
OF_PROXIES = {
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "444",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Server": EVIL,
    "X-Forwarded-Scheme": "https",
    "X-Real-Ip": "203.0.113.9",
    "X-Host": EVIL,
    "Forwarded": f"for=203.0.113.9;host={EVIL};proto=https",
    "True-Client-Ip": "203.0.113.9",
    "X-Script-Name": "/evil",
    "Script-Name": "/evil",
}
#: Headers by which some frameworks take another method or address than the request's own.
OVERRIDES = {
    "X-HTTP-Method-Override": "DELETE",
    "X-HTTP-Method": "DELETE",
    "X-Method-Override": "DELETE",
    "X-Original-URL": "/people/",
    "X-Rewrite-URL": "/people/",
    "X-Original-Uri": "/people/",
    "X-Accel-Redirect": "/people/",
    "Content-Location": "/people/",
}
#: Differs between two requests by itself: the form token, signed with its second, and what is signed for S3.
_OWN = re.compile(r'name="csrf_token" value="[^"]*"|<meta name="csrf-token"[^>]*>|<meta name="session-ends"[^>]*>')
_SIGNED = re.compile(r"X-Amz-(?:Date|Signature|Credential)=[^&\"]*")
#: Figures of this very process, which must not be had through a proxy; and the audit, which tells of each look at it.
MOVING = {"health.metrics", "audit.index", "audit.export", "api_audit.index"}


#: How long something that goes on has taken so far.
_PASSING = re.compile(r'"\w*seconds":[0-9.]+|\d+(?:\.\d+)? (?:h|hours?|min|minutes?|s|seconds?)\b')


def _plain(answer: Any) -> tuple[Any, ...]:
    body = answer.get_data()
    if answer.mimetype in ("text/html", "application/json"):
        body = _PASSING.sub("", _SIGNED.sub("", _OWN.sub("", answer.text)))
    headers = sorted(
        (name, _SIGNED.sub("", value))
        for name, value in answer.headers
        if name not in ("Date", "X-Request-Id", "Set-Cookie")
    )
    return answer.status_code, body, headers


def _reading(checker: Checker) -> list[Rule]:
    return [rule for rule, method in routes(checker.app) if method == "GET" and rule.endpoint not in MOVING]


def test_headers_of_proxies_change_no_answer(
    checker: Checker, admin: Browser, real_path: Callable[[Rule], str]
) -> None:
    for browser in (admin, Browser(checker.app)):
        for rule in _reading(checker):
            path = real_path(rule)
            plain, tricked = (_plain(browser.get(path, headers=headers)) for headers in ({}, OF_PROXIES | OVERRIDES))
            assert tricked == plain, rule.rule
            assert EVIL not in str(tricked), rule.rule


def test_links_do_not_come_from_the_host_header(
    checker: Checker, admin: Browser, real_path: Callable[[Rule], str]
) -> None:
    """Nothing that a page, a redirect or a program is told names the host that the request came with."""
    name = checker.app.session_interface.cookie  # type: ignore[attr-defined]
    cookie = admin.client.get_cookie(name)
    assert cookie is not None
    plainly = checker.app.test_client(use_cookies=False)  # a cookie jar sends nothing to another host
    for browser, sent in ((admin, {"Cookie": f"{name}={cookie.value}"}), (Browser(checker.app), {})):
        for rule in _reading(checker):
            path = real_path(rule)
            answer = plainly.get(path, headers={"Host": EVIL, **sent})
            assert EVIL.encode() not in answer.get_data(), rule.rule
            assert EVIL not in str(answer.headers), rule.rule
            if not answer.mimetype.startswith(("video/", "image/", "audio/")):
                assert answer.status_code in (browser.get(path).status_code, 400, 421), rule.rule


def test_hosts_that_are_no_hosts_do_no_harm(checker: Checker) -> None:
    client = checker.app.test_client()
    for host in (
        "evil.example.net:99999",
        "evil example",
        "a@b",
        "[::1",
        "evil.example.net/x",
        "x" * 5000,
        "\x7f",
        "a,b",
    ):
        answer = client.get("/sign-in", headers={"Host": host})
        assert answer.status_code in (200, 400, 421), host
        assert host not in answer.text


def test_nothing_private_is_kept_by_caches(checker: Checker, admin: Browser, real_path: Callable[[Rule], str]) -> None:
    """What is not the same for everybody must not be stored, so that no header can poison what others get."""
    for rule in _reading(checker):
        if rule.endpoint == "static":
            continue
        answer = admin.get(real_path(rule))
        cached = answer.headers["Cache-Control"]
        assert "no-store" in cached or "no-cache" in cached, (rule.rule, cached)
        assert "public" not in cached, rule.rule


@pytest.mark.parametrize("header", sorted(OVERRIDES))
def test_a_post_is_not_taken_for_another_method_or_address(checker: Checker, header: str) -> None:
    """Not even with a form token: DELETE must come as DELETE."""
    thing = checker.setting.things["published"]
    custodian = next(actor for actor in ACTORS if actor.name == "custodian of the place")
    browser = checker.browser(custodian, thing)
    path, before = f"/api/v1/recordings/{thing.recording}/grants/{thing.values['grant']}", checker.fingerprint()
    assert ("api_recordings.revoke", "DELETE") in checker.rules
    token = {"X-CSRF-Token": browser.form_token()}
    answer = browser.client.post(path, headers={header: OVERRIDES[header], **token}, data={"_method": "DELETE"})
    assert answer.status_code == 405
    answer = browser.client.get(f"{path}?_method=DELETE&method=delete", headers={header: OVERRIDES[header], **token})
    assert answer.status_code == 405
    assert checker.fingerprint() == before


def test_an_address_that_is_made_up_is_not_written_down(checker: Checker) -> None:
    """Sign-in is throttled and audited by the address that the connection has."""
    client = checker.app.test_client()
    page = client.get("/sign-in").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    before = _failures(checker)
    for number in range(3):
        client.post(
            "/sign-in",
            headers={**OF_PROXIES, "X-Forwarded-For": f"203.0.113.{number}"},
            data={"email": "nobody@example.org", "password": "x", "csrf_token": token},
        )
    assert len(_failures(checker) - before) == 2, "one row for the account and one for the connection's address"
    told = checker.session.scalars(text("SELECT DISTINCT address FROM audit_events WHERE address <> ''")).all()
    kept = checker.session.scalars(text("SELECT DISTINCT address FROM web_sessions WHERE address <> ''")).all()
    checker.session.commit()
    assert not [address for address in (*told, *kept) if address.startswith("203.")]


def _failures(checker: Checker) -> set[str]:
    found = set(checker.session.scalars(text("SELECT key_hash FROM login_failures")))
    checker.session.commit()
    return found
