"""Every page in a real Chromium: axe, reflow, titles, policy, keyboard; and every form that was refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page as Tab

from tests.pages import table
from tests.pages.conftest import Site
from tests.support.browser import Reports, axe, sideways_overflow, wait_until
from tests.support.routes import routes

WIDTHS = (1280, 320)
#: Where to leave pictures of the pages, for people to look at.
PICTURES = os.environ.get("VIGNETTE_TEST_PICTURES")
TITLE = re.compile(r"(?:[^\n]+ - )+Vignette|Vignette")

#: Marks what the keyboard must reach: a radio group is one stop, what is hidden or switched off is none.
MARK_STOPS = """() => {
  const wanted = 'a[href], button, input:not([type=hidden]), select, textarea, summary, video[controls], [tabindex="0"]';
  const groups = new Set();
  let n = 0;
  for (const e of document.querySelectorAll(wanted)) {
    if (e.disabled || e.tabIndex < 0 || !e.checkVisibility({visibilityProperty: true}) || e.closest('[inert]')) continue;
    if (e.type === 'radio') {
      const key = (e.form?.action || '') + e.name;
      if (groups.has(key)) continue;
      groups.add(key);
      e.dataset.testGroup = key;
    }
    e.dataset.testStop = n++;
  }
  return n;
}"""
#: Which of them has the focus, and whether that can be seen on it, on its label or on what is around it. In a date
#: field the browser's own calendar button is a stop too, which the browser marks by itself.
LOOK = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const drawn = (x, pseudo) => {
    const s = getComputedStyle(x, pseudo);
    return (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none';
  };
  if (e.type === 'date' && !e.matches(':focus')) return {stop: Number(e.dataset.testStop), seen: true};
  const near = [e, e.nextElementSibling, e.parentElement, e.firstElementChild].filter(Boolean);
  const seen = near.some(x => drawn(x) || drawn(x, '::before') || drawn(x, '::after'));
  let stop = e.dataset.testStop;
  if (stop === undefined && e.type === 'radio') {
    const first = [...document.querySelectorAll('[data-test-group]')].find(
      x => x.dataset.testGroup === (e.form?.action || '') + e.name);
    stop = first?.dataset.testStop;
  }
  return {stop: stop === undefined ? -1 : Number(stop), seen, html: e.outerHTML.slice(0, 120)};
}"""

CASES = [pytest.param(page, role, id=f"{page.path}-{role}") for page in table.PAGES for role in page.seen_by]


def test_every_page_has_an_entry(app: Flask) -> None:
    pages = {
        rule.endpoint
        for rule, method in routes(app)
        if method == "GET" and not rule.endpoint.startswith(table.NO_PAGES)
    }
    entered = {page.endpoint for page in table.PAGES if page.endpoint}
    assert pages - entered == set(), "these pages are looked at by no test: put them into tests/pages/table.py"
    assert entered - pages == set(), "these entries name no page"


