"""No unsafe request is obeyed without the form token of the very session that sends it."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app.web import guard
from app.web.errors import CSRF_SENTENCE
from tests.matrix.checker import Checker
from tests.support.routes import UNSAFE, routes
from tests.support.world import Browser

#: Routes that take something else than a form token as proof. A new one must be added here by hand.
WITHOUT_FORM_TOKEN = {"embed.start"}


def _unsafe(checker: Checker) -> list[tuple[Rule, str]]:
    found = [
        (rule, method)
        for rule, method in routes(checker.app)
        if method in UNSAFE and rule.endpoint not in WITHOUT_FORM_TOKEN
    ]
    assert len(found) > 40
    return found


def _refused(answer: TestResponse) -> bool:
    return answer.status_code == 400 and (CSRF_SENTENCE in answer.text or '"csrf"' in answer.text)


def test_the_routes_without_form_token_are_these(checker: Checker) -> None:
    found = {}
    for rule, _ in routes(checker.app):
        declared = guard.declaration_of(checker.app.view_functions[rule.endpoint])
        if declared is not None and declared.why_no_form_token:
            found[rule.endpoint] = declared
    assert found.keys() == WITHOUT_FORM_TOKEN
    assert all(declared.kind == "public" for declared in found.values()), "they rest on no session"


def test_without_form_token_nothing_is_done(checker: Checker, admin: Browser, real_path: Callable[[Rule], str]) -> None:
    before, obeyed = checker.fingerprint(), []
    for rule, method in _unsafe(checker):
        path = real_path(rule)
        for body in ({"data": {}}, {"json": {}}, {"data": "{}", "content_type": "text/plain"}):
            if not _refused(answer := admin.client.open(path, method=method, **body)):
                obeyed.append((method, path, body, answer.status))
    assert obeyed == []
    assert checker.fingerprint() == before


def test_the_form_token_of_another_session_is_worth_nothing(
    checker: Checker, admin: Browser, viewer: Browser, real_path: Callable[[Rule], str]
) -> None:
    before, obeyed, foreign = checker.fingerprint(), [], viewer.form_token()
    visitors = (
        checker.app.test_client().get("/sign-in").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    )
    assert foreign and visitors
    for rule, method in _unsafe(checker):
        path = real_path(rule)
        for token in (foreign, visitors, admin.form_token()[:-1]):
            tries = [
                admin.client.open(path, method=method, data={"csrf_token": token}),
                admin.client.open(path, method=method, json={}, headers={"X-CSRF-Token": token}),
            ]
            obeyed += [(method, path, answer.status) for answer in tries if not _refused(answer)]
        # neither does a token in the address count, which other sites could learn from a log
        answer = admin.client.open(f"{path}?csrf_token={admin.form_token()}", method=method, data={})
        if not _refused(answer):
            obeyed.append((method, path, "token in the address"))
    assert obeyed == []
    assert checker.fingerprint() == before


def test_visitors_and_basic_credentials_need_it_too(checker: Checker, real_path: Callable[[Rule], str]) -> None:
    client = checker.app.test_client()
    for rule, method in _unsafe(checker):
        for headers in ({}, {"Authorization": "Basic dmlld2VyOnBhc3N3b3Jk"}):
            answer = client.open(real_path(rule), method=method, data={}, headers=headers)
            assert _refused(answer), (method, rule.rule, answer.status)


def test_a_bearer_token_does_not_lend_the_cookie_its_rights(checker: Checker, admin: Browser) -> None:
    """With a bearer token no form token is asked for, so then the cookie must count for nothing."""
    case = checker.setting.things["published"].case
    before = checker.fingerprint()
    for headers in ({"Authorization": "Bearer nonsense"}, {"Authorization": "bearer "}, {"Authorization": "Bearer"}):
        answer = admin.client.post(f"/cases/{case}/retire", data={}, headers=headers)
        assert answer.status_code in (400, 401), (headers, answer.status)
    assert checker.fingerprint() == before
