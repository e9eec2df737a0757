"""The whole way with a provider that others wrote, over HTTP, and in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import oidc_provider_mock
import pytest
import requests
from flask import Flask
from playwright.sync_api import Browser as Chromium
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.people import Person
from app.db.sign_in import Identity, WebSession
from app.settings import Settings
from app.web import create_app
from tests.openid.conftest import MakeApp, entry
from tests.openid.provider import leave
from tests.support.browser import Reports, serving
from tests.support.world import Browser

USER = oidc_provider_mock.User(
    sub="honest-subject", claims={"email": "honest@example.org", "email_verified": True, "name": "Hon Est"}
)


@pytest.fixture(scope="module")
def honest() -> Iterator[str]:
    """Its issuer."""
    with pytest.MonkeyPatch.context() as patch:
        # it checks that it is asked by https unless told otherwise
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        with oidc_provider_mock.run_server_in_thread(require_nonce=True, user_claims=[USER]) as server:
            yield f"http://localhost:{server.server_port}"


def visit(url: str, **form: str) -> str:
    """Choose somebody on the provider's page."""
    answer = requests.post(url, data=form or {"sub": USER.sub}, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def test_there_and_back(make_app: MakeApp, honest: str, session: Session) -> None:
    browser = Browser(make_app(entry(honest)))
    back = visit(leave(browser))
    answer = browser.get(back)
    assert (answer.status_code, answer.location) == (302, "/")
    person = session.scalars(select(Person)).one()
    assert (person.email, person.name) == ("honest@example.org", "Hon Est")
    identity = session.scalars(select(Identity)).one()
    assert (identity.issuer, identity.subject) == (honest, "honest-subject")
    assert browser.get(back).status_code == 400


def test_a_code_that_was_used_already(make_app: MakeApp, honest: str, session: Session) -> None:
    """The provider refuses it, whatever else is right about the second trip."""
    app = make_app(entry(honest))
    first = Browser(app)
    back = visit(leave(first))
    assert first.get(back).status_code == 302
    second = Browser(app)
    states = [parse_qs(urlsplit(path).query)["state"][0] for path in (back, visit(leave(second)))]
    answer = second.get(back.replace(*states))
    assert (answer.status_code, "<code>code</code>" in answer.text) == (400, True)
    assert not second.signed_in
    assert len(session.scalars(select(WebSession)).all()) == 1
    assert first.get("/account").status_code == 200
    third = Browser(app)
    assert third.get(visit(leave(third))).status_code == 302, "nor is the provider taken for broken"


def test_its_user_info(make_app: MakeApp, honest: str, session: Session) -> None:
    browser = Browser(make_app(entry(honest, userinfo=True)))
    assert browser.get(visit(leave(browser))).status_code == 302
    assert session.scalars(select(Person.email)).one() == "honest@example.org"


def test_somebody_who_says_no(make_app: MakeApp, honest: str, session: Session) -> None:
    browser = Browser(make_app(entry(honest)))
    answer = browser.get(visit(leave(browser), action="deny"))
    assert answer.status_code == 400
    assert session.scalar(select(WebSession.id)) is None


def test_its_users_without_a_verified_address(make_app: MakeApp, honest: str, session: Session) -> None:
    browser = Browser(make_app(entry(honest)))
    answer = browser.get(visit(leave(browser), sub="someone@example.org"))
    assert (answer.status_code, "<code>unverified-email</code>" in answer.text) == (403, True)
    assert session.scalar(select(WebSession.id)) is None


@pytest.mark.browser
def test_in_a_real_browser(settings: Settings, honest: str, session: Session, chromium: Chromium) -> None:
    """The button, the provider's form and the way back, under the strict content policy of our pages."""
    app = Flask("not yet")
    holder: dict[str, Flask] = {}

    def late(environ: object, start: object) -> object:
        return holder["app"].wsgi_app(environ, start)  # type: ignore[arg-type]

    app.wsgi_app = late  # type: ignore[assignment]
    with serving(app) as address:
        port = int(address.rpartition(":")[2])
        holder["app"] = create_app(replace(settings, port=port, oidc_providers=_list(honest)))
        context = chromium.new_context(locale="en-GB")
        page = context.new_page()
        reports = Reports(page)
        page.goto(f"{address}/sign-in?next=/account")
        page.get_by_role("button", name="Continue with Northmoor Hospital").click()
        page.wait_for_url(re.compile(re.escape(honest)))
        page.get_by_role("button", name=USER.sub).click()
        page.wait_for_url(f"{address}/account")
        assert page.get_by_role("heading", level=1).inner_text() == "Your account"
        assert "honest@example.org" in page.content()
        assert reports.csp == []
        context.close()


def _list(issuer: str) -> str:
    return json.dumps([entry(issuer)])
