"""The API describes every route that it has, in a document that is valid OpenAPI 3.1."""

from __future__ import annotations

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.web.openapi import api_rules, component, description_of


def test_document_is_valid(app: Flask) -> None:
    answer = app.test_client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.json["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(answer.json).validate()
    assert "/api/v1/openapi.json" in answer.json["paths"]


def test_every_route_is_described(app: Flask) -> None:
    silent = [rule.rule for rule in api_rules(app) if description_of(app.view_functions[rule.endpoint]) is None]
    assert silent == []


def test_public_routes_need_no_token_and_others_do(app: Flask) -> None:
    document = app.test_client().get("/api/v1/openapi.json").json
    assert document["paths"]["/api/v1/openapi.json"]["get"]["security"] == []
    assert document["security"] == [{"token": []}, {"session": []}]


def test_a_name_belongs_to_one_schema() -> None:
    with pytest.raises(ValueError, match="two schemas called Problem"):
        component("Problem", {"type": "string"})
