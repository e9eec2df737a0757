"""The API's description, OpenAPI 3.1, put together from what each view says of itself.

    @bp.get("/recordings/<uuid:recording_id>")
    @guard.on(Action.RECORDING_VIEW, Recording)
    @describe("One recording", responses={200: RECORDING}, tags=("recordings",))
    def show(recording: Recording) -> Any: ...

Schemas are plain JSON Schema. `component()` gives one a name and answers with the reference to use in its place. A
test walks the routes under /api/v1 and fails on one that is not described.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Flask, current_app
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter

from app.web import guard

Schema = Mapping[str, Any]
View = TypeVar("View", bound=Callable[..., Any])

PREFIX = "/api/v1"
VERSION = "1.0.0"
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
UUID: Schema = {"type": "string", "format": "uuid"}
DAY: Schema = {"type": "string", "format": "date"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
URI: Schema = {"type": "string", "format": "uri-reference"}

_components: dict[str, Schema] = {}


@dataclass(frozen=True)
class Description:
    """What `describe` noted on a view."""

    summary: str
    request: Schema | None
    request_type: str
    responses: Mapping[int, Schema | None]
    query: Mapping[str, Schema]
    headers: Mapping[str, Schema]
    tags: Sequence[str]
    response_type: str = JSON
    deprecated: bool = field(default=False)


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    kind = schema.get("type")
    return {**schema, "type": [kind, "null"]} if isinstance(kind, str) else {"anyOf": [schema, {"type": "null"}]}


def array(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def one_of(*values: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(values)}


def thing(properties: Mapping[str, Schema], *, optional: Sequence[str] = (), note: str = "") -> Schema:
    """An object; every property is required unless it is named in `optional`."""
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    if required := [name for name in properties if name not in optional]:
        schema["required"] = required
    if note:
        schema["description"] = note
    return schema


def component(name: str, schema: Schema) -> Schema:
    """Give a schema a name in the document; returns the reference to it.

    Raises:
        ValueError: another schema has the name.
    """
    if _components.setdefault(name, schema) != schema:
        raise ValueError(f"there are two schemas called {name}")
    return {"$ref": f"#/components/schemas/{name}"}


def paged(name: str, items: Schema) -> Schema:
    """A named page of a list: `items`, and the addresses of the pages beside it (null where there is none)."""
    links = thing({"next": nullable(URI), "previous": nullable(URI)})
    return component(name, thing({"items": array(items), "links": links}))


PROBLEM = component(
    "Problem",
    thing(
        {
            "type": URI,
            "title": STRING,
            "status": INTEGER,
            "detail": STRING,
            "code": STRING,
            "errors": {"type": "object", "additionalProperties": STRING},
        },
        optional=("errors",),
        note="RFC 9457. `detail` is a sentence for people, `code` a stable word for programs, `errors` field to sentence.",
    ),
)


def describe(
    summary: str,
    *,
    request: Schema | None = None,
    request_type: str = JSON,
    responses: Mapping[int, Schema | None] | None = None,
    query: Mapping[str, Schema] | None = None,
    headers: Mapping[str, Schema] | None = None,
    tags: Sequence[str] = (),
    response_type: str = JSON,
) -> Callable[[View], View]:
    """Say what a view of the API takes and gives.

    Args:
        request: schema of the body; `request_type` is its media type.
        responses: status to schema, None where there is no body; `response_type` is the media type of all bodies.
            Problems need not be named.
        query: name to schema of what may stand behind the question mark.
        headers: name to schema of headers that the view reads; Idempotency-Key is added to every POST.
    """

    def note(view: View) -> View:
        view._openapi = Description(  # type: ignore[attr-defined]
            summary, request, request_type, responses or {204: None}, query or {}, headers or {}, tags, response_type
        )
        return view

    return note


def description_of(view: Callable[..., Any]) -> Description | None:
    """What a view said of itself, if anything."""
    return getattr(view, "_openapi", None)


def api_rules(app: Flask) -> list[Rule]:
    """The routes that the document must name."""
    return sorted((rule for rule in app.url_map.iter_rules() if rule.rule.startswith(PREFIX)), key=lambda r: r.rule)


def document(app: Flask) -> dict[str, Any]:
    """The whole description as it is served."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in api_rules(app):
        view = app.view_functions[rule.endpoint]
        said = description_of(view)
        if said is None:
            continue
        item = paths.setdefault(re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), {})
        if parameters := [_path_parameter(rule, name) for name in sorted(rule.arguments)]:
            item["parameters"] = parameters
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            item[method.lower()] = _operation(rule, method, said, view)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vignette",
            "version": VERSION,
            "description": "Recordings of role plays on real cases, for those who may see them. What the token's "
            "person may not know of answers 404, exactly as what does not exist.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(_components.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": _cookie_name(app)},
            },
            "responses": {
                "Problem": {"description": "What went wrong", "content": {PROBLEM_JSON: {"schema": PROBLEM}}}
            },
        },
    }


def _cookie_name(app: Flask) -> str:
    return str(getattr(app.session_interface, "cookie", "session"))


def _path_parameter(rule: Rule, name: str) -> dict[str, Any]:
    kinds = {"UUIDConverter": UUID, "IntegerConverter": INTEGER}
    converter = rule._converters[name]
    schema = kinds.get(type(converter).__name__, STRING)
    if isinstance(converter, AnyConverter):
        schema = one_of(*sorted(converter.items))
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _operation(rule: Rule, method: str, said: Description, view: Callable[..., Any]) -> dict[str, Any]:
    parameters = [{"name": name, "in": "query", "schema": schema} for name, schema in said.query.items()]
    parameters += [{"name": name, "in": "header", "schema": schema} for name, schema in said.headers.items()]
    if method == "POST":
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "maxLength": 200},
                "description": "Repeating a request with its key repeats the answer only.",
            }
        )
    operation: dict[str, Any] = {
        "operationId": f"{rule.endpoint}.{method.lower()}".replace(".", "_"),
        "summary": said.summary,
        "tags": list(said.tags),
        "responses": {
            **{
                str(status): {
                    "description": "No content" if schema is None else "Done",
                    **({} if schema is None else {"content": {said.response_type: {"schema": schema}}}),
                }
                for status, schema in said.responses.items()
            },
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if said.request is not None:
        operation["requestBody"] = {"required": True, "content": {said.request_type: {"schema": said.request}}}
    declaration = guard.declaration_of(view)
    if declaration is not None and declaration.kind == "public":
        operation["security"] = []
    return operation


def current_document() -> dict[str, Any]:
    """The description of the running app."""
    return document(current_app)
