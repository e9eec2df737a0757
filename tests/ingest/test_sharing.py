"""Sharing: nobody gives more than they hold, the last day counts whole, publishing says what is missing."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import SYSTEM
from app.db.grants import Grant
from app.db.people import Role
from app.db.recordings import Recording, RecordingState
from app.domain import days, grants
from app.errors import Invalid
from tests.ingest.support import Api, Makers, check_page, makers
from tests.support.world import Browser


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def browser(app: Flask, there: Makers) -> Browser:
    return Browser(app, there.person)


@pytest.fixture
def made(there: Makers) -> Recording:
    recording: Recording = there.world.recording(there.case, owner_id=there.person.id)
    there.world.session.commit()
    return recording


def test_share_publish_and_take_back(
    app: Flask, browser: Browser, there: Makers, made: Recording, session: Session
) -> None:
    path, watch = f"/recordings/{made.id}/share", f"/api/v1/recordings/{made.id}"
    person = there.world.person("v@example.org", Role.VIEWER, "NEY")
    session.commit()
    viewer = Browser(app, person)
    page = check_page(browser.get(path), "Share and publish - My recordings")
    assert "It is not shared with anybody yet." in page
    assert browser.post(f"{path}/publish").status_code == 409
    until = days.today() + timedelta(days=3)
    done = browser.post(path, {"to": "region:NEY", "until": until.isoformat(), "reason": "Spring course"})
    assert done.status_code == 302
    page = check_page(browser.get(path), "Share and publish")
    assert "Everyone in" in page
    assert "Spring course" in page
    assert viewer.get(watch).status_code == 404, "not published yet"
    assert browser.post(f"{path}/publish").status_code == 409, "it has no captions"
    assert "This recording has no captions yet." in browser.get(path).text
    assert browser.post(f"{path}/publish", {"without_captions": "yes"}).status_code == 302
    assert viewer.get(watch).json["published"] is True
    grant = session.scalars(select(Grant)).one()
    assert grant.ends_at == days.end_of(until)
    assert browser.post(f"{path}/{grant.id}/revoke").status_code == 302
    assert viewer.get(watch).status_code == 404
    page = check_page(browser.get(path), "Share and publish")
    assert "nobody in its audience can watch it now" in page
    assert "Share again" in page
    assert browser.post(f"{path}/{grant.id}/again").status_code == 302
    assert viewer.get(watch).status_code == 200
    again = session.scalars(select(Grant).where(Grant.id != grant.id)).one()
    assert (again.ends_at, again.reason, again.area_id) == (grant.ends_at, grant.reason, grant.area_id)
    assert browser.post(f"{path}/unpublish").status_code == 302
    assert viewer.get(watch).status_code == 404
    assert browser.post(f"{path}/{uuid.uuid4()}/revoke").status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "to"),
        ({"to": "region:NEY", "email": "v@example.org"}, "to"),
        ({"to": "country:ENG"}, "reason"),
        ({"to": "region:SW"}, "reason"),
        ({"to": "region:NEY", "right": "download", "until": "2099-01-01"}, "reason"),
        ({"to": "region:NEY", "right": "download", "reason": "Teaching"}, "until"),
        ({"to": "region:NEY", "right": "everything"}, "right"),
        ({"to": "region:NOWHERE"}, "to"),
        ({"to": "rubbish"}, "to"),
        ({"to": "organisation:not-an-id"}, "to"),
        ({"email": "not an address"}, "email"),
        ({"email": "nobody@example.org"}, "email"),
        ({"email": "far@example.org"}, "email"),
        ({"to": "region:NEY", "until": "2020-01-01"}, "until"),
        ({"to": "region:NEY", "starts": "2031-01-02", "until": "2031-01-01"}, "until"),
        ({"to": "region:NEY", "until": "soon"}, "until"),
    ],
)
def test_what_cannot_be_shared(
    browser: Browser, there: Makers, made: Recording, session: Session, fields: dict[str, str], field: str
) -> None:
    there.world.person("far@example.org", Role.VIEWER, "SW")
    session.commit()
    page = check_page(browser.post(f"/recordings/{made.id}/share", fields), "Share and publish", 400)
    assert f'href="#{field}"' in page
    assert session.scalars(select(Grant)).all() == []


def test_unknown_and_out_of_reach_get_the_same_sentence(there: Makers, session: Session) -> None:
    there.world.person("far@example.org", Role.VIEWER, "SW")
    far = there.world.organisation("Far Trust", "SW")
    who = access.load(session, there.person.id, clock.now())
    said = set()
    for word in (
        "user:far@example.org",
        "user:no@example.org",
        f"organisation:{far.id}",
        f"organisation:{uuid.uuid4()}",
    ):
        with pytest.raises(Invalid) as caught:
            grants.find_audience(session, who, word)
        said.add(str(caught.value))
    assert said == {grants.NOT_YOURS}


def test_who_may_reach_whom(there: Makers, session: Session) -> None:
    world = there.world
    near, far = world.organisation("Near Trust", "NEY"), world.organisation("Far Trust", "SW")
    inside = world.group("Inside", "NEY")
    outside = world.group("Outside", "SW")
    at_near = world.person("near@example.org", organisation_id=near.id)
    at_far = world.person("far@example.org", organisation_id=far.id)
    former = world.person("former@example.org")
    world.role(former, Role.VIEWER, "NEY", ends_at=clock.now() - timedelta(days=1))
    national = access.load(session, world.person("n@example.org", Role.ADMIN, "ENG").id, clock.now())
    regional = access.load(session, there.person.id, clock.now())
    own = access.load(session, world.person("o@example.org", Role.FACILITATOR, organisation=near).id, clock.now())
    viewer = access.load(session, world.person("v@example.org", Role.VIEWER, "ENG").id, clock.now())

    def reach(actor: access.Actor) -> list[bool]:
        audiences = (
            grants.Audience(area_id=world.area("ENG").id),
            grants.Audience(area_id=world.area("NEY").id),
            grants.Audience(organisation_id=near.id),
            grants.Audience(organisation_id=far.id),
            grants.Audience(group_id=inside.id),
            grants.Audience(group_id=outside.id),
            grants.Audience(person_id=at_near.id),
            grants.Audience(person_id=at_far.id),
            grants.Audience(person_id=former.id),
        )
        return [grants.may_reach(session, actor, audience) for audience in audiences]

    yes, no = True, False
    assert reach(SYSTEM) == [yes] * 9
    assert reach(national) == [yes, yes, yes, yes, yes, yes, yes, yes, no]
    assert reach(regional) == [no, yes, yes, no, yes, no, yes, no, no]
    assert reach(own) == [no, no, yes, no, no, no, yes, no, no]
    assert reach(viewer) == [no] * 9


def test_giving_the_same_again_changes_nothing(there: Makers, made: Recording, session: Session) -> None:
    who = access.load(session, there.person.id, clock.now())
    audience = grants.find_audience(session, who, "region:ney")
    first = grants.give(session, who, made, audience)
    assert grants.give(session, who, made, audience) is first
    assert grants.give(session, who, made, audience, until_day=days.today()) is not first


def test_publishing_says_what_is_missing(there: Makers, session: Session) -> None:
    early = there.world.recording(there.case, state=RecordingState.PROCESSING)
    gone = there.world.recording(there.case, state=RecordingState.WITHDRAWN)
    assert grants.missing_for_publishing(session, early) == [
        "The recording cannot be watched yet.",
        "It is not shared with anybody yet.",
    ]
    assert grants.missing_for_publishing(session, gone)[0] == "The recording is withdrawn. Restore it first."
    early.watchable_at = clock.now()
    there.world.grant(early, area="NEY", starts_at=clock.now() + timedelta(days=1))
    assert grants.missing_for_publishing(session, early) == ["It is not shared with anybody yet."]
    there.world.grant(early, area="NEY")
    assert grants.missing_for_publishing(session, early) == []


def test_sharing_over_the_api(app: Flask, there: Makers, made: Recording, session: Session) -> None:
    api = Api(app, there.world.token(there.person, "publish"))
    session.commit()
    path = f"/recordings/{made.id}"
    given = api.call("POST", f"{path}/grants", {"to": "region:NEY", "until": "2031-06-30"})
    assert given.status_code == 201
    assert given.json["until"] == "2031-06-30T23:00:00+00:00", "the end of that day in British summer time"
    beyond = api.call("POST", f"{path}/grants", {"to": "country:ENG"})
    assert list(beyond.json["errors"]) == ["reason"]
    unknown = api.call("POST", f"{path}/grants", {"to": f"organisation:{uuid.uuid4()}"})
    assert unknown.json["errors"] == {"to": grants.NOT_YOURS}
    assert api.call("POST", f"{path}/grants", {}).status_code == 400
    assert api.call("GET", f"{path}/grants").json["items"] == [given.json]
    assert api.call("POST", f"{path}/publish").json["code"] == "captions-unchecked"
    published = api.call("POST", f"{path}/publish", {"without_captions": True})
    assert published.json == {"id": str(made.id), "state": "ready", "published": True}
    assert api.call("POST", f"{path}/withdraw").json["state"] == "withdrawn"
    assert api.call("POST", f"{path}/restore").json == {"id": str(made.id), "state": "ready", "published": True}
    assert api.call("POST", f"{path}/unpublish").json["published"] is False
    assert api.call("DELETE", f"{path}/grants/{given.json['id']}").status_code == 204
    assert api.call("DELETE", f"{path}/grants/{uuid.uuid4()}").status_code == 404
    assert api.call("GET", f"{path}/grants").json["items"] == []
    assert api.call("POST", f"{path}/publish").status_code == 409


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_a_day_counts_whole_in_the_united_kingdom(day: date) -> None:
    start, end = days.start_of(day), days.end_of(day)
    assert start.tzinfo is UTC
    assert timedelta(hours=23) <= end - start <= timedelta(hours=25)
    assert (end - timedelta(microseconds=1)).astimezone(days.UK).date() == day
    assert days.last_day_before(end) == day
    assert days.end_of(day) == days.start_of(day + timedelta(days=1))


def test_summer_time() -> None:
    assert days.end_of(date(2027, 6, 30)) == datetime(2027, 6, 30, 23, tzinfo=UTC)
    assert days.end_of(date(2027, 1, 31)) == datetime(2027, 2, 1, tzinfo=UTC)
