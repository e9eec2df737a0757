"""The pure parts: the list of providers, claims, and keys."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from app.cli import main
from app.db.people import Role
from app.domain import openid, providers
from app.domain.openid import Refused
from app.errors import Misconfigured
from app.settings import Settings
from app.web import create_app

ENTRY: dict[str, Any] = {
    "key": "hospital",
    "name": "Northmoor Hospital",
    "issuer": "https://login.example/tenant",
    "client_id": "vignette",
    "client_secret": "not to be told",
}
TOML = """
[[provider]]
key = "hospital"
name = "Northmoor Hospital"
issuer = "https://login.example/tenant"
client_id = "vignette"
client_secret = "not to be told"
domains = ["Trust.example"]

[[provider.rules]]
claim = "groups"
value = "tutors"
organisation = "Northmoor"
role = "facilitator"
"""


def test_toml_and_json_inline_and_in_files(tmp_path: Path) -> None:
    read = providers.load(TOML)
    (tmp_path / "list.toml").write_text(TOML)
    as_json = {
        **ENTRY,
        "domains": ["trust.example"],
        "rules": [{"claim": "groups", "value": "tutors", "organisation": "Northmoor", "role": "facilitator"}],
    }
    (tmp_path / "list.json").write_text(json.dumps([as_json]))
    assert read == providers.load(str(tmp_path / "list.toml")) == providers.load(str(tmp_path / "list.json"))
    assert read == providers.load(json.dumps([as_json]))
    assert read["hospital"].domains == {"trust.example"}
    assert read["hospital"].rules[0].role is Role.FACILITATOR
    assert providers.load("  ") == {}


def test_the_secret_may_lie_in_a_file_of_its_own_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    entry = {name: value for name, value in ENTRY.items() if name != "client_secret"}
    read = providers.load(json.dumps([{**entry, "client_secret_file": str(tmp_path / "secret")}]))
    assert read["hospital"].client_secret == "from a file"
    assert "from a file" not in repr(read)


def rule(**values: Any) -> dict[str, Any]:
    return {"rules": [{"claim": "groups", "value": "x", "organisation": "Northmoor", **values}]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key": "Hospital"}, "key must be"),
        ({"key": "password"}, "key must be"),
        ({"key": None}, "key must be text and is needed"),
        ({"issuer": "http://login.example"}, "issuer must begin with https"),
        ({"issuer": "http://127.0.0.1.evil.example"}, "issuer must begin with https"),
        ({"issuer": "https://login.example/{tenantid}/v2.0"}, "of one tenant"),
        ({"client_secret": ""}, "client_secret must be text and is needed"),
        ({"client_secret_file": "/nowhere"}, "not both"),
        ({"client_secret": "", "client_secret_file": "/nowhere"}, "cannot be read"),
        ({"scopes": ["email"]}, "scopes must contain openid"),
        ({"scopes": "openid"}, "scopes must be a list"),
        ({"domains": ["nhs"]}, "domains must be like example.org"),
        ({"require_verified_email": "no"}, "must be true or false"),
        ({"require_verified_email": False}, "domains must list"),
        ({"verified_by": []}, "verified_by must name a claim"),
        ({"colour": "blue"}, "there is no colour to set"),
        (rule(role="admin"), "may_appoint_admins"),
        (rule(role="custodian"), "may_appoint_admins"),
        (rule(role="king"), "role must be one of viewer, facilitator, admin, custodian"),
        (rule(organisation=""), "organisation must be text"),
        (rule(values=[]), "values must not be empty"),
        ({"rules": ["x"]}, "rule 1: it must be a table"),
        ({"second_factor": [{"claim": "amr"}]}, "second_factor 1: value must be text"),
    ],
)
def test_a_wrong_list_stops_the_start_with_a_sentence(
    settings: Settings, change: dict[str, Any], sentence: str
) -> None:
    text = json.dumps([{name: value for name, value in {**ENTRY, **change}.items() if value is not None}])
    with pytest.raises(Misconfigured, match=sentence) as caught:
        create_app(replace(settings, oidc_providers=text))
    assert "VIGNETTE_OIDC_PROVIDERS" in str(caught.value)
    assert "not to be told" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[{"client_secret": "not to be told",}]', "not valid JSON"),
        ('[[provider]]\nclient_secret = "not to be told', "not valid TOML"),
        ("/nowhere/list.toml", "cannot be read"),
        ('{"providers": []}', "must be a list of providers"),
        (json.dumps([ENTRY, ENTRY]), "two providers have the key"),
        (json.dumps([ENTRY, {**ENTRY, "key": "other"}]), "two providers have the issuer"),
    ],
)
def test_what_is_no_list(text: str, sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence) as caught:
        providers.load(text)
    assert "not to be told" not in str(caught.value)


def test_up_says_so_before_it_starts_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VIGNETTE_OIDC_PROVIDERS", str(tmp_path / "missing.toml"))
    done = CliRunner().invoke(main, ["up"])
    assert done.exit_code != 0
    assert "missing.toml, which cannot be read" in done.output
    assert not (tmp_path / "data").exists()


def test_admins_by_rule_only_where_it_is_said() -> None:
    read = providers.load(json.dumps([{**ENTRY, **rule(role="admin", may_appoint_admins=True)}]))
    assert read["hospital"].rules[0].role is Role.ADMIN


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("groups", {"a", "7", "true"}),
        ("posts.org", {"X", "Y"}),
        ("posts.deep.code", {"1"}),
        ("https://x.example/claim.name", {"whole"}),
        ("missing", set()),
        ("groups.org", set()),
        ("object", set()),
    ],
)
def test_values_of_a_claim(path: str, values: set[str]) -> None:
    claims = {
        "groups": ["a", 7, True, None, {"b": 1}],
        "posts": [{"org": "X", "deep": {"code": 1}}, {"org": ["Y"]}, "loose"],
        "object": {"inside": 1},
        "https://x.example/claim.name": "whole",
    }
    assert openid.values_at(claims, path) == values


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab."), inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "a.b"]), JSON), st.sampled_from(["a", "a.b", "b.a.b", ".", "a."]))
def test_any_claims_have_values(claims: dict[str, Any], path: str) -> None:
    assert all(isinstance(value, str) for value in openid.values_at(claims, path))


@given(JSON)
def test_any_document_is_read_or_refused(document: Any) -> None:
    provider = providers.load(json.dumps([ENTRY]))["hospital"]
    for read in (openid.read_keys, lambda d: openid.read_metadata(provider, d)):
        with pytest.raises(Refused):
            read(document)


@given(st.text(max_size=200) | st.binary(max_size=50).map(lambda b: b.decode("latin-1")))
def test_any_text_is_no_token(text: str) -> None:
    with pytest.raises(Refused):
        openid.jwt_header(text)


def test_secret_keys_have_no_place_among_a_providers_keys() -> None:
    with pytest.raises(Refused):
        openid.read_keys({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "1"}]})


def test_a_refusal_never_quotes() -> None:
    assert str(Refused("something new")) == openid.ANSWER