@pytest.fixture(autouse=True)
def _before_the_first_admin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filled site has admins, and then the page for the first one is no more."""
    if "/first-admin/" in request.node.name:
        monkeypatch.setattr("app.domain.sign_in.has_admin", lambda session: False)


@pytest.mark.browser
@pytest.mark.parametrize(("page", "role"), CASES)
def test_a_page_is_in_order(site: Site, page: table.Page, role: str) -> None:
    tab = site.page(role)
    try:
        faults = look_over(site, tab, page, role)
    finally:
        tab.close()
    assert not faults, "\n".join(faults)


def look_over(site: Site, tab: Tab, page: table.Page, role: str) -> list[str]:
    """All that is wrong with a page, in lines."""
    reports = Reports(tab)
    errors: list[str] = []
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    answer = tab.goto(site.address + site.path(page.path))
    assert answer is not None
    assert answer.status == page.status, f"{answer.status} at {tab.url}"
    if page.endpoint not in table.FRAMED:
        wait_until(tab, "document.body.classList.contains('nhsuk-frontend-supported')")
        tab.evaluate("() => document.fonts.ready.then(() => true)")  # the header folds its menu anew for new letters
    # the editor takes the place of its form
    wait_until(tab, "[...document.querySelectorAll('[data-module=app-captions]')].every(e => e.dataset.ready)")
    faults = by_keyboard(tab, whole=page.seen_by[0] == role) if page.endpoint not in table.FRAMED else []
    tab.evaluate("document.activeElement.blur()")  # with the focus, the skip link lies over the header
    if not TITLE.fullmatch(tab.title()):
        faults.append(f"the title is {tab.title()!r}")
    if tab.evaluate("document.documentElement.lang") != "en-GB":
        faults.append("the language is not en-GB")
    if tab.locator("h1").count() != 1:
        faults.append(f"there are {tab.locator('h1').count()} first headings")
    faults += in_both_widths(tab, f"{role} {page.path}")
    if reports.csp:
        faults.append(f"policy: {reports.csp}")
    quiet = [text for text in errors if not (page.status >= 400 and f"{page.status}" in text)]
    if quiet or reports.errors:
        faults.append(f"console: {quiet + reports.errors}")
    if reports.hosts != {site.address.removeprefix("http://")}:
        faults.append(f"asked {reports.hosts}")
    return faults


def in_both_widths(tab: Tab, name: str) -> list[str]:
    """Nothing for axe, and no scrolling sideways, wide and narrow."""
    faults = []
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        wait_until(tab, f"document.documentElement.clientWidth <= {width}")
        tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        # a second look, because the first can come while the header still folds its menu for the new width
        faults += [f"axe at {width}: {violation}" for violation in (axe(tab) and axe(tab))]
        over = sideways_overflow(tab)
        if over > 0:
            faults.append(f"at {width} it is {over} pixels too wide")
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            plain = re.sub(r"[^\w]+", "-", name).strip("-")
            tab.screenshot(path=str(Path(PICTURES) / f"{plain}-{width}.png"), full_page=True)
    tab.set_viewport_size({"width": 1280, "height": 900})
    return faults


def by_keyboard(tab: Tab, *, whole: bool) -> list[str]:
    """Whether Tab comes to the skip link first; of the `whole` page also what it does not reach, and where the focus
    cannot be seen."""
    tab.keyboard.press("Tab")
    first = tab.evaluate("document.activeElement.textContent.trim()")
    faults = [] if first == "Skip to main content" else [f"the first stop is {first!r}"]
    if not whole:
        return faults
    stops = tab.evaluate(MARK_STOPS)
    reached: set[int] = set()
    unseen: list[str] = []
    ends = 0
    for _ in range(stops * 2 + 30):
        here = tab.evaluate(LOOK)
        if here is None:
            # Behind the last one; or the header folded its menu just now and took the focused link out and in again.
            # Twice is the end: from where it was lost, the focus goes on.
            ends += 1
            if ends == 2:
                break
            tab.keyboard.press("Tab")
            continue
        if not here["seen"]:
            unseen.append(here["html"])
        reached.add(here["stop"])
        if len(reached - {-1}) == stops:
            break
        tab.keyboard.press("Tab")
    missing = sorted(set(range(stops)) - reached)
    names = [tab.locator(f"[data-test-stop='{n}']").evaluate("e => e.outerHTML.slice(0, 120)") for n in missing[:5]]
    faults += [f"Tab does not reach {name}" for name in names]
    faults += [f"the focus cannot be seen on {html}" for html in sorted(set(unseen))[:5]]
    return faults


@pytest.mark.browser
@pytest.mark.parametrize("refusal", table.REFUSALS, ids=lambda r: f"{r.path} {r.button} {'/'.join(r.fields)}")
def test_a_refused_form_says_what_to_do(site: Site, refusal: table.Refusal) -> None:
    tab = site.page(refusal.seen_by)
    try:
        tab.goto(site.address + site.path(refusal.path))
        for name, value in refusal.typed.items():
            tab.locator(f"main [name='{name}']").last.fill(value)
        main = tab.locator("main")
        button = (
            main.get_by_role("button", name=refusal.button, exact=True)
            if refusal.button
            else main.locator("form button[type=submit], form button:not([type])")
        )
        with tab.expect_navigation():
            button.last.click()
        assert tab.title().startswith("Error: "), tab.title()
        summary = tab.locator(".nhsuk-error-summary")
        assert summary.count() == 1
        wait_until(tab, "document.activeElement?.matches('.nhsuk-error-summary')")
        links = summary.locator("a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
        assert set(links) >= {f"#{name}" for name in refusal.fields}
        assert links, "the summary leads nowhere"
        for link in links:
            target = tab.locator(f"[id='{link[1:]}']")
            assert target.count() == 1, f"{link} leads nowhere"
        summary.locator("a").first.click()
        focused = tab.evaluate("document.activeElement.matches('input, select, textarea')")
        assert focused, "the first link does not move to a field"
        assert in_both_widths(tab, f"refused {refusal.path} {refusal.button}") == []
    finally:
        tab.close()
