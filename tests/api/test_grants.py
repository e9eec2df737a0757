"""Grants on recordings and cases over the API: right, days, reason, approval, another last day, the end."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.db.audit import AuditEvent
from app.db.grants import Grant, GrantRight
from app.db.people import Role
from app.db.recordings import Recording
from app.domain import days
from tests.ingest.support import Api, Makers, makers

THINGS = ("cases", "recordings")


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def api(app: Flask, session: Session, there: Makers) -> Api:
    token = there.world.token(there.person, "all")
    session.commit()
    return Api(app, token)


@pytest.fixture
def made(there: Makers) -> Recording:
    recording: Recording = there.world.recording(there.case, owner_id=there.person.id, published=True)
    there.world.session.commit()
    return recording


def path_of(kind: str, made: Recording) -> str:
    return f"/{kind}/{made.case_id if kind == 'cases' else made.id}/grants"


def in_days(number: int) -> str:
    return (days.today() + timedelta(days=number)).isoformat()


def ends_of(day: str) -> str:
    return days.end_of(type(days.today()).fromisoformat(day)).isoformat()


def items(api: Api, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.call("GET", path).json["items"]
    return found


def test_a_case_is_shared_with_all_its_recordings(
    app: Flask, api: Api, there: Makers, made: Recording, session: Session
) -> None:
    viewer = Api(app, there.world.token(there.world.person("v@example.org", Role.VIEWER, "NEY"), "read"))
    session.commit()
    path = path_of("cases", made)
    assert viewer.call("GET", f"/recordings/{made.id}").status_code == 404
    given = api.call("POST", path, {"to": "region:NEY", "reason": "Spring course"})
    assert given.status_code == 201
    assert given.json == {
        "id": given.json["id"],
        "audience": "everyone in North East and Yorkshire",
        "from": given.json["from"],
        "until": None,
        "reason": "Spring course",
        "revoked": False,
        "right": "watch",
        "status": "in force",
        "needs_approval": False,
        "answer": "",
        "by_case": True,
    }
    assert viewer.call("GET", f"/recordings/{made.id}").status_code == 200
    assert items(api, path) == items(api, path_of("recordings", made)) == [given.json]
    of_recording = f"{path_of('recordings', made)}/{given.json['id']}"
    assert api.call("DELETE", of_recording).status_code == 404, "it is the case's"
    assert api.call("PATCH", of_recording, {"until": in_days(3)}).status_code == 404
    assert api.call("DELETE", f"{path}/{given.json['id']}").status_code == 204
    assert viewer.call("GET", f"/recordings/{made.id}").status_code == 404
    assert items(api, path) == []
    ended = items(api, f"{path}?ended=yes")
    assert [(item["status"], item["revoked"]) for item in ended] == [("revoked", True)]


@pytest.mark.parametrize("kind", THINGS)
def test_right_days_and_reason(kind: str, api: Api, made: Recording, session: Session) -> None:
    path, first, last = path_of(kind, made), in_days(2), in_days(30)
    body = {"to": "region:NEY", "right": "download", "from": first, "until": last, "reason": "No network there"}
    given = api.call("POST", path, body).json
    assert (given["right"], given["status"], given["reason"]) == ("download", "to come", "No network there")
    assert (given["from"], given["until"]) == (
        days.start_of(type(days.today()).fromisoformat(first)).isoformat(),
        ends_of(last),
    )
    grant = session.scalars(select(Grant)).one()
    assert (grant.right, grant.case_id is None, grant.recording_id is None) == (
        GrantRight.DOWNLOAD,
        kind == "recordings",
        kind == "cases",
    )
    assert items(api, path) == [given]


@pytest.mark.parametrize("kind", THINGS)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "to"),
        ({"to": "rubbish"}, "to"),
        ({"to": "user:nobody@example.org"}, "to"),
        ({"to": "region:SW"}, "reason"),
        ({"to": "region:NEY", "right": "everything"}, "right"),
        ({"to": "region:NEY", "right": "download", "reason": "Teaching"}, "until"),
        ({"to": "region:NEY", "right": "download", "until": "2099-01-01"}, "reason"),
        ({"to": "region:NEY", "until": "2020-01-01"}, "until"),
        ({"to": "region:NEY", "from": "2031-01-02", "until": "2031-01-01"}, "until"),
        ({"to": "region:NEY", "until": "soon"}, "until"),
    ],
)
def test_what_cannot_be_given(
    kind: str, api: Api, made: Recording, session: Session, body: dict[str, str], field: str
) -> None:
    answer = api.call("POST", path_of(kind, made), body)
    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])
    assert session.scalars(select(Grant)).all() == []


@pytest.mark.parametrize("kind", THINGS)
def test_what_goes_further_waits_and_its_refusal_can_be_read(
    kind: str, app: Flask, api: Api, there: Makers, made: Recording, session: Session
) -> None:
    path = path_of(kind, made)
    asked = api.call("POST", path, {"to": "region:SW", "reason": "They film it next", "until": in_days(9)}).json
    assert (asked["needs_approval"], asked["status"]) == (True, "waiting")
    assert items(api, path) == [asked]
    grant = session.scalars(select(Grant)).one()
    grant.refused_at, grant.answer = clock.now(), "Not this year"
    session.commit()
    assert items(api, path) == []
    shown = items(api, f"{path}?ended=yes")
    assert [(item["status"], item["answer"]) for item in shown] == [("refused", "Not this year")]
    assert api.call("GET", f"{path}?ended=perhaps").json["errors"] == {"ended": "ended must be yes or no"}
    assert api.call("PATCH", f"{path}/{grant.id}", {"until": in_days(20)}).status_code == 409


@pytest.mark.parametrize("kind", THINGS)
def test_another_last_day(kind: str, api: Api, made: Recording, session: Session) -> None:
    path, later = path_of(kind, made), in_days(30)
    given = api.call("POST", path, {"to": "region:NEY", "until": in_days(3)}).json
    one = f"{path}/{given['id']}"
    longer = api.call("PATCH", one, {"until": later})
    assert longer.status_code == 200
    assert longer.json == {**given, "until": ends_of(later)}
    assert api.call("PATCH", one, {"until": None}).json["until"] is None
    for wrong in ({}, {"until": ""}, {"until": "soon"}, {"until": 5}, {"until": in_days(-1)}):
        answer = api.call("PATCH", one, wrong)
        assert (answer.status_code, list(answer.json["errors"])) == (400, ["until"]), wrong
    assert items(api, path)[0]["until"] is None
    api.call("DELETE", one)
    assert api.call("PATCH", one, {"until": later}).status_code == 409
    assert api.call("PATCH", f"{path}/{uuid.uuid4()}", {"until": later}).status_code == 404
    actions = session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert [name for name in actions if name.startswith("grant:")] == [
        "grant:give", "grant:extend", "grant:extend", "grant:revoke",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", THINGS)
def test_a_later_day_beyond_ones_places_waits_while_the_old_one_runs_on(
    kind: str, api: Api, there: Makers, made: Recording, session: Session
) -> None:
    path, soon, later = path_of(kind, made), in_days(3), in_days(30)
    asked = api.call("POST", path, {"to": "region:SW", "until": soon, "reason": "A course"}).json
    grant = session.scalars(select(Grant)).one()
    grant.approved_at = clock.now()
    session.commit()
    for _ in range(2):
        answer = api.call("PATCH", f"{path}/{asked['id']}", {"until": later})
        assert (answer.status_code, answer.json["status"], answer.json["until"]) == (202, "waiting", ends_of(later))
        assert answer.json["id"] != asked["id"]
    assert {(item["id"], item["status"], item["until"]) for item in items(api, path)} == {
        (asked["id"], "in force", ends_of(soon)),
        (answer.json["id"], "waiting", ends_of(later)),
    }


def test_scopes_and_others(app: Flask, api: Api, there: Makers, made: Recording, session: Session) -> None:
    """A token to publish keeps the grants of recordings; those of cases take one for everything."""
    publisher = Api(app, there.world.token(there.person, "publish"))
    other = Api(app, there.world.token(there.world.person("o@example.org", Role.FACILITATOR, "SW"), "all"))
    session.commit()
    given = {kind: api.call("POST", path_of(kind, made), {"to": "region:NEY"}).json for kind in THINGS}
    for kind, mine in (("recordings", 200), ("cases", 403)):
        one = f"{path_of(kind, made)}/{given[kind]['id']}"
        assert publisher.call("GET", path_of(kind, made)).status_code == mine
        assert publisher.call("PATCH", one, {"until": in_days(5)}).status_code == mine
        unknown = one.replace(str(made.id), str(uuid.uuid4())).replace(str(made.case_id), str(uuid.uuid4()))
        for method, body in (("PATCH", {"until": in_days(5)}), ("DELETE", None)):
            hidden, nothing = (other.call(method, address, body) for address in (one, unknown))
            assert hidden.status_code == nothing.status_code == 404
            assert hidden.data == nothing.data


def test_who_looks_only_as_custodian_is_written_down(
    app: Flask, there: Makers, made: Recording, session: Session
) -> None:
    custodian = there.world.person("c@example.org", Role.CUSTODIAN, "NEY")
    keeper = Api(app, there.world.token(custodian, "all"))
    maker = Api(app, there.world.token(there.person, "all"))
    session.commit()
    for one in (keeper, maker):
        assert one.call("GET", path_of("recordings", made)).status_code == 200
    looked = session.scalars(select(AuditEvent.person_id).where(AuditEvent.action == "sharing:look")).all()
    assert looked == [custodian.id]
