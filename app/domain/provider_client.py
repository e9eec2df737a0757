"""Asking an OpenID provider: its description, its keys, and the tokens for a code. Every call has an end: so many
seconds, so many bytes, so many at once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc.jwk import KeySet
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from app import clock
from app.domain import openid, secrets
from app.domain.openid import Metadata, Refused
from app.domain.providers import Provider, is_loopback

#: Seconds to connect, and between two bytes.
TIMEOUT = (3.0, 4.0)
#: Seconds that one whole answer may take.
MOST_SECONDS = 6.0
MOST_BYTES = 512 * 1024
#: How long a description and its keys are believed; a token that names an unknown key has the keys asked for again.
KEPT_FOR = timedelta(minutes=10)
#: How long nobody asks a provider that did not answer, so that it does not hold up people who wait behind each other.
SILENT_FOR = timedelta(seconds=10)
MOST_AT_ONCE = 4


class _Bounded(HTTPAdapter):
    """Reads an answer whole, but no longer and no more than allowed: a time-out alone starts anew with every byte."""

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        """As HTTPAdapter.send.

        Raises:
            requests.exceptions.ConnectionError: the answer is too slow or too large.
        """
        started = time.monotonic()
        options["stream"] = True
        response = super().send(request, *args, **options)
        body = bytearray()
        try:
            while chunk := response.raw.read1(16 * 1024, decode_content=True):
                body += chunk
                if len(body) > MOST_BYTES or time.monotonic() - started > MOST_SECONDS:
                    raise requests.exceptions.ConnectionError("too slow or too large")
        except HTTPError as error:
            raise requests.exceptions.ConnectionError("broken off") from error
        finally:
            response.raw.close()
        response._content = bytes(body)
        response._content_consumed = True  # type: ignore[attr-defined]
        return response


@dataclass(frozen=True)
class Request:
    """Where to send a browser, and what to remember until it comes back."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Account:
    """Who came back: the claims that were checked, and whether the provider vouches for a second factor."""

    subject: str
    claims: dict[str, Any]
    second_factor: bool


@dataclass
class _Kept:
    metadata: Metadata | None = None
    keys: KeySet | None = None
    until: datetime | None = None
    silent_until: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """One provider, as this process knows it. Safe to use from many threads."""

    def __init__(self, provider: Provider, redirect_uri: str) -> None:
        self.provider = provider
        self.redirect_uri = redirect_uri
        self._kept = _Kept()
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def request(self) -> Request:
        """A fresh request for signing in: code flow with state, nonce and PKCE (S256).

        Raises:
            Refused: the provider does not answer, or describes itself wrongly.
        """
        metadata = self._metadata()
        state, nonce, verifier = secrets.new(), secrets.new(), secrets.new()
        extra = {"acr_values": self.provider.acr_values} if self.provider.acr_values else {}
        with self._session(metadata) as session:
            url, _ = session.create_authorization_url(
                metadata.authorization_endpoint, state=state, code_verifier=verifier, nonce=nonce, **extra
            )
        return Request(url, state, nonce, verifier)

    def account(self, *, code: str, nonce: str, verifier: str, named_issuer: str | None) -> Account:
        """The account for a code, which is used up by this.

        Args:
            named_issuer: what the callback says in `iss`, if anything.
        Raises:
            Refused: with the reason.
        """
        metadata = self._metadata()
        openid.check_issuer_named(self.provider, metadata, named_issuer)
        with self._session(metadata) as session, self._asking():
            try:
                tokens = session.fetch_token(
                    metadata.token_endpoint, grant_type="authorization_code", code=code, code_verifier=verifier,
                    timeout=TIMEOUT, allow_redirects=False,
                )  # fmt: skip
            except (OAuthError, ValueError, TypeError, KeyError) as error:
                raise Refused("code") from error
            access_token = str(tokens.get("access_token") or "")
            id_token = tokens.get("id_token")
            keys = self._keys(metadata)
            if isinstance(id_token, str) and not openid.knows_key(keys, id_token):
                keys = self._keys(metadata, again=True)
            signed = openid.read_id_token(
                self.provider, id_token, keys, nonce=nonce, now=clock.now(), access_token=access_token
            )
            claims = signed
            if self.provider.userinfo:
                claims = openid.with_userinfo(signed, self._get(metadata.userinfo_endpoint, bearer=access_token))
        return Account(signed["sub"], claims, openid.vouches_for_second_factor(self.provider, signed))

    # -- asking --------------------------------------------------------------------------------------------------

    @contextmanager
    def _session(self, metadata: Metadata | None = None) -> Iterator[OAuth2Session]:
        with OAuth2Session(
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret,
            scope=" ".join(self.provider.scopes),
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method=metadata.token_auth if metadata is not None else None,
        ) as session:
            session.mount("http://", _Bounded(max_retries=0))
            session.mount("https://", _Bounded(max_retries=0))
            # a proxy of the environment leads out of the machine
            session.trust_env = not is_loopback(self.provider.issuer)
            yield session

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """One of the few places for waiting on this provider; others are told at once that it does not answer."""
        silent_until = self._kept.silent_until
        if (silent_until is not None and silent_until > clock.now()) or not self._places.acquire(timeout=1):
            raise Refused("provider-down")
        try:
            yield
        except requests.exceptions.RequestException as error:
            self._kept.silent_until = clock.now() + SILENT_FOR
            raise Refused("provider-down") from error
        finally:
            self._places.release()

    def _get(self, url: str, *, bearer: str = "") -> Any:
        """The JSON at an address of the provider; inside `_asking` only."""
        headers = {"Accept": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
        with self._session() as session:
            answer = session.request(
                "GET", url, headers=headers, timeout=TIMEOUT, allow_redirects=False, withhold_token=True
            )
        if answer.status_code >= 500:
            raise requests.exceptions.ConnectionError("the provider fails")
        try:
            if answer.status_code == 200:
                return json.loads(answer.content)
        except ValueError as error:
            raise Refused("provider-answer") from error
        raise Refused("provider-answer")

    def _metadata(self) -> Metadata:
        kept = self._kept
        if kept.metadata is not None and kept.until is not None and kept.until > clock.now():
            return kept.metadata
        with self._asking():
            document = self._get(self.provider.issuer.rstrip("/") + "/.well-known/openid-configuration")
        metadata = openid.read_metadata(self.provider, document)
        with kept.lock:
            kept.metadata, kept.keys, kept.until = metadata, None, clock.now() + KEPT_FOR
        return metadata

    def _keys(self, metadata: Metadata, *, again: bool = False) -> KeySet:
        if self._kept.keys is not None and not again:
            return self._kept.keys
        keys = openid.read_keys(self._get(metadata.jwks_uri))
        with self._kept.lock:
            self._kept.keys = keys
        return keys
