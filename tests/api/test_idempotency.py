"""Idempotency-Key: the same request gets the same answer, another request with the key is refused."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.cases import Case
from app.db.people import Role
from app.db.sign_in import IdempotencyKey
from tests.ingest.support import Api, Makers, makers
from tests.support.world import Browser


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def api(app: Flask, session: Session, there: Makers) -> Api:
    token = there.world.token(there.person, "all")
    session.commit()
    return Api(app, token)


def count(session: Session, table: type) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_same_key_same_answer(api: Api, there: Makers, session: Session) -> None:
    body = {"title": "Once", "themes": [there.case.terms[0].code]}
    first = api.call("POST", "/cases", body, headers={"Idempotency-Key": "k-1"})
    again = api.call("POST", "/cases", body, headers={"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert count(session, Case) == 2
    other = api.call("POST", "/cases", {**body, "title": "Twice"}, headers={"Idempotency-Key": "k-1"})
    assert (other.status_code, other.json["code"]) == (409, "idempotency-key-reused")
    third = api.call("POST", "/cases", body, headers={"Idempotency-Key": "k-2"})
    assert third.json["id"] != first.json["id"]


def test_a_failure_leaves_no_key(api: Api, there: Makers, session: Session) -> None:
    bad = api.call("POST", "/cases", {"title": ""}, headers={"Idempotency-Key": "k-1"})
    assert bad.status_code == 400
    assert count(session, IdempotencyKey) == 0
    good = {"title": "Now right", "themes": [there.case.terms[0].code]}
    assert api.call("POST", "/cases", good, headers={"Idempotency-Key": "k-1"}).status_code == 201


def test_keys_belong_to_their_person(app: Flask, api: Api, there: Makers, session: Session) -> None:
    other = there.world.person("o@example.org", Role.FACILITATOR, "NEY")
    theirs = Api(app, there.world.token(other, "all"))
    session.commit()
    body = {"title": "Mine", "themes": [there.case.terms[0].code]}
    ids = {one.call("POST", "/cases", body, headers={"Idempotency-Key": "k"}).json["id"] for one in (api, theirs)}
    assert len(ids) == 2


def test_a_narrower_token_does_not_get_the_answer(app: Flask, api: Api, there: Makers, session: Session) -> None:
    body = {"title": "Mine", "themes": [there.case.terms[0].code]}
    assert api.call("POST", "/cases", body, headers={"Idempotency-Key": "k"}).status_code == 201
    narrow = Api(app, there.world.token(there.person, "read"))
    session.commit()
    assert narrow.call("POST", "/cases", body, headers={"Idempotency-Key": "k"}).status_code == 409


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
def test_keys_that_cannot_be(api: Api, there: Makers, key: str) -> None:
    assert api.call("POST", "/cases", {}, headers={"Idempotency-Key": key}).status_code == 400


def test_nobody_has_no_key(app: Flask) -> None:
    answer = app.test_client().post(
        "/api/v1/cases", json={}, headers={"Idempotency-Key": "k", "Authorization": "Bearer x"}
    )
    assert answer.status_code == 401


def test_pages_scripts_may_use_keys_too(app: Flask, there: Makers, session: Session) -> None:
    browser = Browser(app, there.person)
    body = {"title": "From a page", "themes": [there.case.terms[0].code]}
    answers = [browser.send("POST", "/api/v1/cases", body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json == answers[1].json
    assert app.test_client().post("/api/v1/cases", json=body).status_code == 400, "without a form token"
