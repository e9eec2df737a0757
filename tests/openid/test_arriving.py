"""Who comes in through a provider: new people without access, known ones by issuer and subject, and what rules give."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import RSAKey
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import clock
from app.access import SYSTEM, load
from app.db.audit import AuditEvent
from app.db.people import Person, Role, RoleAssignment
from app.db.places import Organisation
from app.db.sign_in import Identity, LinkPurpose, OneTimeLink, WebSession
from app.domain import identities, people, provider_client
from app.domain import sign_in as links
from app.domain.places import Place
from tests.openid.conftest import MakeApp, entry
from tests.openid.provider import EMAIL, Misbehaving, address_on, asked_for, leave, sign_in, visit
from tests.support.world import Browser, World

TRUST = "Northmoor Trust"


def comer(session: Session) -> Person:
    session.rollback()
    return session.scalars(select(Person).where(func.lower(Person.email) == EMAIL)).one()


def roles(session: Session, person: Person) -> set[tuple[str, str, str]]:
    session.rollback()
    query = (
        select(RoleAssignment.role, Organisation.name, RoleAssignment.source)
        .join(Organisation, Organisation.id == RoleAssignment.organisation_id)
        .where(RoleAssignment.person_id == person.id)
    )
    return {(role.value, name, source) for role, name, source in session.execute(query)}


def test_somebody_new_is_in_and_has_no_access(browser: Browser, provider: Misbehaving, session: Session) -> None:
    answer = sign_in(browser)
    assert (answer.status_code, answer.location) == (302, "/")
    person = comer(session)
    assert (person.email, person.name, person.password_hash) == (EMAIL, "New Comer", None)
    actor = load(session, person.id, clock.now())
    assert not actor.coverage
    assert not actor.organisation_ids
    assert not actor.audience_area_ids
    row = session.scalars(select(WebSession)).one()
    assert (row.method, row.second_factor_at, row.address) == ("hospital", None, "127.0.0.1")
    assert "You have no role yet" in browser.get("/account").text
    identity = session.scalars(select(Identity)).one()
    assert (identity.issuer, identity.subject) == (provider.issuer, "subject-1")
    event = session.scalars(
        select(AuditEvent).where(AuditEvent.action == "session:start", AuditEvent.person_id == person.id)
    ).one()
    assert event.detail["method"] == "hospital"
    assert provider.forms[-1]["code_verifier"]


def test_people_are_known_by_subject_whatever_address_the_provider_names(
    hospital: Flask, provider: Misbehaving, session: Session
) -> None:
    sign_in(Browser(hospital))
    person = comer(session)
    provider.claims = {"email": "renamed@example.org", "name": "Re Named"}
    assert sign_in(Browser(hospital)).status_code == 302
    assert session.scalars(select(WebSession.person_id)).all() == [person.id, person.id]
    assert comer(session).email == EMAIL, "the address here is the business of people here"
    provider.claims = {"sub": "subject-2"}
    assert sign_in(Browser(hospital)).status_code == 403, "another subject with the same address is somebody else"


def test_the_same_subject_at_another_provider_is_somebody_else(
    make_app: MakeApp, provider: Misbehaving, session: Session
) -> None:
    world = World(session)
    person = world.person("someone@example.org")
    session.add(Identity(person_id=person.id, issuer="https://other.example", subject="subject-1"))
    session.commit()
    assert sign_in(Browser(make_app(entry(provider.issuer)))).status_code == 302
    assert session.scalars(select(WebSession.person_id)).one() == comer(session).id != person.id


@pytest.mark.parametrize(
    ("wanted", "got"), [("/account", "/account"), ("https://evil.example/", "/"), ("//evil.example", "/"), ("", "/")]
)
def test_where_it_goes_on(browser: Browser, provider: Misbehaving, wanted: str, got: str) -> None:
    token = browser.form_token()
    page = browser.client.post("/sign-in/with/hospital", query_string={"next": wanted}, data={"csrf_token": token})
    assert browser.get(visit(address_on(page))).location == got


def test_the_page_asked_for_survives_the_button(browser: Browser) -> None:
    page = browser.get("/sign-in?next=/recordings/1")
    assert 'action="/sign-in/with/hospital?next=/recordings/1"' in page.text
    assert page.text.index("Continue with Northmoor Hospital") < page.text.index('name="password"')


def test_nothing_from_before_signing_in_lives_on(browser: Browser, hospital: Flask) -> None:
    name = hospital.session_interface.visitor_cookie  # type: ignore[attr-defined]
    leave(browser)
    sign_in(browser)
    assert browser.client.get_cookie(name) is None


def test_two_tabs_both_come_back(browser: Browser) -> None:
    first, second = leave(browser), leave(browser)
    assert browser.get(visit(first)).status_code == 302
    assert browser.get(visit(second)).status_code == 400, "signed in already; the other trip went with the visitor"


def test_a_change_of_keys_is_noticed_at_once(hospital: Flask, provider: Misbehaving) -> None:
    assert sign_in(Browser(hospital)).status_code == 302
    provider.key = RSAKey.generate_key(2048, {"kid": "second"})
    assert sign_in(Browser(hospital)).status_code == 302
    assert provider.asked.count("/keys") == 2


def test_the_description_is_kept_for_a_while_only(
    hospital: Flask, provider: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = "/.well-known/openid-configuration"
    leave(Browser(hospital))
    leave(Browser(hospital))
    assert provider.asked.count(described) == 1
    later = clock.now() + provider_client.KEPT_FOR
    monkeypatch.setattr(clock, "now", lambda: later)
    leave(Browser(hospital))
    assert provider.asked.count(described) == 2


def test_the_secret_goes_as_the_provider_wants_it(hospital: Flask, provider: Misbehaving) -> None:
    sign_in(Browser(hospital))
    assert provider.forms[-1]["authorization"].startswith("Basic ")
    assert "client_secret" not in provider.forms[-1]


def test_the_secret_goes_in_the_form_where_nothing_else_is_taken(browser: Browser, provider: Misbehaving) -> None:
    provider.metadata = {"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"]}
    assert sign_in(browser).status_code == 302
    assert "client_secret" in provider.forms[-1]
    assert provider.forms[-1]["authorization"] == ""


@pytest.mark.parametrize(("userinfo", "status"), [({}, 302), ({"sub": "somebody else"}, 400)])
def test_claims_of_the_user_info(
    make_app: MakeApp, provider: Misbehaving, session: Session, userinfo: dict[str, Any], status: int
) -> None:
    """They complete the token, must be about the same subject, and never replace what is signed."""
    browser = Browser(make_app(entry(provider.issuer, userinfo=True, second_factor=[{"claim": "amr", "value": "mfa"}])))
    provider.claims = {"email": None, "email_verified": None, "name": None}
    provider.userinfo = {
        "email": EMAIL, "email_verified": True, "name": "From There", "amr": ["mfa"], "iss": "https://x.example",
        **userinfo,
    }  # fmt: skip
    assert sign_in(browser).status_code == status
    if status == 302:
        assert comer(session).name == "From There"
        assert session.scalars(select(WebSession.second_factor_at)).one() is None, "only the signed token vouches"


@pytest.mark.parametrize(
    ("claims", "proved"),
    [({"amr": ["pwd", "mfa"]}, True), ({"acr": "AAL3"}, True), ({"amr": ["pwd"]}, False), ({"acr": "AAL1"}, False)],
)
def test_a_second_factor_that_the_provider_vouches_for(
    make_app: MakeApp, provider: Misbehaving, session: Session, claims: dict[str, Any], proved: bool
) -> None:
    vouching = [{"claim": "amr", "value": "mfa"}, {"claim": "acr", "values": ["AAL2", "AAL3"]}]
    provider.claims = claims
    app = make_app(entry(provider.issuer, second_factor=vouching, acr_values="AAL3"))
    assert asked_for(leave(Browser(app)))["acr_values"] == "AAL3"
    assert sign_in(Browser(app)).status_code == 302
    assert (session.scalars(select(WebSession.second_factor_at)).one() is not None) is proved


@pytest.mark.parametrize(("value", "status"), [(1, 302), ("1", 302), (True, 302), (0, 403), (None, 403)])
def test_entra_says_in_its_own_way_that_an_address_is_verified(
    make_app: MakeApp, provider: Misbehaving, value: Any, status: int
) -> None:
    provider.claims = {"email_verified": None, "xms_edov": value}
    assert sign_in(Browser(make_app(entry(provider.issuer, verified_by=["xms_edov"])))).status_code == status


def test_a_tenant_that_gives_out_its_own_addresses(make_app: MakeApp, provider: Misbehaving) -> None:
    provider.claims = {"email_verified": None}
    app = make_app(entry(provider.issuer, require_verified_email=False, domains=["example.org"]))
    assert sign_in(Browser(app)).status_code == 302


# -- rules ---------------------------------------------------------------------------------------------------------------

RULES = [
    {"claim": "groups", "value": "staff", "organisation": TRUST.upper()},
    {"claim": "groups", "values": ["tutors", "leads"], "organisation": TRUST, "role": "facilitator"},
    {"claim": "posts.org", "value": "RXX", "organisation": "Second Trust"},
    {"claim": "groups", "value": "ghosts", "organisation": "Nobody's Trust"},
]


def test_rules_place_people_and_follow_what_the_provider_says(
    make_app: MakeApp, provider: Misbehaving, session: Session
) -> None:
    world = World(session)
    trust = world.organisation(TRUST)
    world.organisation("Second Trust")
    world.organisation("Third Trust")
    session.commit()
    app = make_app(entry(provider.issuer, rules=RULES))
    provider.claims = {"groups": ["staff", "ghosts"], "posts": [{"org": "RXX", "n": 1}, {"org": "RYY"}]}
    assert sign_in(Browser(app)).status_code == 302
    person = comer(session)
    mapped = {("viewer", TRUST, "openid:hospital"), ("viewer", "Second Trust", "openid:hospital")}
    assert roles(session, person) == mapped
    assert load(session, person.id, clock.now()).organisation_ids >= {trust.id}
    ids = set(session.scalars(select(RoleAssignment.id)))
    sign_in(Browser(app))
    session.rollback()
    assert set(session.scalars(select(RoleAssignment.id))) == ids, "the same answer changes nothing"
    by_hand = world.role(
        session.get_one(Person, person.id),
        Role.VIEWER,
        organisation=session.scalars(select(Organisation).where(Organisation.name == "Third Trust")).one(),
    )
    session.commit()
    provider.claims = {"groups": ["leads"]}
    sign_in(Browser(app))
    assert roles(session, person) == {("facilitator", TRUST, "openid:hospital"), ("viewer", "Third Trust", "")}
    provider.claims = {}
    sign_in(Browser(app))
    assert roles(session, person) == {("viewer", "Third Trust", "")}
    assert session.get(RoleAssignment, by_hand.id) is not None
    taken = session.scalars(
        select(AuditEvent).where(AuditEvent.action == "role:take", AuditEvent.subject_id == person.id)
    ).all()
    assert {event.detail["source"] for event in taken} == {"openid:hospital"}


def test_a_closed_organisation_takes_nobody(make_app: MakeApp, provider: Misbehaving, session: Session) -> None:
    trust = World(session).organisation(TRUST)
    trust.closed_at = clock.now()
    session.commit()
    provider.claims = {"groups": ["staff"]}
    sign_in(Browser(make_app(entry(provider.issuer, rules=RULES))))
    assert roles(session, comer(session)) == set()


def test_what_somebody_gave_by_hand_is_not_given_twice(
    make_app: MakeApp, provider: Misbehaving, session: Session
) -> None:
    trust = World(session).organisation(TRUST)
    session.commit()
    app = make_app(entry(provider.issuer, rules=RULES))
    sign_in(Browser(app))
    people.give_role(session, SYSTEM, comer(session), Role.VIEWER, Place(organisation_id=trust.id))
    session.commit()
    provider.claims = {"groups": ["staff"]}
    sign_in(Browser(app))
    assert roles(session, comer(session)) == {("viewer", TRUST, "")}


# -- links and linking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", [LinkPurpose.INVITATION, LinkPurpose.SET_PASSWORD])
def test_a_link_of_an_admin_is_accepted_by_signing_in(
    hospital: Flask, provider: Misbehaving, session: Session, purpose: LinkPurpose
) -> None:
    person = World(session).person(EMAIL, Role.VIEWER, "NEY")
    secret = links.make_link(session, purpose, timedelta(hours=1), person_id=person.id)
    session.commit()
    browser = Browser(hospital)
    back = visit(leave(browser, data={"link": secret}))
    assert browser.get(back).status_code == 302
    assert session.scalars(select(WebSession.person_id)).one() == person.id
    assert session.scalars(select(Identity.person_id)).one() == person.id
    assert session.scalars(select(OneTimeLink)).one().used_at is not None
    assert sign_in(Browser(hospital)).status_code == 302, "and from now on without it"
    provider.claims = {"sub": "subject-2", "email": "x@example.org"}
    again = sign_in(Browser(hospital), data={"link": secret})
    assert again.status_code == 400
    assert "<code>link-used</code>" in again.text


@pytest.mark.parametrize(
    ("purpose", "path"), [(LinkPurpose.INVITATION, "/invitation/"), (LinkPurpose.SET_PASSWORD, "/set-password/")]
)
def test_the_page_of_a_link_offers_the_provider(
    hospital: Flask, session: Session, purpose: LinkPurpose, path: str
) -> None:
    person = World(session).person(EMAIL)
    secret = links.make_link(session, purpose, timedelta(hours=1), person_id=person.id)
    session.commit()
    page = Browser(hospital).get(f"{path}{secret}").text
    assert "Continue with Northmoor Hospital" in page
    assert f'name="link" value="{secret}"' in page


@pytest.mark.parametrize("purpose", [LinkPurpose.FIRST_ADMIN, LinkPurpose.SIGN_IN, LinkPurpose.EMBED])
def test_other_links_are_not(hospital: Flask, provider: Misbehaving, session: Session, purpose: LinkPurpose) -> None:
    person = World(session).person("p@example.org")
    secret = links.make_link(session, purpose, timedelta(hours=1), person_id=person.id)
    session.commit()
    answer = sign_in(Browser(hospital), data={"link": secret})
    assert (answer.status_code, "<code>link-used</code>" in answer.text) == (400, True)
    assert session.scalar(select(func.count()).select_from(Identity)) == 0


def test_a_link_does_not_take_an_account_from_somebody(
    hospital: Flask, provider: Misbehaving, session: Session
) -> None:
    sign_in(Browser(hospital))
    other = World(session).person("other@example.org")
    secret = links.make_link(session, LinkPurpose.INVITATION, timedelta(hours=1), person_id=other.id)
    session.commit()
    answer = sign_in(Browser(hospital), data={"link": secret})
    assert (answer.status_code, "<code>linked-elsewhere</code>" in answer.text) == (403, True)
    session.rollback()
    assert session.scalars(select(OneTimeLink)).one().used_at is None, "the link still works"


def signed_in(hospital: Flask, session: Session, email: str = EMAIL, **columns: Any) -> tuple[Browser, Person]:
    person = World(session).person(email, Role.VIEWER, "NEY", **columns)
    session.commit()
    return Browser(hospital, person), person


def go_and_link(browser: Browser) -> Any:
    page = browser.post("/account/identities/hospital")
    assert page.status_code == 200, page.text
    return browser.get(visit(address_on(page)))


def test_linking_on_ones_own_account_page(hospital: Flask, provider: Misbehaving, session: Session) -> None:
    browser, person = signed_in(hospital, session)
    assert "See and link accounts" in browser.get("/account").text
    assert "Link Northmoor Hospital" in browser.get("/account/identities").text
    answer = go_and_link(browser)
    assert (answer.status_code, answer.location) == (302, "/account/identities")
    page = browser.get("/account/identities").text
    assert "Your account at Northmoor Hospital is linked." in page
    assert "Remove Northmoor Hospital" in page
    assert sign_in(Browser(hospital)).status_code == 302
    assert session.scalars(select(WebSession.person_id)).all() == [person.id] * 2
    event = session.scalars(
        select(AuditEvent).where(AuditEvent.action == "identity:link", AuditEvent.person_id == person.id)
    ).one()
    assert event.subject_id == person.id


def test_linking_takes_a_session_that_is_fresh(hospital: Flask, provider: Misbehaving, session: Session) -> None:
    browser, _ = signed_in(hospital, session)
    row = session.scalars(select(WebSession)).one()
    row.created_at = clock.now() - identities.FRESH
    row.second_factor_at = None
    session.commit()
    assert "sign out and in again first" in browser.get("/account/identities").text
    answer = browser.post("/account/identities/hospital")
    assert (answer.status_code, "<code>session-old</code>" in answer.text) == (403, True)
    assert provider.asked == []
    row.second_factor_at = clock.now()
    session.commit()
    assert go_and_link(browser).status_code == 302


def test_linking_what_belongs_to_somebody_else(hospital: Flask, provider: Misbehaving, session: Session) -> None:
    sign_in(Browser(hospital))
    browser, _ = signed_in(hospital, session, "other@example.org")
    answer = go_and_link(browser)
    assert (answer.status_code, "<code>linked-elsewhere</code>" in answer.text) == (403, True)
    assert "Not linked" in answer.text
    assert session.scalars(select(Identity.person_id)).one() == comer(session).id


def test_linking_started_by_one_is_not_finished_by_another(
    hospital: Flask, provider: Misbehaving, session: Session
) -> None:
    browser, _ = signed_in(hospital, session)
    back = visit(address_on(browser.post("/account/identities/hospital")))
    other, _ = signed_in(hospital, session, "other@example.org")
    for someone in (other, Browser(hospital)):
        answer = someone.get(back)
        assert (answer.status_code, "<code>state</code>" in answer.text) == (400, True)
    assert session.scalar(select(func.count()).select_from(Identity)) == 0


def test_linking_takes_a_form_token_and_somebody_signed_in(
    hospital: Flask, provider: Misbehaving, session: Session
) -> None:
    browser, _ = signed_in(hospital, session)
    assert browser.client.post("/account/identities/hospital").status_code == 400
    assert Browser(hospital).post("/account/identities/hospital").location.startswith("/sign-in")
    assert provider.asked == []


def test_taking_a_linked_account_away(make_app: MakeApp, provider: Misbehaving, session: Session) -> None:
    World(session).organisation(TRUST)
    session.commit()
    app = make_app(entry(provider.issuer, rules=RULES))
    provider.claims = {"groups": ["staff"]}
    browser = Browser(app)
    sign_in(browser)
    person = comer(session)
    identity = session.scalars(select(Identity)).one()
    path = f"/account/identities/{identity.id}/remove"
    assert browser.post(path).status_code == 409, "it is the only way in"
    person.password_hash = "some hash"
    session.commit()
    stranger, _ = signed_in(app, session, "other@example.org")
    assert stranger.post(path).status_code == 404
    assert browser.post(path).status_code == 302
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Identity)) == 0
    assert roles(session, person) == set()
