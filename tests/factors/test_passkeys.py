"""Passkeys, in a real Chromium with a virtual authenticator of the developer tools' protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import CDPSession, Page
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import db
from app.db.people import Person, Role
from app.db.sign_in import FactorKind, SecondFactor
from app.domain import back_off, passkeys, second_factors, sign_in
from app.domain.passkeys import RelyingParty, relying_party
from app.errors import Conflict, Invalid, TooManyRequests
from app.settings import Settings
from app.web import create_app
from tests.factors.support import actor_of
from tests.support import browser as look
from tests.support.world import World


@pytest.mark.parametrize(
    ("address", "party"),
    [
        ("https://vignette.example", RelyingParty("vignette.example", "https://vignette.example")),
        ("https://Vignette.example:443/", RelyingParty("vignette.example", "https://vignette.example")),
        ("https://vignette.example:8443", RelyingParty("vignette.example", "https://vignette.example:8443")),
        ("http://localhost:8000", RelyingParty("localhost", "http://localhost:8000")),
        ("http://vignette.example", None),
        ("http://127.0.0.1:8000", None),
        ("https://192.0.2.1", None),
        ("https://[2001:db8::1]", None),
        ("", None),
    ],
)
def test_the_relying_party_is_the_public_address(address: str, party: RelyingParty | None) -> None:
    assert relying_party(address) == party


@dataclass
class Scene:
    """An admin with a password only, in a Chromium with an authenticator."""

    app: Flask
    address: str
    page: Page
    protocol: CDPSession
    authenticator: str
    session: Session
    admin: Person

    def sign_in(self) -> None:
        """A session of somebody who has shown a password only."""
        with self.app.app_context():
            _, token = sign_in.open_session(db.session(), self.admin.id, "chromium", timedelta(hours=1))
            db.session.commit()
        cookie = self.app.session_interface.cookie  # type: ignore[attr-defined]
        self.page.context.add_cookies([{"name": cookie, "value": token, "url": self.address}])

    def add(self) -> SecondFactor:
        """Make a passkey on the page."""
        self.page.goto(f"{self.address}/account/second-factors/passkey")
        self.page.get_by_label("Name of the passkey").fill("my laptop")
        self.page.get_by_role("button", name="Add a passkey").click()
        self.page.get_by_role("heading", name="Your recovery codes").wait_for()
        self.session.expire_all()
        return self.session.scalars(select(SecondFactor)).one()

    def verifies(self, yes: bool) -> None:
        """Whether the authenticator's user passes."""
        self.protocol.send("WebAuthn.setUserVerified", {"authenticatorId": self.authenticator, "isUserVerified": yes})


@pytest.fixture
def scene(settings: Settings, session: Session, chromium: Chromium) -> Iterator[Scene]:
    admin = World(session).person("ada@example.org", Role.ADMIN, "NEY")
    session.commit()
    served = create_app(settings)
    with look.serving(served) as numbers:
        address = numbers.replace("127.0.0.1", "localhost")
        # the settings are read at each request, so the address can be told now that the port is known
        core = served.extensions["vignette"]
        served.extensions["vignette"] = replace(core, settings=replace(core.settings, public_url=address))
        context = chromium.new_context(locale="en-GB")
        page = context.new_page()
        protocol = context.new_cdp_session(page)
        protocol.send("WebAuthn.enable")
        made = protocol.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        there = Scene(served, address, page, protocol, made["authenticatorId"], session, admin)
        there.sign_in()
        yield there
        context.close()
    with served.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.mark.browser
def test_making_and_showing_a_passkey(scene: Scene) -> None:
    page = scene.page
    reports = look.Reports(page)
    page.goto(f"{scene.address}/library")
    page.get_by_text("Set one up to go on").wait_for()
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("heading", name="Add a passkey").wait_for()
    assert look.axe(page) == []
    factor = scene.add()
    assert (factor.kind, factor.name, factor.confirmed_at is not None) == (FactorKind.PASSKEY, "my laptop", True)
    page.get_by_role("button", name="go on").click()
    page.goto(f"{scene.address}/library")
    assert page.url.endswith("/library")
    before = factor.sign_count
    page.context.clear_cookies()
    scene.sign_in()
    page.goto(f"{scene.address}/library")
    assert "/account/prove" in page.url
    assert look.axe(page) == []
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{scene.address}/library")
    scene.session.expire_all()
    assert factor.sign_count > before
    assert factor.last_used_at is not None
    assert not reports.csp
    assert not reports.errors


@pytest.mark.browser
def test_a_user_who_is_not_verified_is_refused(scene: Scene) -> None:
    scene.add()
    scene.page.context.clear_cookies()
    scene.sign_in()
    scene.verifies(False)
    scene.page.goto(f"{scene.address}/account/prove")
    scene.page.get_by_role("button", name="Use a passkey").click()
    scene.page.get_by_text("The passkey was not used").wait_for()
    scene.page.goto(f"{scene.address}/library")
    assert "/account/prove" in scene.page.url


