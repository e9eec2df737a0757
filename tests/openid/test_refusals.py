"""Each way in which an answer can be wrong is refused: an error page with a sentence, no session, and a line in the audit
that holds a code and nothing of what the provider said."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import RSAKey
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.sign_in import Identity, WebSession
from app.domain import provider_client
from tests.openid.conftest import MakeApp, entry
from tests.openid.provider import (
    CLIENT_SECRET,
    EMAIL,
    Misbehaving,
    address_on,
    asked_for,
    leave,
    sign_in,
    unsigned,
    visit,
    with_secret,
)
from tests.support.world import Browser, World


def assert_refused(session: Session, mark: int, browser: Browser, answer: Any, code: str, status: int = 400) -> None:
    """The page, that nobody is in and nothing was made, and the audit."""
    assert answer.status_code == status, answer.text
    assert "You are not signed in" in answer.text
    assert f"<code>{code}</code>" in answer.text
    assert EMAIL not in answer.text
    assert not browser.signed_in
    session.rollback()
    assert session.scalar(select(func.count()).select_from(WebSession)) == 0
    events = session.scalars(refusals(mark)).all()
    assert [event.detail for event in events] == [{"code": code, "provider": "hospital"}]
    assert events[0].address == "127.0.0.1"


def refusals(mark: int) -> Any:
    """The refusals in the audit after an event."""
    return select(AuditEvent).where(AuditEvent.action == "sign-in:refused", AuditEvent.id > mark)


def nobody_new(session: Session) -> None:
    assert session.scalar(select(func.count()).select_from(Identity)) == 0
    assert session.scalar(select(Person.id).where(Person.email == EMAIL)) is None


#: What is changed in the claims of an honest token, and the reason for which it is refused. A `timedelta` counts from now.
WRONG_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"aud": "somebody-else"}, "audience"),
    ({"aud": ["somebody-else", "another"]}, "audience"),
    ({"aud": None}, "audience"),
    ({"azp": "somebody-else"}, "audience"),
    ({"aud": ["vignette", "another"], "azp": "another"}, "audience"),
    ({"iss": "https://elsewhere.example"}, "issuer"),
    ({"iss": None}, "issuer"),
    ({"exp": timedelta(hours=-1)}, "expired"),
    ({"exp": None}, "expired"),
    ({"exp": "soon"}, "expired"),
    ({"iat": timedelta(hours=1)}, "issued-in-future"),
    ({"iat": None}, "issued-in-future"),
    ({"nbf": timedelta(hours=1)}, "not-yet-valid"),
    ({"nonce": None}, "nonce"),
    ({"nonce": "a nonce of another day"}, "nonce"),
    ({"nonce": ["a", "list"]}, "nonce"),
    ({"sub": None}, "subject"),
    ({"sub": ""}, "subject"),
    ({"sub": 7}, "subject"),
    ({"sub": "s" * 256}, "subject"),
    ({"at_hash": "bm90IHRoZSBoYXNoIG9mIGl0"}, "access-token"),
]
WRONG_ACCOUNTS: list[tuple[dict[str, Any], str]] = [
    ({"email_verified": False}, "unverified-email"),
    ({"email_verified": None}, "unverified-email"),
    ({"email_verified": "no"}, "unverified-email"),
    ({"email": None}, "no-email"),
    ({"email": ["a@example.org"]}, "no-email"),
    ({"email": "not an address"}, "no-email"),
]


@pytest.mark.parametrize(("claims", "code"), WRONG_CLAIMS, ids=lambda v: str(v)[:50])
def test_a_wrong_claim(
    browser: Browser, provider: Misbehaving, session: Session, claims: dict[str, Any], code: str, mark: int
) -> None:
    provider.claims = {
        claim: int(time.time() + value.total_seconds()) if isinstance(value, timedelta) else value
        for claim, value in claims.items()
    }
    assert_refused(session, mark, browser, sign_in(browser), code)
    nobody_new(session)


@pytest.mark.parametrize(("claims", "code"), WRONG_ACCOUNTS, ids=lambda v: str(v)[:50])
def test_an_account_that_may_not_be_used(
    browser: Browser, provider: Misbehaving, session: Session, claims: dict[str, Any], code: str, mark: int
) -> None:
    provider.claims = claims
    assert_refused(session, mark, browser, sign_in(browser), code, 403)
    nobody_new(session)


def _other_key(claims: dict[str, Any]) -> str:
    return Misbehaving(key=RSAKey.generate_key(2048, {"kid": "first"})).sign(claims)


def _unknown_kid(claims: dict[str, Any]) -> str:
    return Misbehaving(key=RSAKey.generate_key(2048, {"kid": "nobody knows"})).sign(claims)


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (unsigned, "algorithm"),
        (_other_key, "signature"),
        (_unknown_kid, "unknown-key"),
        (lambda claims: "not.a.token", "malformed"),
        (lambda claims: "", "malformed"),
    ],
    ids=["alg none", "another's key", "unknown key", "no token", "empty"],
)
def test_a_token_that_the_provider_did_not_sign(
    browser: Browser,
    provider: Misbehaving,
    session: Session,
    forge: Callable[[dict[str, Any]], str],
    code: str,
    mark: int,
) -> None:
    provider.forge = forge
    assert_refused(session, mark, browser, sign_in(browser), code)
    nobody_new(session)


def test_the_public_key_is_no_secret(browser: Browser, provider: Misbehaving, session: Session, mark: int) -> None:
    provider.forge = lambda claims: with_secret(provider.public_pem(), claims)
    assert_refused(session, mark, browser, sign_in(browser), "algorithm")


def test_the_client_secret_signs_nothing(browser: Browser, provider: Misbehaving, session: Session, mark: int) -> None:
    provider.forge = lambda claims: with_secret(CLIENT_SECRET.encode(), claims)
    assert_refused(session, mark, browser, sign_in(browser), "algorithm")


def test_a_token_of_before_is_refused_for_its_nonce(hospital: Flask, provider: Misbehaving, session: Session) -> None:
    first = Browser(hospital)
    assert sign_in(first).status_code == 302
    old = provider.tokens[-1]
    provider.forge = lambda claims: old
    second = Browser(hospital)
    answer = sign_in(second)
    assert answer.status_code == 400
    assert "<code>nonce</code>" in answer.text
    assert not second.signed_in
    assert session.scalar(select(func.count()).select_from(WebSession)) == 1, "the first one's"


def test_a_callback_works_once_even_with_its_cookie_replayed(
    hospital: Flask, provider: Misbehaving, session: Session
) -> None:
    browser = Browser(hospital)
    back = visit(leave(browser))
    name = hospital.session_interface.visitor_cookie  # type: ignore[attr-defined]
    cookie = browser.client.get_cookie(name)
    assert cookie is not None
    assert browser.get(back).status_code == 302
    exchanged = len(provider.forms)
    replayed = Browser(hospital)
    replayed.client.set_cookie(name, cookie.value)
    answer = replayed.get(back)
    assert answer.status_code == 400
    assert "<code>state</code>" in answer.text
    assert not replayed.signed_in
    assert len(provider.forms) == exchanged, "the code was not even shown to the provider"
    assert session.scalar(select(func.count()).select_from(WebSession)) == 1


@pytest.mark.parametrize("state", ["", "not the one", None])
def test_a_wrong_or_missing_state(
    browser: Browser, provider: Misbehaving, session: Session, state: str | None, mark: int
) -> None:
    provider.answer = {"state": state}
    assert_refused(session, mark, browser, sign_in(browser), "state")
    assert provider.forms == [], "the code was not even shown to the provider"


def test_a_state_of_another_browser(hospital: Flask, provider: Misbehaving, session: Session, mark: int) -> None:
    """An attacker cannot have somebody sign in as the attacker by sending them the way back."""
    back = visit(leave(Browser(hospital)))
    victim = Browser(hospital)
    victim.get("/sign-in")
    assert_refused(session, mark, victim, victim.get(back), "state")


def test_a_state_that_was_forged_into_a_cookie_of_ones_own_is_not_enough(
    browser: Browser, provider: Misbehaving, session: Session, mark: int
) -> None:
    """A state that the server never gave out, or gave out too long ago, is unknown to it."""
    back = visit(leave(browser))
    session.execute(text("UPDATE sign_in_attempts SET expires_at = now() - interval '1 second'"))
    session.commit()
    assert_refused(session, mark, browser, browser.get(back), "state")


def test_a_state_for_another_provider(make_app: MakeApp, provider: Misbehaving, session: Session) -> None:
    other = entry("https://other.example", key="university", name="A university")
    browser = Browser(make_app(entry(provider.issuer), other))
    back = visit(leave(browser)).replace("/from/hospital", "/from/university")
    answer = browser.get(back)
    assert answer.status_code == 400
    assert "<code>state</code>" in answer.text
    assert not browser.signed_in
    assert provider.forms == []


def test_a_wrong_state_leaves_the_right_one_alone(browser: Browser, provider: Misbehaving) -> None:
    back = visit(leave(browser))
    assert browser.get("/sign-in/from/hospital?code=x&state=wrong").status_code == 400
    assert browser.get(back).status_code == 302


def test_the_provider_that_answers_is_the_one_that_was_asked(
    browser: Browser, provider: Misbehaving, session: Session, mark: int
) -> None:
    provider.answer = {"iss": "https://elsewhere.example"}
    assert_refused(session, mark, browser, sign_in(browser), "issuer")
    assert provider.forms == []


def test_a_provider_that_promises_to_name_itself_must(
    browser: Browser, provider: Misbehaving, session: Session, mark: int
) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    assert_refused(session, mark, browser, sign_in(browser), "issuer")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"code": None, "error": "access_denied"}, "cancelled"),
        ({"code": None, "error": "server_error", "error_description": "<b>secret</b>"}, "provider-error"),
        ({"code": None}, "no-code"),
    ],
)
def test_an_error_in_place_of_a_code(
    browser: Browser, provider: Misbehaving, session: Session, answer: dict[str, Any], code: str, mark: int
) -> None:
    provider.answer = answer
    page = sign_in(browser)
    assert_refused(session, mark, browser, page, code)
    assert "secret" not in page.text


def test_an_email_of_a_domain_that_is_not_allowed(
    make_app: MakeApp, provider: Misbehaving, session: Session, mark: int
) -> None:
    browser = Browser(make_app(entry(provider.issuer, domains=["trust.example"])))
    assert_refused(session, mark, browser, sign_in(browser), "foreign-domain", 403)
    nobody_new(session)
    provider.claims = {"email": "x@deeper.trust.example"}
    assert sign_in(browser).status_code == 403
    provider.claims = {"email": "x@TRUST.example"}
    assert sign_in(browser).status_code == 302


def test_an_account_with_anothers_email(browser: Browser, provider: Misbehaving, session: Session, mark: int) -> None:
    """Whoever can have a provider name an address does not become the person with this address."""
    world = World(session)
    admin = world.person(EMAIL.upper(), Role.ADMIN)
    session.commit()
    assert_refused(session, mark, browser, sign_in(browser), "not-linked", 403)
    assert session.scalar(select(func.count()).select_from(Identity)) == 0
    event = session.scalars(refusals(mark)).one()
    assert event.subject_id == admin.id, "their admin can see for whom it was"


@pytest.mark.parametrize("column", ["suspended_at", "left_at"])
def test_somebody_who_was_stopped(
    hospital: Flask, provider: Misbehaving, session: Session, column: str, mark: int
) -> None:
    assert sign_in(Browser(hospital)).status_code == 302
    person = session.scalars(select(Person).where(Person.email == EMAIL)).one()
    setattr(person, column, person.created_at)
    session.query(WebSession).delete()
    session.commit()
    browser = Browser(hospital)
    assert_refused(session, mark, browser, sign_in(browser), "suspended", 403)


# -- a provider that does not work -----------------------------------------------------------------------------------------


def test_a_provider_that_is_down_leaves_the_other_ways(make_app: MakeApp, session: Session, mark: int) -> None:
    browser = Browser(make_app(entry("http://127.0.0.1:9")))
    started = time.monotonic()
    assert_refused(session, mark, browser, browser.post("/sign-in/with/hospital"), "provider-down", 503)
    assert time.monotonic() - started < provider_client.MOST_SECONDS
    page = browser.get("/sign-in")
    assert page.status_code == 200
    assert "Continue with Northmoor Hospital" in page.text
    assert 'name="password"' in page.text


def test_a_provider_that_goes_down_on_the_way(
    browser: Browser, provider: Misbehaving, session: Session, monkeypatch: pytest.MonkeyPatch, mark: int
) -> None:
    monkeypatch.setattr(provider_client, "TIMEOUT", (0.3, 0.3))
    back = visit(leave(browser))
    provider.wait = threading.Event()
    try:
        assert_refused(session, mark, browser, browser.get(back), "provider-down", 503)
    finally:
        provider.wait.set()
    assert browser.get(back).status_code == 400, "the way back is used up"


def test_a_provider_that_drips_is_cut_off(
    browser: Browser, provider: Misbehaving, session: Session, monkeypatch: pytest.MonkeyPatch, mark: int
) -> None:
    """A byte now and then keeps every read within its time-out; the whole answer is bounded too."""
    monkeypatch.setattr(provider_client, "MOST_SECONDS", 1.0)
    provider.drip = True
    started = time.monotonic()
    assert_refused(session, mark, browser, browser.post("/sign-in/with/hospital"), "provider-down", 503)
    assert time.monotonic() - started < 4


def test_after_a_failure_nobody_waits_for_a_while(
    browser: Browser, provider: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_client, "TIMEOUT", (0.3, 0.3))
    provider.wait = threading.Event()
    assert browser.post("/sign-in/with/hospital").status_code == 503
    provider.wait.set()
    provider.wait = None
    asked = len(provider.asked)
    assert browser.post("/sign-in/with/hospital").status_code == 503
    assert len(provider.asked) == asked, "the second try asked nobody"
    later = provider_client.clock.now() + provider_client.SILENT_FOR
    monkeypatch.setattr(provider_client.clock, "now", lambda: later)
    assert browser.post("/sign-in/with/hospital").status_code == 200


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"issuer": "https://elsewhere.example"}, "discovery-issuer"),
        ({"token_endpoint": "http://elsewhere.example/token"}, "discovery-address"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "discovery-address"),
        ({"jwks_uri": None}, "discovery-address"),
    ],
)
def test_a_provider_that_describes_itself_wrongly(
    browser: Browser, provider: Misbehaving, session: Session, metadata: dict[str, Any], code: str, mark: int
) -> None:
    provider.metadata = metadata
    assert_refused(session, mark, browser, browser.post("/sign-in/with/hospital"), code, 503)


def test_a_description_that_is_too_large(browser: Browser, provider: Misbehaving, session: Session, mark: int) -> None:
    provider.metadata = {"padding": "x" * provider_client.MOST_BYTES}
    assert_refused(session, mark, browser, browser.post("/sign-in/with/hospital"), "provider-down", 503)


def test_starting_takes_a_form_token(browser: Browser, provider: Misbehaving) -> None:
    assert browser.client.post("/sign-in/with/hospital").status_code == 400
    assert provider.asked == []


def test_an_unknown_provider_is_no_page(browser: Browser) -> None:
    assert browser.post("/sign-in/with/nobody").status_code == 404
    assert browser.get("/sign-in/from/nobody?code=1&state=2").status_code == 404


def test_what_is_asked_for(browser: Browser, provider: Misbehaving) -> None:
    """Code flow, with a state, a nonce and a PKCE challenge that differ each time; the verifier goes to the token
    endpoint only."""
    first, second = asked_for(leave(browser)), asked_for(leave(browser))
    for asked in (first, second):
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["redirect_uri"] == "http://127.0.0.1:8000/sign-in/from/hospital"
        assert set(asked["scope"].split()) == {"openid", "email", "profile"}
        assert "code_verifier" not in asked
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]


def test_the_way_back_does_not_follow_the_host_header(browser: Browser, provider: Misbehaving) -> None:
    elsewhere: dict[str, Any] = {"base_url": "http://evil.example", "headers": {"X-Forwarded-Host": "evil.example"}}
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/sign-in", **elsewhere).text)
    assert token
    page = browser.client.post("/sign-in/with/hospital", data={"csrf_token": token[1]}, **elsewhere)
    assert asked_for(address_on(page))["redirect_uri"] == "http://127.0.0.1:8000/sign-in/from/hospital"


def test_logs_keep_nothing_of_the_account(
    browser: Browser, provider: Misbehaving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    provider.claims = {"email_verified": False}
    back = visit(leave(browser))
    caplog.clear()
    assert browser.get(back).status_code == 403
    written = " ".join(
        f"{record.getMessage()} {record.__dict__.get('fields', '')}"
        for record in caplog.records
        if record.name.startswith("app")
    )
    assert "/sign-in/from/<key>" in written
    for secret in (EMAIL, "subject-1", "code-", provider.tokens[-1]):
        assert secret not in written
