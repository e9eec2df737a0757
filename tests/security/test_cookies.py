"""Cookies: what they are called, and to whom browsers show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from app.db import db
from app.db.people import Role
from app.domain import passwords, sign_in
from app.settings import Settings
from app.web import create_app
from tests.support.world import PASSWORD, World

HTTPS = "https://vignette.example.org"


@pytest.fixture(params=[HTTPS, "http://vignette.example.org"])
def app(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Flask]:
    """The application under an address by https, and under one by http."""
    made = create_app(replace(settings, public_url=request.param))
    made.config["ADDRESS"] = request.param
    yield made
    with made.app_context():
        db.session.remove()
        db.engine.dispose()


def _cookies(answer: TestResponse) -> dict[str, tuple[str, set[str]]]:
    found = {}
    for header in answer.headers.getlist("Set-Cookie"):
        pair, *attributes = header.split("; ")
        name, _, value = pair.partition("=")
        found[name] = (value, set(attributes))
    return found


def _signed_in(app: Flask) -> tuple[Client, dict[str, tuple[str, set[str]]], dict[str, tuple[str, set[str]]]]:
    """A browser that went through the form, and the cookies of the page and of the form's answer."""
    with app.app_context():
        World(db.session()).person("viewer@example.org", Role.VIEWER, "NEY", password_hash=passwords.hashed(PASSWORD))
        db.session.commit()
    address: str = app.config["ADDRESS"]
    client = app.test_client()
    page = client.get("/sign-in", base_url=address)
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = client.post(
        "/sign-in",
        base_url=address,
        headers={"Referer": f"{address}/sign-in"},
        data={"email": "viewer@example.org", "password": PASSWORD, "csrf_token": token},
    )
    assert answer.status_code == 302, answer.text
    return client, _cookies(page), _cookies(answer)


def test_every_cookie_is_bound_to_the_host_and_kept_from_scripts(app: Flask) -> None:
    _, visitor, signed_in = _signed_in(app)
    secure = app.config["ADDRESS"] == HTTPS
    prefix = "__Host-" if secure else ""
    assert visitor.keys() == {f"{prefix}vignette-visitor"}
    assert f"{prefix}vignette" in signed_in
    for name, (_, attributes) in {**visitor, **signed_in}.items():
        assert name.startswith(prefix), name
        assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= attributes, (name, attributes)
        assert ("Secure" in attributes) == secure, name
        assert not any(attribute.startswith("Domain") for attribute in attributes), name


def test_the_cookie_of_before_is_dropped_and_a_planted_one_is_not_taken(app: Flask) -> None:
    client, visitor, signed_in = _signed_in(app)
    (name,) = visitor
    value, attributes = signed_in[name]
    assert value == ""
    assert "Max-Age=0" in attributes
    session_name = name.removesuffix("-visitor")
    planted = app.test_client()
    planted.set_cookie(session_name, "planted-by-somebody-else", domain="vignette.example.org")
    answer = planted.get("/account", base_url=app.config["ADDRESS"])
    assert answer.status_code == 302
    assert session_name not in _cookies(answer), "no session takes a name that it is given"
    assert signed_in[session_name][0] != "planted-by-somebody-else"
    assert client.get("/account", base_url=app.config["ADDRESS"]).status_code == 200


def test_a_frame_has_a_cookie_of_its_own_that_no_page_takes(app: Flask) -> None:
    if app.config["ADDRESS"] != HTTPS:
        pytest.skip("frames on other sites need https")
    with app.app_context(), app.test_request_context():
        world = World(db.session())
        person = world.person("viewer@example.org", Role.VIEWER, "NEY")
        from app.db.materials import Material

        material = Material(title="One", owner_id=person.id, area_id=world.area("NEY").id)
        db.session.add(material)
        db.session.flush()
        _, token = sign_in.open_session(
            db.session(), person.id, "frame", timedelta(hours=1), embed_material_id=material.id
        )
        db.session.commit()
        interface: Any = app.session_interface
        response = app.response_class()
        interface.start_embed(response, token)
    (header,) = response.headers.getlist("Set-Cookie")
    assert header.startswith("__Host-vignette-embed=")
    assert {"HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/"} <= set(header.split("; "))
    for name in ("__Host-vignette-embed", "__Host-vignette"):
        client = app.test_client()
        client.set_cookie(name, token, domain="vignette.example.org")
        assert client.get("/account", base_url=HTTPS).status_code == 302, "a frame's token opens no page"


def test_a_cookie_without_the_prefix_is_not_taken_on_https(app: Flask) -> None:
    """The prefix is what keeps a neighbouring host from planting cookies."""
    client, _, signed_in = _signed_in(app)
    secure = app.config["ADDRESS"] == HTTPS
    token = next(value for name, (value, _) in signed_in.items() if name.endswith("vignette"))
    other = app.test_client()
    other.set_cookie("vignette", token, domain="vignette.example.org")
    status = other.get("/account", base_url=app.config["ADDRESS"]).status_code
    assert status == (302 if secure else 200)
    assert client.get("/account", base_url=app.config["ADDRESS"]).status_code == 200


def test_https_refuses_forms_from_other_sites_even_with_their_token(app: Flask) -> None:
    client, _, _ = _signed_in(app)
    address = app.config["ADDRESS"]
    page = client.get("/account", base_url=address).text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    if address == HTTPS:
        for referrer in ("https://other.example.org/", "http://vignette.example.org/", None):
            headers = {} if referrer is None else {"Referer": referrer}
            answer = client.post("/sign-out", base_url=address, data={"csrf_token": token}, headers=headers)
            assert answer.status_code == 400, referrer
        assert client.get("/account", base_url=address).status_code == 200
    answer = client.post(
        "/sign-out", base_url=address, data={"csrf_token": token}, headers={"Referer": f"{address}/account"}
    )
    assert answer.status_code == 302
    assert client.get("/account", base_url=address).status_code == 302
