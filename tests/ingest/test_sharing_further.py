"""Sharing beyond one's own places, of whole cases, for a time, by request, and to download."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import Action, policy
from app.core import Core
from app.db.audit import AuditEvent
from app.db.grants import AccessCode, AccessRequest, Grant, GrantRight
from app.db.mails import Mail
from app.db.people import Person, Role
from app.db.recordings import ArtefactKind, Recording
from app.domain import access_requests, days, expiring, grants
from app.errors import Conflict, Invalid
from app.settings import Settings
from app.storage.s3 import Storage
from tests.ingest.support import Makers, check_page, makers
from tests.support.world import Browser


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def made(there: Makers) -> Recording:
    recording: Recording = there.world.recording(there.case, owner_id=there.person.id, published=True)
    there.world.session.commit()
    return recording


def may(session: Session, person: Person, action: Action, recording: Recording) -> bool:
    now = clock.now()
    return policy.allows(session, access.load(session, person.id, now), action, recording.id, now)


def actions(session: Session) -> list[str]:
    return list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))


# -- approval ------------------------------------------------------------------------------------------------------------


def test_what_goes_further_waits_for_an_admin_of_that_place(
    app: Flask, there: Makers, made: Recording, session: Session
) -> None:
    world = there.world
    viewer = world.person("far@example.org", Role.VIEWER, "SW")
    near_admin = world.person("near@example.org", Role.ADMIN, "NEY")
    far_admin = world.person("far-admin@example.org", Role.ADMIN, "SW")
    session.commit()
    maker, near, far = (Browser(app, person) for person in (there.person, near_admin, far_admin))
    given = maker.post(f"/recordings/{made.id}/share", {"to": "region:SW", "reason": "They film it next"})
    assert given.status_code == 302
    page = check_page(maker.get(f"/recordings/{made.id}/share"), "Share and publish")
    assert "Waiting for approval" in page
    grant = session.scalars(select(Grant)).one()
    assert not may(session, viewer, Action.RECORDING_VIEW, made)
    assert "They film it next" not in near.get("/approvals").text
    assert near.post(f"/approvals/{grant.id}/approve").status_code == 404
    assert maker.post(f"/approvals/{grant.id}/approve").status_code == 404
    queue = check_page(far.get("/approvals"), "Approvals - Sharing")
    assert "They film it next" in queue
    assert "1 waits for you" in queue
    assert far.post(f"/approvals/{grant.id}/refuse").status_code == 409, "a no needs words"
    assert far.post(f"/approvals/{grant.id}/approve", {"answer": "Gladly"}).status_code == 302
    session.expire_all()
    assert may(session, viewer, Action.RECORDING_VIEW, made)
    assert far.post(f"/approvals/{grant.id}/refuse", {"answer": "no"}).status_code == 404, "answered once"
    assert [name for name in actions(session) if name.startswith("grant:")] == ["grant:ask", "grant:approve"]


def test_nobody_approves_their_own(app: Flask, there: Makers, made: Recording, session: Session) -> None:
    world = there.world
    world.role(there.person, Role.ADMIN, "SW")
    colleague = world.person("c@example.org", Role.ADMIN, "ENG")
    # given before the giver became an admin there
    own = world.grant(made, area="SW", needs_approval=True, reason="x", created_by_id=there.person.id)
    session.commit()
    assert Browser(app, there.person).post(f"/approvals/{own.id}/approve").status_code == 404
    browser = Browser(app, colleague)
    assert browser.post(f"/approvals/{own.id}/refuse", {"answer": "Not now"}).status_code == 302
    page = check_page(Browser(app, there.person).get(f"/recordings/{made.id}/share"), "Share and publish")
    assert "Not now" in page


# -- cases ---------------------------------------------------------------------------------------------------------------


def test_a_case_is_shared_with_all_its_recordings(app: Flask, there: Makers, made: Recording, session: Session) -> None:
    viewer = there.world.person("v@example.org", Role.VIEWER, "NEY")
    session.commit()
    browser, reader = Browser(app, there.person), Browser(app, viewer)
    case = f"/cases/{there.case.id}"
    assert reader.get(case).status_code == 404
    assert "Share this case" in browser.get(case).text
    assert browser.post(f"{case}/share", {"to": "region:NEY"}).status_code == 302
    assert reader.get(case).status_code == 200
    assert "Share this case" not in reader.get(case).text
    assert reader.get(f"{case}/share").status_code == 403
    assert may(session, viewer, Action.RECORDING_VIEW, made)
    later = there.world.recording(there.case, published=True)
    draft = there.world.recording(there.case)
    session.commit()
    assert may(session, viewer, Action.RECORDING_VIEW, later)
    assert not may(session, viewer, Action.RECORDING_VIEW, draft)
    assert grants.missing_for_publishing(session, draft) == []
    session.commit()
    page = check_page(browser.get(f"/recordings/{made.id}/share"), "Share and publish")
    assert "Shared by its case" in page
    grant = session.scalars(select(Grant)).one()
    assert browser.post(f"/recordings/{made.id}/share/{grant.id}/revoke").status_code == 404, "it is the case's"
    assert browser.post(f"{case}/share/{grant.id}/revoke").status_code == 302
    assert reader.get(case).status_code == 404
    assert browser.post(f"{case}/share/{grant.id}/again").status_code == 302
    assert reader.get(case).status_code == 200


# -- for a time ----------------------------------------------------------------------------------------------------------


def test_extending(there: Makers, made: Recording, session: Session) -> None:
    who = access.load(session, there.person.id, clock.now())
    soon, later = days.today() + timedelta(days=3), days.today() + timedelta(days=30)
    own = there.world.grant(made, area="NEY", ends_at=days.end_of(soon), reminded_at=clock.now())
    assert grants.extend(session, who, own, later) is own
    assert (own.ends_at, own.reminded_at) == (days.end_of(later), None)
    beyond = there.world.grant(
        made, area="SW", ends_at=days.end_of(soon), needs_approval=True, approved_at=clock.now(), reason="x"
    )
    waits = grants.extend(session, who, beyond, later)
    assert waits is not beyond
    assert (waits.needs_approval, waits.approved_at, beyond.ends_at) == (True, None, days.end_of(soon))
    assert grants.extend(session, who, beyond, days.today()) is beyond, "sooner needs nobody"
    with pytest.raises(Invalid):
        grants.extend(session, who, own, days.today() - timedelta(days=1))
    grants.revoke(session, who, own)
    with pytest.raises(Conflict):
        grants.extend(session, who, own, later)


def test_what_ends_soon_is_listed_and_extended_in_place(
    app: Flask, there: Makers, made: Recording, session: Session
) -> None:
    grant = there.world.grant(made, area="NEY", ends_at=clock.now() + timedelta(days=40))
    session.commit()
    browser = Browser(app, there.person)
    elsewhere = there.world.person("o@example.org", Role.FACILITATOR, "SW")
    session.commit()
    other = Browser(app, elsewhere)
    assert made.title not in browser.get("/grants/expiring").text
    page = check_page(browser.get("/grants/expiring?within=90"), "Grants expiring - Sharing")
    assert made.title in page
    assert made.title not in other.get("/grants/expiring?within=90").text
    until = (days.today() + timedelta(days=200)).isoformat()
    assert other.post(f"/grants/{grant.id}/extend", {"until": until}).status_code == 404
    assert browser.post(f"/grants/{grant.id}/extend", {"until": "soon"}).status_code == 409
    assert browser.post(f"/grants/{grant.id}/extend", {"until": until}).status_code == 302
    assert made.title not in browser.get("/grants/expiring?within=90").text


def test_owners_are_reminded_twice_and_once_each(
    settings: Settings, there: Makers, made: Recording, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = clock.now()
    with_mail = _with_mail(settings)
    there.world.grant(made, area="NEY", starts_at=start, ends_at=start + timedelta(days=30))
    there.world.grant(made, area="SW", starts_at=start, ends_at=start + timedelta(days=30))
    there.world.grant(made, area="ENG", starts_at=start, ends_at=start + timedelta(days=30), revoked_at=start)
    written = []
    for day in range(31):
        monkeypatch.setattr(clock, "now", lambda day=day: start + timedelta(days=day))
        if expiring.remind(session, with_mail):
            written.append(day)
        assert expiring.remind(session, with_mail) == 0
    assert written == [16, 28]
    mails = session.scalars(select(Mail)).all()
    assert {mail.address for mail in mails} == {there.person.email}
    assert [mail.subject for mail in mails] == ["Sharing ends soon in Vignette (2)"] * 2


def _with_mail(settings: Settings) -> Settings:
    return replace(settings, smtp_url="smtp://127.0.0.1:2525", mail_from="vignette@example.org")


# -- requests ------------------------------------------------------------------------------------------------------------


def test_asking_tells_nothing_and_is_answered(
    app: Flask, core: Core, there: Makers, made: Recording, session: Session
) -> None:
    asker = there.world.person("asks@example.org", Role.VIEWER, "SW")
    session.commit()
    owner, other = Browser(app, there.person), Browser(app, asker)
    shown = check_page(owner.post(f"/recordings/{made.id}/share/codes"), "Share and publish")
    code = re.search(r"<code>([A-Z2-7]{5}-[A-Z2-7]{5}-[A-Z2-7]{5})</code>", shown)
    assert code is not None
    assert code[1] not in owner.get(f"/recordings/{made.id}/share").text, "shown once"
    missing = other.get(f"/recordings/{made.id}")
    assert missing.status_code == 404
    assert "/ask" in missing.text
    answers = []
    for typed in (code[1].lower().replace("-", " "), "AAAAA-AAAAA-AAAAA"):
        sent = other.post("/ask", {"code": typed, "reason": "A course"})
        after = other.get("/ask").text
        answers.append((sent.status_code, sent.location, re.sub(r'value="[^"]{40,}"|content="[^"]{40,}"', "", after)))
    assert answers[0] == answers[1]
    assert access_requests.SAID in answers[0][2]
    assert made.title not in answers[0][2]
    request = session.scalars(select(AccessRequest)).one()
    other.post("/ask", {"code": code[1], "reason": "Again"})
    assert len(session.scalars(select(AccessRequest)).all()) == 1, "one open request of a person and recording"
    queue = check_page(owner.get("/requests"), "Requests to watch - Sharing")
    assert "A course" in queue
    assert other.post(f"/requests/{request.id}/grant").status_code == 404
    until = (days.today() + timedelta(days=90)).isoformat()
    assert until in queue
    assert owner.post(f"/requests/{request.id}/grant", {"until": until}).status_code == 302
    assert other.get(f"/api/v1/recordings/{made.id}").status_code == 200
    assert made.title in other.get("/ask").text
    grant = session.scalars(select(Grant)).one()
    assert (grant.person_id, grant.needs_approval) == (asker.id, False)
    assert owner.post(f"/requests/{request.id}/refuse", {"answer": "no"}).status_code == 404, "answered once"
    owner.post(f"/recordings/{made.id}/share/{grant.id}/revoke")
    assert made.title not in other.get("/ask").text
    assert [name for name in actions(session) if name.startswith(("code:", "access:"))] == [
        "code:create", "access:ask", "access:ask", "access:ask", "access:grant",
    ]  # fmt: skip


def test_a_no_names_nothing(app: Flask, there: Makers, made: Recording, session: Session) -> None:
    asker = there.world.person("asks@example.org", Role.VIEWER, "SW")
    request = AccessRequest(recording_id=made.id, person_id=asker.id, reason="x")
    session.add(request)
    session.commit()
    owner = Browser(app, there.person)
    assert owner.post(f"/requests/{request.id}/refuse", {"answer": " "}).status_code == 409
    assert owner.post(f"/requests/{request.id}/refuse", {"answer": "We do not know them"}).status_code == 302
    page = Browser(app, asker).get("/ask").text
    assert re.search(r": no</li>", page)
    assert made.title not in page
    assert "We do not know them" not in page


def test_codes_end(app: Flask, there: Makers, made: Recording, session: Session) -> None:
    who = access.load(session, there.person.id, clock.now())
    asker = there.world.person("asks@example.org", Role.VIEWER, "SW")
    asks = access.load(session, asker.id, clock.now())
    codes = [access_requests.make_code(session, who, made) for _ in range(2)]
    rows = {row.id: row for row in access_requests.codes(session, made)}
    assert len(rows) == 2
    for row in rows.values():
        assert row.expires_at - row.created_at == timedelta(days=30)
    access_requests.revoke_code(
        session, who, session.scalars(select(AccessCode).where(AccessCode.id.in_(rows))).all()[0]
    )
    session.scalars(select(AccessCode).where(AccessCode.revoked_at.is_(None))).one().expires_at = clock.now()
    session.flush()
    for code in codes:
        access_requests.ask(session, asks, code, "x")
    assert session.scalars(select(AccessRequest)).all() == []


def test_asking_is_limited(app: Flask, there: Makers, session: Session) -> None:
    asker = there.world.person("asks@example.org", Role.VIEWER, "SW")
    session.commit()
    browser = Browser(app, asker)
    got = [browser.post("/ask", {"code": "WRONG", "reason": "x"}).status_code for _ in range(12)]
    assert got == [302] * 10 + [429] * 2


def test_owners_are_told_of_requests_once(settings: Settings, there: Makers, made: Recording, session: Session) -> None:
    for name in ("a", "b"):
        asker = there.world.person(f"{name}@example.org")
        session.add(AccessRequest(recording_id=made.id, person_id=asker.id, reason="x"))
    session.flush()
    assert access_requests.tell(session, _with_mail(settings)) == 1
    assert access_requests.tell(session, _with_mail(settings)) == 0
    assert session.scalars(select(Mail)).one().subject.endswith("(2)")


# -- downloading ---------------------------------------------------------------------------------------------------------


def _redirects(app: Flask) -> None:
    """Large files come from storage itself."""
    core = app.extensions["vignette"]
    app.extensions["vignette"] = replace(core, settings=replace(core.settings, delivery="redirect"))


def test_downloading_is_a_right_of_its_own(
    app: Flask, there: Makers, made: Recording, session: Session, storage: Storage
) -> None:
    world = there.world
    made.title = "Saying sorry: <b>duty</b> of candour"
    world.artefact(storage, made, ArtefactKind.DOWNLOAD, b"film", "download", media_type="video/mp4")
    viewer = world.person("v@example.org", Role.VIEWER, "NEY")
    world.grant(made, area="NEY")
    session.commit()
    _redirects(app)
    path, reader = f"/recordings/{made.id}/download", Browser(app, viewer)
    assert reader.get(f"/recordings/{made.id}").status_code == 200
    assert path not in reader.get(f"/recordings/{made.id}").text
    assert reader.get(path).status_code == 403
    assert reader.post(path, {"part": "video"}).status_code == 403
    ends = {"ends_at": clock.now() + timedelta(days=1), "reason": "No network there"}
    world.grant(made, person_id=viewer.id, right=GrantRight.DOWNLOAD, **ends)
    session.commit()
    page = reader.get(path)
    assert "Why you download it" not in page.text
    assert reader.post(path, {"part": "source"}).status_code == 400
    sent = reader.post(path, {"part": "video"})
    assert sent.status_code == 303
    address = urlsplit(sent.location)
    asked = parse_qs(address.query)
    assert int(asked["X-Amz-Expires"][0]) <= 60
    assert asked["response-content-disposition"] == ['attachment; filename="saying-sorry-b-duty-b-of-candour.mp4"']
    form_action = next(part for part in page.headers["Content-Security-Policy"].split("; ") if "form-action" in part)
    assert f"{address.scheme}://{address.netloc}" in form_action
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "recording:download")).one()
    assert (event.person_id, event.subject_id, event.detail["part"]) == (viewer.id, made.id, "video")


def test_makers_say_why_they_download(
    app: Flask, there: Makers, made: Recording, session: Session, storage: Storage
) -> None:
    there.world.artefact(storage, made, ArtefactKind.DOWNLOAD, b"film", "download", media_type="video/mp4")
    session.commit()
    _redirects(app)
    browser, path = Browser(app, there.person), f"/recordings/{made.id}/download"
    page = check_page(browser.post(path, {"part": "video"}), "Download", 400)
    assert "Say why you download it" in page
    assert browser.post(path, {"part": "video", "reason": "To cut a teaching copy"}).status_code == 303
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "recording:download")).one()
    assert event.reason == "To cut a teaching copy"


def test_no_token_but_one_for_everything_downloads(
    app: Flask, there: Makers, made: Recording, session: Session
) -> None:
    for scope in access.SCOPES:
        assert (Action.RECORDING_DOWNLOAD in access.SCOPES[scope]) == (scope == "all")
    assert Action.RECORDING_DOWNLOAD not in access.EMBED_ACTIONS
