"""Addresses written oddly: each is either the same closed address, or nothing; and nobody is sent to another site."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from app.web.forms import safe_next
from tests.matrix.checker import Checker
from tests.matrix.table import SURFACES
from tests.matrix.world import Thing
from tests.security.conftest import ELSEWHERE

AWAY = (
    "https://evil.example.net/", "//evil.example.net", "///evil.example.net", "////evil.example.net", "/\\evil.example.net",
    "\\\\evil.example.net", "/\t/evil.example.net", "/\n/evil.example.net", "/\r\nLocation: https://evil.example.net",
    "http:evil.example.net", "http:/\\evil.example.net", "javascript:alert(1)", "data:text/html,x", " //evil.example.net",
    "/%09/evil.example.net", "/%5cevil.example.net", "/..//evil.example.net", "/.//evil.example.net", "\x00//evil.example.net",
    "/\u2028/evil.example.net", "／／evil.example.net", "@evil.example.net", "?next=//evil.example.net", "evil.example.net",
)  # fmt: skip


def _stays(location: str) -> bool:
    """Whether a browser that follows this stays on the site: it drops tabs and line ends, and reads \\ as /."""
    read = "".join(c for c in location if c not in "\t\r\n").strip().replace("\\", "/")
    return read.startswith("/") and not read.startswith("//") and not urlsplit(read).netloc


@pytest.mark.parametrize("target", AWAY, ids=repr)
def test_signing_in_leads_nowhere_else(checker: Checker, target: str) -> None:
    assert _stays(safe_next(target))
    browser = checker.browser(ELSEWHERE, checker.setting.things["published"])
    answer = browser.get("/sign-in", query_string={"next": target})
    assert answer.status_code == 302
    assert _stays(answer.headers["Location"]), answer.headers["Location"]
    visitor = checker.app.test_client().get("/sign-in", query_string={"next": target})
    assert visitor.status_code == 200
    assert 'href="//' not in visitor.text and 'action="//' not in visitor.text


def test_no_address_sends_a_visitor_to_another_site(checker: Checker) -> None:
    """Where the address itself holds another site's name, the redirect to sign-in still stays here."""
    client = checker.app.test_client()
    for path in (
        "//evil.example.net", "//evil.example.net/account", "/\\evil.example.net", "/%2f%2fevil.example.net/..",
        "//evil.example.net/%2e%2e", "/account//evil.example.net", "/account?next=//evil.example.net", "///account",
        "/https://evil.example.net", "/library//", "//library", "/recordings//mine",
    ):  # fmt: skip
        for method in ("GET", "HEAD", "POST"):
            answer = client.open(path, method=method, headers={"Host": "evil.example.net"})
            location = answer.headers.get("Location")
            assert location is None or _stays(location), (method, path, location)


def _oddly(path: str) -> Iterator[str]:
    """The same address in other spellings."""
    yield path.replace("/", "//")
    yield f"/{path}"
    yield f"{path}/"
    yield f"{path}."
    yield f"{path}/."
    yield f"{path}/..%2f{path.rpartition('/')[2]}"
    yield f"{path}%20"
    yield f"{path}%00"
    yield f"{path};x=1"
    yield f"{path}%2f"
    yield f"/static/..{path}"
    yield f"/static/%2e%2e{path}"
    yield f"/help/..{path}"
    yield f"/embed{path}"
    yield f"/embed/..{path}"
    yield f"/static{path}"
    yield path.upper()
    yield path.swapcase()
    yield path.replace("-", "%2d")
    yield path.replace("-", "")
    yield path[:-1] + f"%{ord(path[-1]):02x}"


def _words(thing: Thing) -> tuple[str, ...]:
    return (thing.title_word, thing.speech_word, thing.case_word, thing.material_word)


@pytest.mark.parametrize("state", ["draft", "grant revoked"])
def test_no_spelling_of_an_address_opens_it(checker: Checker, state: str) -> None:
    thing = checker.setting.things[state]
    browsers = [checker.app.test_client(), checker.browser(ELSEWHERE, thing).client]
    paths = {checker.path(s, thing).partition("?")[0] for s in SURFACES if s.method == "GET"}
    asked = 0
    for client in browsers:
        for path in sorted(paths):
            for odd in _oddly(path):
                answer = client.get(odd)
                asked += 1
                body = answer.get_data()
                assert answer.status_code in (302, 303, 307, 308, 400, 401, 403, 404) or answer.status_code == 200, odd
                assert not any(word.encode() in body for word in _words(thing)), odd
                if answer.status_code == 200:
                    assert odd.startswith(("/embed/", "//embed/", "/embed//", "//embed//")), odd
                    assert b"sign" in body.lower(), "only the invitation to sign in, which is the same for all"
    assert asked > 500


def test_files_are_served_from_the_static_folder_only(checker: Checker) -> None:
    client = checker.app.test_client()
    for name in (
        "../settings.py", "..%2fsettings.py", "%2e%2e/settings.py", "....//settings.py", "..\\settings.py", "..%5csettings.py",
        "/etc/passwd", "%2fetc%2fpasswd", "vendor/../../settings.py", "vendor/..%2f..%2fguard.py", ".", "", "vendor", "vendor/",
        "player.js%00.txt", "%00", "con", "../../../../../../etc/passwd",
    ):  # fmt: skip
        answer = client.get(f"/static/{name}")
        assert answer.status_code in (400, 404), (name, answer.status)
        assert b"root:" not in answer.data and b"import" not in answer.data
