"""From a domain error to HTTP: one table, two shapes (page and problem+json), and nothing of what went wrong inside."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, jsonify, redirect, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from app import errors, logs
from app.db import db
from app.web import guard, proofs
from app.web.forms import safe_next
from app.web.sessions import DatabaseSessions, signed_in_session

log = logging.getLogger(__name__)

STATUS: dict[type[errors.VignetteError], int] = {
    errors.NotFound: 404,
    errors.Forbidden: 403,
    errors.NotSignedIn: 401,
    errors.TooLarge: 413,
    errors.Invalid: 400,
    errors.RejectedMedia: 400,
    errors.Conflict: 409,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
}
TITLES = {
    400: "There is a problem with the request",
    401: "Not signed in",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}
CSRF_SENTENCE = "This form is no longer valid, because it was open for a long time or you signed in elsewhere. Go back, reload the page and try again."


def status_of(error: errors.VignetteError) -> int:
    """The status of a domain error, by the nearest class in the table."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def wants_json() -> bool:
    """Whether the answer goes to a program: everything under /api/ does."""
    return request.path.startswith("/api/")


def problem(status: int, detail: str, code: str, fields: dict[str, str] | None = None) -> Response:
    """An application/problem+json answer (RFC 9457)."""
    body: dict[str, Any] = {
        "type": f"urn:vignette:problem:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
    }
    if fields:
        body["errors"] = fields
    response = jsonify(body)
    response.status_code = status
    response.content_type = "application/problem+json"
    return response


def error_page(status: int, sentence: str = "") -> Response:
    """The page of an error; what it says depends on the status and the sentence alone."""
    return Response(
        render_template("errors/error.html", status=status, sentence=sentence), status, mimetype="text/html"
    )


def _session_is_over() -> bool:
    """Whether the browser still holds the cookie of a session that has ended."""
    interface = current_app.session_interface
    held = isinstance(interface, DatabaseSessions) and interface.cookie in request.cookies
    return held and signed_in_session() is None


def _answer(status: int, sentence: str, code: str, fields: dict[str, str] | None = None) -> Response:
    if wants_json():
        return problem(status, sentence, code, fields)
    return error_page(status, "" if status in (403, 404) else sentence)


def init_errors(app: Flask) -> None:
    """Register the handlers."""

    @app.errorhandler(errors.VignetteError)
    def domain_error(error: errors.VignetteError) -> Any:
        db.session.rollback()
        status = status_of(error)
        if isinstance(error, errors.NotSignedIn) and not wants_json() and not guard.uses_token():
            if request.path.startswith("/embed/"):
                return error_page(404)
            return redirect(
                url_for("auth.sign_in", next=request.full_path.rstrip("?") if request.method == "GET" else None)
            )
        if status == 500:
            log.error("domain-error", exc_info=error)
        if isinstance(error, errors.ProofNeeded) and not wants_json():
            return proofs.lead()
        response = _answer(status, str(error), error.code, getattr(error, "fields", None))
        if isinstance(error, errors.TooManyRequests):
            response.headers["Retry-After"] = str(error.retry_after)
        if status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="vignette"'
        return response

    @app.errorhandler(CSRFError)
    def csrf_error(_error: CSRFError) -> Any:
        db.session.rollback()
        if not wants_json() and _session_is_over():
            # what was typed is kept by the page's script, and put back there when the same person has signed in again
            page = urlsplit(request.referrer or "")
            back = f"{page.path}?{page.query}" if page.query else page.path
            return redirect(url_for("auth.sign_in", next=safe_next(back)))
        return _answer(400, CSRF_SENTENCE, "csrf")

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Any:
        db.session.rollback()
        status = error.code or 500
        if status < 400:
            return error
        response = _answer(
            status, "" if not wants_json() else (error.description or ""), error.name.lower().replace(" ", "-")
        )
        if status == 405:
            response.headers["Allow"] = ", ".join(getattr(error, "valid_methods", None) or [])
        return response

    @app.errorhandler(OperationalError)
    def database_error(error: OperationalError) -> Any:
        db.session.rollback()
        logs.event(log, "database-unavailable", logging.ERROR, code=type(error.orig).__name__)
        return _answer(
            503, "The database does not answer. Nothing that was saved is lost; try again in a minute.", "unavailable"
        )

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Any:
        db.session.rollback()
        log.error("unexpected", exc_info=error, extra={"fields": {"request_id": g.get("request_id", "")}})
        return _answer(500, "", "internal")