#: Talks to the browser as the page's module does, and gives the answer instead of sending it.
SHOW = """async ([source, options]) => {
  const module = await import(source);
  const publicKey = module.parsed(options);
  const wanted = {publicKey};
  const made = options.user ? await navigator.credentials.create(wanted) : await navigator.credentials.get(wanted);
  return module.written(made);
}"""


def answer(scene: Scene, options: dict[str, Any]) -> str:
    """The browser's answer to options of ours."""
    source = "/static/js/passkey.js"
    found: str = scene.page.evaluate(SHOW, [source, options])
    return found


@pytest.mark.browser
def test_what_does_not_hold_is_refused(scene: Scene) -> None:
    session, admin = scene.session, scene.admin
    factor = scene.add()
    who = actor_of(session, admin)
    party = RelyingParty("localhost", scene.address)
    others = [
        RelyingParty("localhost", "https://evil.example"),
        RelyingParty("evil.example", scene.address),
        RelyingParty("localhost", scene.address.replace("http:", "https:")),
    ]
    options, challenge = passkeys.request_options(session, party, admin)
    shown = answer(scene, options)
    with pytest.raises(Invalid):
        passkeys.prove(session, who, party, admin, b"another challenge", shown)
    for other in others:
        with pytest.raises(Invalid):
            passkeys.prove(session, who, other, admin, challenge, shown)
    stranger = World(session).person("s@example.org")
    with pytest.raises(Invalid):
        passkeys.prove(session, actor_of(session, stranger), party, stranger, challenge, shown)
    changed = json.loads(shown)
    changed["response"]["signature"] = changed["response"]["signature"][:-8] + "AAAAAAAA"
    back_off.forget(session, second_factors.back_off_keys(admin.id))
    with pytest.raises(Invalid):
        passkeys.prove(session, who, party, admin, challenge, json.dumps(changed))
    passkeys.prove(session, who, party, admin, challenge, shown)
    count = factor.sign_count
    with pytest.raises(Invalid):
        passkeys.prove(session, who, party, admin, challenge, shown)
    factor.sign_count = count + 100  # as if a copy had been used in between
    session.commit()
    options, challenge = passkeys.request_options(session, party, admin)
    with pytest.raises(Invalid):
        passkeys.prove(session, who, party, admin, challenge, answer(scene, options))


@pytest.mark.browser
def test_a_new_passkey_must_hold_too(scene: Scene) -> None:
    session, admin = scene.session, scene.admin
    who, party = actor_of(session, admin), RelyingParty("localhost", scene.address)
    scene.page.goto(f"{scene.address}/account/second-factors/passkey")
    options, challenge = passkeys.creation_options(session, party, admin)
    made = answer(scene, options)
    for other, asked in (
        (RelyingParty("localhost", "https://evil.example"), challenge),
        (RelyingParty("evil.example", scene.address), challenge),
        (party, b"another challenge"),
    ):
        with pytest.raises(Invalid):
            passkeys.add(session, who, other, admin, asked, made, "")
    assert passkeys.add(session, who, party, admin, challenge, made, "").name == "Passkey"
    with pytest.raises(Conflict):
        passkeys.add(session, who, party, admin, challenge, made, "")


@pytest.mark.browser
def test_a_challenge_works_once(scene: Scene) -> None:
    page = scene.page
    scene.add()
    page.goto(f"{scene.address}/account/prove")
    token = page.locator("meta[name=csrf-token]").get_attribute("content") or ""
    options = page.request.post(f"{scene.address}/api/v1/passkeys/request", headers={"X-CSRF-Token": token}).json()
    form = {"csrf_token": token, "credential": answer(scene, options)}
    first = page.request.post(f"{scene.address}/account/prove", form=form, max_redirects=0)
    again = page.request.post(f"{scene.address}/account/prove", form=form, max_redirects=0)
    assert (first.status, again.status) == (302, 400)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "rawId": JSON,
        "type": st.just("public-key") | JSON,
        "response": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "clientDataJSON": JSON, "attestationObject": JSON, "authenticatorData": JSON, "signature": JSON,
            },
        ),
    },
)  # fmt: skip


def test_whatever_is_sent_is_refused_in_a_sentence(session: Session) -> None:
    person = World(session).person("p@example.org")
    session.commit()
    who, party = actor_of(session, person), RelyingParty("localhost", "http://localhost:8000")

    @given(sent=ANSWERS.map(json.dumps) | st.text(max_size=40) | JSON.map(json.dumps))
    def refused(sent: str) -> None:
        with pytest.raises(Invalid):
            passkeys.add(session, who, party, person, b"challenge", sent, "")
        with pytest.raises((Invalid, TooManyRequests)):
            passkeys.prove(session, who, party, person, b"challenge", sent)

    refused()
