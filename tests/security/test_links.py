"""Links that were handed out: each lives a minute at most, and what plays asks again for every next part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from app import clock
from tests.matrix.checker import Checker
from tests.matrix.table import ACTORS, Actor
from tests.support.world import Browser

ENDS = {
    "grant revoked": "UPDATE grants SET revoked_at = {} WHERE recording_id = :recording",
    "recording withdrawn": "UPDATE recordings SET state = CASE WHEN {} IS NULL THEN 'ready' ELSE 'withdrawn' END "
    "WHERE id = :recording",
    "suspended": "UPDATE people SET suspended_at = {} WHERE id = :person",
    "left": "UPDATE people SET left_at = {} WHERE id = :person",
    "role ended": "UPDATE role_assignments SET ends_at = {} WHERE person_id = :person",
    "case retired": "UPDATE cases SET status = CASE WHEN {} IS NULL THEN 'live' ELSE 'retired' END WHERE id = :case",
}
PLAYERS = ("viewer of the granted region", "token to read, of the viewer", "frame of the material")
PARTS = (
    "master.m3u8", "480p.m3u8", "480p.iframes.m3u8", "audio.m3u8", "media/480p.mp4", "media/audio.mp4", "captions/en.vtt",
    "chapters.vtt", "poster.jpg", "storyboard.json", "storyboard.jpg",
)  # fmt: skip


def _actor(name: str) -> Actor:
    return next(actor for actor in ACTORS if actor.name == name)


def _player(checker: Checker, name: str) -> tuple[Browser, str]:
    """The browser, and the address below which it plays the published recording."""
    actor, thing = _actor(name), checker.setting.things["published"]
    prefix = "/embed" if actor.kind == "embed" else ""
    return checker.browser(actor, thing), f"{prefix}/recordings/{thing.recording}"


@contextmanager
def ended(checker: Checker, how: str, person: str) -> Iterator[None]:
    """Take it away, and give it back."""
    thing = checker.setting.things["published"]
    known = {"recording": thing.recording, "case": thing.case, "person": checker.setting.people[person]}

    def run(value: str) -> None:
        statement = ENDS[how].format(value)
        wanted = {name: row for name, row in known.items() if f":{name}" in statement}
        assert checker.session.execute(text(statement), wanted).rowcount > 0  # type: ignore[attr-defined]
        checker.session.commit()

    run("now()")
    try:
        yield
    finally:
        run("NULL")


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("name", PLAYERS)
def test_a_running_playback_is_refused_its_next_part(checker: Checker, name: str, how: str) -> None:
    browser, base = _player(checker, name)
    for part in PARTS:
        assert browser.get(f"{base}/{part}").status_code in (200, 206, 302), part
    with ended(checker, how, _actor(name).person):
        for part in PARTS:
            for headers in ({}, {"Range": "bytes=100-199"}):
                answer = browser.get(f"{base}/{part}", headers=headers)
                # whoever counts as nobody is led to sign in; neither way gives a byte or an address of storage
                assert answer.status_code in (401, 404) or answer.location.startswith("/sign-in"), (part, answer.status)
                assert "X-Amz" not in str(answer.headers)
    for part in PARTS:
        assert browser.get(f"{base}/{part}").status_code in (200, 206, 302), part


def test_an_address_of_storage_lives_a_minute_at_most(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, base = _player(checker, PLAYERS[0])
    core = checker.app.extensions["vignette"]
    monkeypatch.setitem(
        checker.app.extensions, "vignette", replace(core, settings=replace(core.settings, delivery="redirect"))
    )
    signed = 0
    for part in PARTS:
        answer = browser.get(f"{base}/{part}")
        if answer.status_code != 302:
            continue
        query = parse_qs(urlsplit(answer.location).query)
        assert 1 <= int(query["X-Amz-Expires"][0]) <= 60, part
        begins = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
        assert abs(begins - clock.now()) < timedelta(seconds=30), "it counts from now, not from later"
        assert answer.headers["Cache-Control"] == "private, no-store", "no browser follows it a second time by itself"
        signed += 1
    assert signed >= 3


def test_playlists_hold_no_address_of_storage(checker: Checker) -> None:
    """Their parts are addresses of ours, so each part asks the policy anew."""
    browser, base = _player(checker, PLAYERS[0])
    for part in PARTS:
        if part.endswith(("m3u8", "json", "vtt")):
            body = browser.get(f"{base}/{part}").text
            assert "X-Amz" not in body
            assert "://" not in body.replace("urn://", ""), part
