"""Every route says what it takes to use it."""

from __future__ import annotations

from flask import Flask

from app.access import policy
from app.web import MENU, guard
from tests.support.routes import path_of, routes

#: The only routes that ask for nothing. A new one must be added here by hand, with its reason in the code.
PUBLIC = {
    "api_description.openapi",
    "auth.first_admin",
    "auth.set_password",
    "auth.sign_in",
    "auth.sign_out",
    "embed.material",
    "embed.start",
    "health.live",
    "health.metrics",
    "health.ready",
    "help.accessibility_statement",
    "help.cookies",
    "help.help",
    "help.privacy",
    "home.index",
    "links.ask_reset",
    "links.ask_sign_in",
    "links.enter",
    "links.invitation",
    "openid.finish",
    "openid.start",
}


def test_every_route_declares_what_it_takes(app: Flask) -> None:
    undeclared = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static" and guard.declaration_of(app.view_functions[rule.endpoint]) is None
    }
    assert not undeclared, f"these routes are closed until they declare an action: {sorted(undeclared)}"


def test_the_public_routes_are_these(app: Flask) -> None:
    public = {}
    for rule in app.url_map.iter_rules():
        declaration = guard.declaration_of(app.view_functions[rule.endpoint])
        if declaration is not None and declaration.kind == "public":
            public[rule.endpoint] = declaration.why_public
    assert all(public.values()), "each says why"
    assert public.keys() == PUBLIC


def test_declarations_name_what_the_address_holds(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        declaration = guard.declaration_of(app.view_functions[rule.endpoint])
        if declaration is not None and declaration.kind == "row":
            assert declaration.param in rule.arguments, rule
            assert declaration.action is not None
            assert policy.POLICIES[declaration.action].table is declaration.table, rule


def test_an_undeclared_route_is_closed(app: Flask) -> None:
    app.add_url_rule("/forgotten", endpoint="forgotten", view_func=lambda: "secret")
    answer = app.test_client().get("/forgotten")
    assert answer.status_code == 404
    assert b"secret" not in answer.data


def test_visitors_get_nothing_but_public_pages(app: Flask) -> None:
    client = app.test_client()
    for rule, method in routes(app):
        declaration = guard.declaration_of(app.view_functions[rule.endpoint])
        if method != "GET" or declaration is None or declaration.kind == "public":
            continue
        answer = client.get(path_of(app, rule))
        if rule.rule.startswith("/api/"):
            assert answer.status_code == 401, rule
        elif rule.rule.startswith("/embed/"):
            assert answer.status_code == 404, rule
        else:
            assert answer.status_code == 302, rule
            assert answer.location.startswith("/sign-in"), rule


def test_the_menu_names_real_pages(app: Flask) -> None:
    assert [endpoint for _, endpoint, _ in MENU if endpoint not in app.view_functions] == []
