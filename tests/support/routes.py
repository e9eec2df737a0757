"""Walking the routes of the application: an address for each, made of what its converters take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter, IntegerConverter, UUIDConverter

NOBODY = "00000000-0000-4000-8000-000000000000"
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def path_of(app: Flask, rule: Rule, values: Mapping[str, Any] | None = None) -> str:
    """An address that the rule matches: `values` where given, else a value that each converter takes."""
    made: dict[str, Any] = {}
    for argument, converter in rule._converters.items():
        if values is not None and argument in values:
            made[argument] = values[argument]
        elif isinstance(converter, AnyConverter):
            made[argument] = sorted(converter.items)[0]
        elif isinstance(converter, IntegerConverter):
            made[argument] = 1
        elif isinstance(converter, UUIDConverter):
            made[argument] = NOBODY
        else:
            made[argument] = "x"
    with app.test_request_context():
        built = rule.build(made, append_unknown=False)
    if built is None:
        raise AssertionError(f"no address for {rule}")
    return built[1]


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every rule with each of its methods that do something of their own."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method
