"""The pages of cases: list, page, forms, review and retirement; who sees what of them."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.audit import AuditEvent
from app.db.cases import Case, CaseStatus
from app.db.people import Role
from app.db.vocabulary import TermKind
from app.domain import cases, days, vocabulary
from tests.ingest.support import Makers, check_page, counted, makers
from tests.support.world import Browser


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def browser(app: Flask, there: Makers) -> Browser:
    return Browser(app, there.person)


def form(there: Makers, **changes: object) -> dict[str, object]:
    return {
        "title": "A complaint at the front desk",
        "summary": "What happened.",
        "themes": [there.case.terms[0].code],
        "origin": "complaint",
        "place": f"area:{there.world.area('NEY').id}",
        "glossary": "salbutamol\n\nNEWS2\nsalbutamol",
        "identifying_names": "Fictional Name",
        "review_on": (days.today() + timedelta(days=90)).isoformat(),
        **changes,
    }


def test_write_edit_and_read_a_case(app: Flask, browser: Browser, there: Makers, session: Session) -> None:
    check_page(browser.get("/cases/new"), "Add a case - Cases")
    answer = browser.post("/cases/new", form(there, content_notice="Racist language"))
    assert answer.status_code == 302
    case = session.scalars(select(Case).where(Case.title == "A complaint at the front desk")).one()
    assert case.glossary == ["salbutamol", "NEWS2"]
    page = check_page(browser.get(answer.location), "A complaint at the front desk - Cases")
    for words in (
        "Racist language",
        "You are not asked to act on it",
        "Fictional Name",
        "Live",
        "Not yet",
        "Complaint",
    ):
        assert words in page
    assert page.index("Racist language") < page.index("What happened.")
    edit = f"/cases/{case.id}/edit"
    filled = check_page(browser.get(edit), "Edit case")
    assert "salbutamol\nNEWS2" in filled
    assert browser.post(edit, form(there, title="Another title", themes=[there.case.terms[1].code])).status_code == 302
    session.expire_all()
    assert (case.title, [t.code for t in case.terms]) == ("Another title", [there.case.terms[1].code])
    acts = session.scalars(select(AuditEvent).where(AuditEvent.subject_id == case.id).order_by(AuditEvent.id)).all()
    assert [act.action for act in acts] == ["case:create", "case:edit"]
    assert acts[1].detail == {"fields": ["content_notice", "terms", "title"]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"title": ""}, "Enter a title"),
        ({"title": "x" * 201}, "Title must be 200 characters or fewer"),
        ({"themes": []}, "Select at least one theme"),
        ({"review_on": "31/12/2027"}, "must be a real date"),
        ({"glossary": "x" * 101}, "100 characters"),
        ({"place": "all"}, "Not a valid choice"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(
    browser: Browser, there: Makers, change: dict[str, object], sentence: str
) -> None:
    page = check_page(browser.post("/cases/new", form(there, **change)), "Add a case", 400)
    assert sentence in page
    (field,) = change
    assert f'href="#{field}"' in page


def test_a_place_of_others_cannot_be_chosen(browser: Browser, there: Makers, session: Session) -> None:
    answer = browser.post("/cases/new", form(there, place=f"area:{there.world.area('SW').id}"))
    assert answer.status_code == 400


def test_review_and_retire(browser: Browser, there: Makers, session: Session) -> None:
    case = there.case
    case.review_on = days.today() - timedelta(days=1)
    session.commit()
    assert "Review due" in browser.get(f"/cases/{case.id}").text
    wrong = browser.post(f"/cases/{case.id}/review", {"review_on": days.today().isoformat()})
    assert "must be in the future" in check_page(wrong, case.title, 400)
    later = days.today() + timedelta(days=30)
    assert browser.post(f"/cases/{case.id}/review", {"review_on": later.isoformat()}).status_code == 302
    session.expire_all()
    assert (case.reviewed_on, case.review_on) == (days.today(), later)
    assert browser.post(f"/cases/{case.id}/retire").status_code == 302
    page = check_page(browser.get(f"/cases/{case.id}"), case.title)
    assert "Retired" in page
    assert "Add a recording" not in page
    assert browser.post(f"/cases/{case.id}/review", {"review_on": later.isoformat()}).status_code == 409
    assert browser.post(f"/cases/{case.id}/reinstate").status_code == 302
    session.expire_all()
    assert case.status is CaseStatus.LIVE


def test_viewers_see_cases_by_what_they_may_watch(app: Flask, there: Makers, session: Session) -> None:
    world, case = there.world, there.case
    case.identifying_names = ["Never Shown"]
    viewer = world.person("viewer@example.org", Role.VIEWER, "NEY")
    outsider = world.person("outsider@example.org", Role.VIEWER, "SW")
    shared = world.recording(case, title="Shared one", published=True)
    world.recording(case, title="Secret one")
    world.grant(shared, area="NEY")
    session.commit()
    page = check_page(Browser(app, viewer).get(f"/cases/{case.id}"), case.title)
    assert "Shared one" in page
    for hidden in ("Secret one", "Never Shown", "Edit case", "Retire"):
        assert hidden not in page
    assert case.title in Browser(app, viewer).get("/cases/").text
    theirs = Browser(app, outsider).get(f"/cases/{case.id}")
    nobodys = Browser(app, outsider).get(f"/cases/{uuid.uuid4()}")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.data == nobodys.data
    assert case.title not in Browser(app, outsider).get("/cases/").text
    assert Browser(app, viewer).get(f"/cases/{case.id}/edit").status_code == 403
    assert Browser(app, viewer).get("/cases/new").status_code == 403


def test_filters_sorting_and_paging(browser: Browser, there: Makers, session: Session) -> None:
    world, themes = there.world, vocabulary.terms_of(session, TermKind.THEME)
    origin = vocabulary.terms_of(session, TermKind.ORIGIN)[0]
    made = [world.case(f"Case {n:02d}", terms=[themes[3]], origin_id=origin.id if n == 1 else None) for n in range(30)]
    made[2].review_on = days.today()
    made[3].status = CaseStatus.RETIRED
    session.commit()

    def titles(query: str) -> list[str]:
        page = check_page(browser.get(f"/cases/?{query}"), "Cases")
        return [case.title for case in made if f">{case.title}<" in page]

    first = browser.get("/cases/?sort=title").text
    assert "Showing 25 cases" in first
    following = first.split('href="/cases/?sort=title&amp;after=')[1].split('"')[0]
    second = browser.get(f"/cases/?sort=title&after={following}").text
    assert "Showing 6 cases" in second
    seen = [n for n in range(30) if f">Case {n:02d}<" in first] + [n for n in range(30) if f">Case {n:02d}<" in second]
    assert seen == list(range(30))
    back = second.split('href="/cases/?sort=title&amp;before=')[1].split('"')[0]
    assert f">{made[0].title}<" in browser.get(f"/cases/?sort=title&before={back}").text
    assert titles(f"origin={origin.code}") == ["Case 01"]
    assert titles("status=review_due") == ["Case 02"]
    assert titles("status=retired") == ["Case 03"]
    assert titles("q=case%2007") == ["Case 07"]
    assert titles("q=100%25") == []
    assert titles("place=SW") == []
    assert len(titles(f"place=NEY&theme={themes[3].code}")) == 25
    assert "No cases fit these filters" in browser.get("/cases/?q=nothing+like+this").text
    assert browser.get("/cases/?after=rubbish").status_code == 400
    assert browser.get(f"/cases/?sort=newest&after={following}").status_code == 400


def test_lists_take_a_constant_number_of_queries(app: Flask, browser: Browser, there: Makers, session: Session) -> None:
    def queries(path: str) -> int:
        browser.get(path)
        with counted(app) as seen:
            assert browser.get(path).status_code == 200
        return len(seen)

    there.world.recording(there.case, owner_id=there.person.id)
    there.world.case("One", terms=there.case.terms[:])
    session.commit()
    paths = ("/cases/", f"/cases/{there.case.id}", "/recordings/mine", "/api/v1/cases", "/api/v1/recordings")
    few = [queries(path) for path in paths]
    for n in range(15):
        case = there.world.case(f"Case {n}", terms=there.case.terms[:])
        there.world.recording(case, title=f"R {n}", owner_id=there.person.id)
        there.world.recording(there.case, title=f"S {n}", owner_id=there.person.id)
    session.commit()
    assert [queries(path) for path in paths] == few
    assert max(few) <= 30


def test_related_cases_are_those_one_may_see(there: Makers, session: Session) -> None:
    from app import access, clock

    theme = there.case.terms[0]
    seen = there.world.case("Near", terms=[theme])
    there.world.case("Far", "SW", terms=[theme])
    there.world.case("Other", terms=[vocabulary.terms_of(session, TermKind.THEME)[5]])
    session.flush()
    who = access.load(session, there.person.id, clock.now())
    assert cases.related(session, who, there.case) == [seen]
