"""A provider of our own that misbehaves on request, over real HTTP on this machine, and a browser that goes to it."""

from __future__ import annotations

import base64
import hmac
import html
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from tests.support.world import Browser

CLIENT_ID, CLIENT_SECRET = "vignette", "a secret of tests only"
EMAIL = "newcomer@example.org"


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@dataclass
class Misbehaving:
    """What the next sign-in is like. Everything is right until a test changes it."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    #: changed before signing; a value of None takes the claim out
    claims: dict[str, Any] = field(default_factory=dict)
    #: makes the token of claims, in place of signing
    forge: Callable[[dict[str, Any]], str] | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    wait: threading.Event | None = None
    drip: bool = False
    #: seen so far
    asked: list[str] = field(default_factory=list)
    requests: dict[str, dict[str, str]] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def right_claims(self, nonce: str) -> dict[str, Any]:
        """What an honest provider would say."""
        now = int(time.time())
        return {
            "iss": self.issuer, "sub": "subject-1", "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": nonce,
            "email": EMAIL, "email_verified": True, "name": "New Comer",
        }  # fmt: skip

    def sign(self, claims: dict[str, Any]) -> str:
        """A token as it should be signed."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def public_pem(self) -> bytes:
        """The public key, as everybody may have it."""
        return self.key.as_pem(private=False)


def part(data: bytes | dict[str, Any]) -> str:
    """One part of a token, by hand."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def unsigned(claims: dict[str, Any]) -> str:
    """A token that says that it needs no signature."""
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def with_secret(secret: bytes, claims: dict[str, Any], kid: str = "first") -> str:
    """A token signed by HS256, which no honest library makes with a public key for a secret."""
    text = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{part(claims)}"
    return f"{text}.{part(hmac.new(secret, text.encode(), 'sha256').digest())}"


def app_of(state: Misbehaving) -> Flask:
    """The provider as a web application."""
    app = Flask("misbehaving")

    @app.before_request
    def note() -> Response | None:
        state.asked.append(request.path)
        if state.wait is not None:
            state.wait.wait(30)
        if state.drip:
            return Response((time.sleep(0.5) or b" " for _ in range(60)), mimetype="application/json")
        return None

    @app.get("/.well-known/openid-configuration")
    def configuration() -> Response:
        return jsonify(
            {
                "issuer": state.issuer,
                "authorization_endpoint": f"{state.issuer}/authorize",
                "token_endpoint": f"{state.issuer}/token",
                "jwks_uri": f"{state.issuer}/keys",
                "userinfo_endpoint": f"{state.issuer}/userinfo",
                **state.metadata,
            }
        )

    @app.get("/keys")
    def keys() -> Response:
        return jsonify({"keys": [state.key.as_dict(private=False)]})

    @app.get("/authorize")
    def authorize() -> Any:
        code = f"code-{len(state.requests)}"
        state.requests[code] = dict(request.args)
        back = {"code": code, "state": request.args["state"]}
        back.update(state.answer)
        back = {name: value for name, value in back.items() if value is not None}
        return redirect(f"{request.args['redirect_uri']}?{urlencode(back)}")

    @app.post("/token")
    def token() -> Any:
        state.forms.append({**request.form, "authorization": request.headers.get("Authorization", "")})
        claims = {**state.right_claims(state.requests[request.form["code"]]["nonce"]), **state.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        made = (state.forge or state.sign)(claims)
        state.tokens.append(made)
        return jsonify({"access_token": "access", "token_type": "Bearer", "expires_in": 300, "id_token": made})

    @app.get("/userinfo")
    def userinfo() -> Any:
        if request.headers.get("Authorization") != "Bearer access":
            return "", 401
        return jsonify({"sub": "subject-1", **state.userinfo})

    return app


@contextmanager
def running(state: Misbehaving) -> Iterator[Misbehaving]:
    """The provider on a free loopback port."""
    server = make_server("127.0.0.1", 0, app_of(state), threaded=True, request_handler=_Quiet)
    server.daemon_threads = True  # type: ignore[attr-defined]
    state.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def leave(browser: Browser, key: str = "hospital", **options: Any) -> str:
    """Press a provider's button; the address that the browser is sent to."""
    page = browser.post(f"/sign-in/with/{key}", **options)
    assert page.status_code == 200, page.text
    return address_on(page)


def address_on(page: TestResponse) -> str:
    """Where the page between the sites leads."""
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert found
    return html.unescape(found[1])


def visit(url: str) -> str:
    """Be at the provider, which agrees at once; the path and query of the way back."""
    answer = requests.get(url, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def asked_for(url: str) -> dict[str, str]:
    """The parameters of a request to the provider."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def sign_in(browser: Browser, key: str = "hospital", **options: Any) -> TestResponse:
    """The whole way there and back."""
    return browser.get(visit(leave(browser, key, **options)))
