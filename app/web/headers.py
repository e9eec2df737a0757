"""What every answer carries: a strict content security policy, no caching of what is private, a request id."""

from __future__ import annotations

import logging
import re
import secrets
import time
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from app import logs
from app.core import Core

log = logging.getLogger("app.web.requests")
#: Pages of the window in which a frame's viewer signs in: it must still know the frame that opened it.
KEEPS_OPENER = frozenset({"embed.allow_frame", "auth.sign_in", "openid.start", "openid.finish"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def content_security_policy(media_origin: str, frame_ancestors: str = "'none'") -> str:
    """The policy of a page. `media_origin` is where S3 answers browsers (uploads and redirected segments)."""
    media = f" {media_origin}" if media_origin else ""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' blob: data:{media}",
            f"media-src 'self' blob:{media}",
            f"connect-src 'self'{media}",
            "font-src 'self'",
            "worker-src 'self'",
            "manifest-src 'self'",
            f"frame-ancestors {frame_ancestors}",
            "base-uri 'none'",
            "form-action 'self'",
        ]
    )


def origin_of(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def init_headers(app: Flask, core: Core) -> None:
    """Register what runs around every request."""
    media_origin = origin_of(core.storage.public_endpoint)

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        g.started = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        headers = response.headers
        headers.setdefault(
            "Content-Security-Policy", content_security_policy(media_origin, g.get("frame_ancestors", "'none'"))
        )
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), interest-cohort=()"
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if "frame_ancestors" not in g:
            headers["Cross-Origin-Opener-Policy"] = "unsafe-none" if request.endpoint in KEEPS_OPENER else "same-origin"
            headers["X-Frame-Options"] = "DENY"
        if core.settings.secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        if request.endpoint != "static":
            headers.setdefault("Cache-Control", "private, no-store")
        headers["X-Request-Id"] = g.get("request_id", "")
        if request.endpoint != "static":
            logs.event(
                log,
                "request",
                request_id=g.get("request_id", ""),
                method=request.method,
                route=str(request.url_rule) if request.url_rule else "-",
                status=response.status_code,
                milliseconds=round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 1),
                person_id=str(g.actor.person_id) if "actor" in g and g.actor.person_id else "",
            )
        return response
