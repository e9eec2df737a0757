"""The banner of an admin who sees the pages as somebody else does, in a real Chromium."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app import clock
from app.db import db
from app.domain import sign_in
from tests.pages.conftest import Site
from tests.pages.table import ADMIN, VIEWER
from tests.pages.test_pages import in_both_widths


@pytest.mark.browser
def test_the_banner_is_on_every_page(site: Site) -> None:
    people = site.filled.people
    with site.app.app_context():
        row, token = sign_in.open_session(db.session(), people[ADMIN].id, "Chromium", timedelta(hours=1), proved=True)
        row.view_as_id, row.view_as_until = people[VIEWER].id, clock.now() + timedelta(minutes=30)
        db.session.commit()
    context = site.chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    try:
        name = site.app.session_interface.cookie  # type: ignore[attr-defined]
        context.add_cookies([{"name": name, "value": token, "url": site.address}])
        tab = context.new_page()
        for path in ("/", "/library", "/recordings/{published}?shown=yes", "/cases/{case}", "/recordings/{draft}"):
            tab.goto(site.address + site.path(path))
            banner = tab.get_by_role("region", name="Seeing as somebody else")
            assert "You see Vignette as Vera Viewer does" in banner.inner_text()
            tab.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            assert banner.bounding_box()["y"] == 0, "it stays in sight"  # type: ignore[index]
            tab.evaluate("window.scrollTo(0, 0)")
            assert in_both_widths(tab, f"viewing as {path}") == []
        tab.goto(site.address + "/library")
        with tab.expect_navigation():
            tab.get_by_role("button", name="Stop").click()
        assert tab.url == f"{site.address}/people/{people[VIEWER].id}"
        assert tab.get_by_role("region", name="Seeing as somebody else").count() == 0
    finally:
        context.close()
