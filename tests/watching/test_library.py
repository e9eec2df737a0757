"""The library and search: what is found, in which order, and that nothing is told of the rest."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from app import clock
from app.db import db
from app.db.cases import CaseStatus
from app.db.people import Person, Role
from app.db.recordings import Recording, RecordingState
from app.db.vocabulary import Term, TermKind
from app.domain import search
from app.storage.s3 import Storage
from tests.support.world import Browser, World
from tests.watching import film


def term(session: Session, kind: TermKind, position: int) -> Term:
    return session.scalars(select(Term).where(Term.kind == kind).order_by(Term.position)).all()[position]


class Shelf:
    """Recordings in two regions."""

    def __init__(self, session: Session, storage: Storage) -> None:
        self.world = world = World(session)
        self.session, self.storage = session, storage
        self.viewer: Person = world.person("viewer@example.org", Role.VIEWER, "NEY")
        self.southerner: Person = world.person("south@example.org", Role.VIEWER, "SW")
        self.maker: Person = world.person("maker@example.org", Role.FACILITATOR, "NEY")

    def put(self, title: str, area: str = "NEY", cues: tuple[str, ...] = (), **columns: object) -> Recording:
        """A published recording that its region may watch."""
        case = columns.pop("case", None) or self.world.case(f"Case of {title}", area=area)
        columns.setdefault("published", True)
        recording = self.world.recording(case, title=title, area=area, **columns)  # type: ignore[arg-type]
        self.world.grant(recording, area=area)
        if cues:
            film.caption(
                self.session,
                self.storage,
                recording,
                [(n * 3000, n * 3000 + 2500, "", words) for n, words in enumerate(cues)],
            )
        return recording


@pytest.fixture
def shelf(session: Session, storage: Storage) -> Shelf:
    return Shelf(session, storage)


def titles(page: str) -> list[str]:
    """Titles of the cards, in order."""
    return re.findall(r'app-recording__title"><a href="[^"]*">([^<]*)</a>', page)


def test_words_are_found_in_titles_cases_and_speech_in_this_order(app: Flask, session: Session, shelf: Shelf) -> None:
    shelf.put("Aloud", cues=("Hello.", "I am sorry about the letters.", "Goodbye."))
    shelf.put("Of the case", case=shelf.world.case("Lost letters"))
    shelf.put("A letter too late")
    shelf.put("About something else")
    session.commit()
    browser = Browser(app, shelf.viewer)
    page = browser.get("/library?q=letters").text
    assert titles(page) == ["A letter too late", "Of the case", "Aloud"]
    assert "<mark>letters</mark>" in page
    assert "Hello. I am sorry about the <mark>letters</mark>. Goodbye." in page.replace("\n", "")
    assert "Play from 0:03" in page
    assert "?t=3" in page
    assert titles(browser.get('/library?q="letters+sorry"').text) == []
    assert titles(browser.get('/library?q="sorry+about"').text) == ["Aloud"]
    assert titles(browser.get("/library?q=letter+-late+-lost").text) == ["Aloud"]


def test_markup_in_words_is_shown_as_words(app: Flask, session: Session, shelf: Shelf) -> None:
    shelf.put("<script>alert(1)</script>", cues=("A <b>bold</b> claim \ue000and\ue001 letters",))
    session.commit()
    page = Browser(app, shelf.viewer).get("/library?q=letters").text
    assert "<script>alert" not in page
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "\ue000" not in page


def test_what_others_may_see_leaves_no_trace(app: Flask, session: Session, shelf: Shelf) -> None:
    theme, other = term(session, TermKind.THEME, 0), term(session, TermKind.THEME, 1)
    shelf.put("Ours", cues=("We talk about apples.",)).terms = [theme]
    secret = shelf.put("A secret about apples", area="SW", cues=("The apples are secret.",))
    secret.terms = [theme, other]
    secret.case.origin_id = term(session, TermKind.ORIGIN, 0).id
    draft = shelf.put("A draft about apples", published=False, cues=("Unpublished apples.",))
    draft.terms = [theme, other]
    retired = shelf.put("Retired apples")
    retired.case.status = CaseStatus.RETIRED
    shelf.put("Withdrawn apples", state=RecordingState.WITHDRAWN)
    later = shelf.put("Apples of tomorrow")
    later.published_at = clock.now() + timedelta(days=1)
    session.commit()
    browser = Browser(app, shelf.viewer)
    for address in ("/library", "/library?q=apples", "/library?drafts=yes", f"/library?theme={theme.code}"):
        page = browser.get(address).text
        assert titles(page) == ["Ours"], address
        assert f"{theme.name} (1)" in page
        assert other.name not in page
        assert "South West" not in page
        assert "Where the case comes from" not in page
        for word in ("secret", "Unpublished", "Retired", "Withdrawn", "tomorrow"):
            assert word not in page
    assert titles(browser.get(f"/library?theme={other.code}").text) == []
    assert titles(browser.get(f"/library?case={secret.case_id}").text) == []
    assert secret.case.title not in browser.get(f"/library?case={secret.case_id}").text
    found = browser.get("/api/v1/search?q=apples").json
    assert [hit["recording"]["title"] for hit in found["hits"]] == ["Ours"]
    assert found["next"] is None
    nothing, unknown = browser.get("/api/v1/search?q=secret"), browser.get("/api/v1/search?q=zebra")
    assert nothing.data == unknown.data


def test_makers_can_ask_for_their_drafts(app: Flask, session: Session, shelf: Shelf) -> None:
    shelf.put("Published")
    shelf.put("Draft", published=False)
    shelf.put("Still going", published=False, state=RecordingState.PROCESSING)
    shelf.put("Withdrawn", state=RecordingState.WITHDRAWN)
    shelf.put("Draft elsewhere", area="SW", published=False)
    session.commit()
    browser = Browser(app, shelf.maker)
    assert titles(browser.get("/library").text) == ["Published"]
    assert set(titles(browser.get("/library?drafts=yes").text)) == {"Published", "Draft", "Still going"}


def test_facets_narrow_and_count_under_the_other_filters(app: Flask, session: Session, shelf: Shelf) -> None:
    one, two = term(session, TermKind.THEME, 0), term(session, TermKind.THEME, 1)
    job = term(session, TermKind.PROFESSION, 0)
    origin = term(session, TermKind.ORIGIN, 0)
    first, second, third = (shelf.put(title) for title in ("First", "Second", "Third"))
    first.terms, second.terms, third.terms = [one], [one, two], [two]
    second.case.terms = [job]
    second.case.origin_id = origin.id
    session.commit()
    browser = Browser(app, shelf.viewer)
    page = browser.get("/library").text
    for text in (
        f"{one.name} (2)",
        f"{two.name} (2)",
        f"{job.name} (1)",
        f"{origin.name} (1)",
        "North East and Yorkshire (3)",
    ):
        assert text in page, text
    page = browser.get(f"/library?theme={one.code}").text
    assert set(titles(page)) == {"First", "Second"}
    assert f"{two.name} (2)" in page, "a facet's own choice does not narrow its own counts"
    assert "North East and Yorkshire (2)" in page
    page = browser.get(f"/library?theme={one.code}&theme={two.code}").text
    assert set(titles(page)) == {"First", "Second", "Third"}
    page = browser.get(f"/library?theme={two.code}&profession={job.code}&origin={origin.code}&region=NEY").text
    assert titles(page) == ["Second"]
    assert f"{one.name} (1)" in page
    page = browser.get(f"/library?profession={job.code}&region=SW").text
    assert titles(page) == []
    assert "Nothing found" in page
    assert browser.get("/library?theme=nonsense&region=XX&case=no&sort=upside&q=%00%ff").status_code == 200


@pytest.mark.parametrize("sort", ["", "title", "duration", "relevance"])
def test_pages_follow_one_another_without_gap(app: Flask, session: Session, shelf: Shelf, sort: str) -> None:
    case = shelf.world.case("Many")
    for n in range(60):
        shelf.put(f"Recording about apples {n % 7}", case=case, duration_ms=1000 * (n % 5))
    session.commit()
    browser = Browser(app, shelf.viewer)
    address, seen, pages = f"/library?q=apples&sort={sort}", [], []
    while address:
        page = browser.get(address).text
        links = re.findall(r'app-recording__title"><a href="([^"]*)"', page)
        pages.append(links)
        seen += links
        older = re.search(r'href="([^"]*after=[^"]*)"', page)
        address = older[1].replace("&amp;", "&") if older else ""
    assert [len(links) for links in pages] == [25, 25, 10]
    assert len(set(seen)) == 60
    newer = re.search(r'href="([^"]*before=[^"]*)"', page)
    assert newer
    assert (
        re.findall(r'app-recording__title"><a href="([^"]*)"', browser.get(newer[1].replace("&amp;", "&")).text)
        == pages[1]
    )
    assert browser.get("/library?after=rubbish").status_code == 400


def test_the_number_of_queries_is_constant(app: Flask, session: Session, shelf: Shelf) -> None:
    shelf.put("Apples", cues=("Apples.",))
    session.commit()
    browser = Browser(app, shelf.viewer)
    with app.app_context():
        engine = db.engine
    asked: list[str] = []

    def note(connection, cursor, statement, parameters, context, many) -> None:
        asked.append(statement)

    def count(address: str) -> int:
        browser.get(address)
        asked.clear()
        assert browser.get(address).status_code == 200
        return len(asked)

    event.listen(engine, "before_cursor_execute", note)
    addresses = ("/library?q=apples", "/library", "/api/v1/search?q=apples", "/")
    before = [count(address) for address in addresses]
    for n in range(12):
        shelf.put(f"Apples {n}", cues=("Apples.", "More apples.", "Pears."))
    session.commit()
    assert [count(address) for address in addresses] == before
    event.remove(engine, "before_cursor_execute", note)
    assert max(before) <= 21, before


def test_the_api_finds_places_and_pages(app: Flask, session: Session, shelf: Shelf) -> None:
    spoken = shelf.put("Spoken", cues=tuple(f"Number {n} speaks of apples." for n in range(30)))
    titled = shelf.put("Apples")
    session.commit()
    token = shelf.world.token(shelf.viewer, "read")
    session.commit()
    client = app.test_client()
    headers = {"Authorization": f"Bearer {token}"}
    address, places = "/api/v1/search?q=apples&limit=7", []
    while address:
        answer = client.get(address, headers=headers)
        assert answer.status_code == 200
        places += answer.json["hits"]
        address = answer.json["next"]
    assert len(places) == 31
    assert places[0]["recording"] == {"id": str(titled.id), "title": "Apples"}
    assert places[0]["kind"] == "title"
    assert {place["recording"]["id"] for place in places[1:]} == {str(spoken.id)}
    assert sorted(place["start"] for place in places[1:]) == [n * 3.0 for n in range(30)]
    one = next(place for place in places if place["start"] == 6.0)
    assert one["snippet"] == "Number 1 speaks of apples. Number 2 speaks of apples. Number 3 speaks of apples."
    assert {part["text"] for part in one["parts"] if part["match"]} == {"apples"}
    assert one["links"]["watch"] == f"/recordings/{spoken.id}?t=6"
    for bad in ("/api/v1/search", "/api/v1/search?q=x&limit=0", "/api/v1/search?q=x&after=rubbish"):
        answer = client.get(bad, headers=headers)
        assert answer.status_code == 400
        assert answer.content_type == "application/problem+json"
    assert client.get("/api/v1/search?q=apples").status_code == 401


def test_old_words_are_not_found(app: Flask, session: Session, storage: Storage, shelf: Shelf) -> None:
    recording = shelf.put("Corrected", cues=("The name was Zebedee.",))
    film.caption(session, storage, recording, [(0, 1000, "", "The name was taken out.")], number=2)
    session.commit()
    browser = Browser(app, shelf.viewer)
    assert titles(browser.get("/library?q=zebedee").text) == []
    assert browser.get("/api/v1/search?q=zebedee").json["hits"] == []


def test_pieces_are_the_text_again() -> None:
    marked = "I am so \ue000sorry\ue001 about \ue000that\ue001"
    pieces = search.pieces_of(marked)
    assert "".join(piece.text for piece in pieces) == "I am so sorry about that"
    assert [piece.text for piece in pieces if piece.match] == ["sorry", "that"]


def test_home_shows_what_goes_on_and_what_waits(app: Flask, session: Session, shelf: Shelf) -> None:
    begun = shelf.put("Begun", duration_ms=60_000)
    shelf.put("New here")
    far = shelf.put("New far away", area="SW")
    shelf.world.grant(far, area="NEY")
    failed = shelf.put("Failed", published=False, state=RecordingState.FAILED, owner_id=shelf.maker.id)
    failed.reason = "The sound could not be read."
    shelf.put("Of somebody else", published=False)
    due = shelf.world.case("Due", review_on=clock.now().date())
    shelf.world.case("Not due", review_on=clock.now().date() + timedelta(days=300))
    session.commit()
    viewer = Browser(app, shelf.viewer)
    viewer.send("POST", f"/api/v1/recordings/{begun.id}/position", json={"seconds": 31})
    page = viewer.get("/").text
    assert page.index('type="search"') < page.index("Continue watching") < page.index("New in your area")
    assert titles(page) == ["Begun", "New here"]
    assert f"/recordings/{begun.id}?t=31" in page
    assert "Waiting for you" not in page
    page = Browser(app, shelf.maker).get("/").text
    assert "The sound could not be read." in page
    assert due.title in page
    assert "Not due" not in page
    assert "Of somebody else" not in page


def test_empty_pages_say_what_to_do(app: Flask, session: Session, shelf: Shelf) -> None:
    admin = shelf.world.person("admin@example.org", Role.ADMIN)
    session.commit()
    assert "Nothing has been shared with you yet" in Browser(app, shelf.viewer).get("/").text
    assert "The library is empty" in Browser(app, shelf.viewer).get("/library").text
    assert "vignette demo" in Browser(app, admin).get("/").text
    assert Browser(app, shelf.viewer).get("/library").status_code == 200
    assert app.test_client().get("/library").location.startswith("/sign-in")
