"""A small application that shows the layout and every component with made-up content."""

from __future__ import annotations

import secrets
from datetime import date
from pathlib import Path
from typing import Any

from flask import Flask, Response, flash, g, jsonify, render_template, request, send_from_directory

from app.settings import Brand
from app.web.assets import init_templates
from tests.frontend.media import CUES
from tests.frontend.stub_uploads import add_stub_uploads

CSP = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)

NAVIGATION = [
    {"text": "Home", "href": "/"},
    {"text": "Library", "href": "/library", "current": True},
    {"text": "My recordings", "href": "/mine"},
    {"text": "Materials", "href": "/materials"},
    {"text": "People and places", "href": "/people"},
    {"text": "Audit", "href": "/audit"},
]

STAGES = [
    {"name": "probe", "title": "Check the file", "state": "done"},
    {"name": "transcode", "title": "Make it playable on every device", "state": "running"},
    {"name": "transcribe", "title": "Write captions", "state": "queued"},
    {"name": "package", "title": "Put it together", "state": "queued"},
]

RECORDINGS = [
    {
        "title": "Talking about a missed diagnosis with an upset relative",
        "href": "/recordings/1",
        "poster": "/poster.svg",
        "duration": 751,
        "case": "Delayed escalation of sepsis on a surgical ward",
        "recorded": date(2026, 11, 3),
        "captions": "automatic",
        "watched": 0.4,
        "hits": [
            {
                "at": 751,
                "href": "/recordings/1?t=751",
                "parts": [
                    {"text": "I am so "},
                    {"text": "sorry", "match": True},
                    {"text": " that nobody told you <b>"},
                ],
            }
        ],
    },
    {"title": "Handover at shift change", "href": "/recordings/2", "duration": 65, "state": "processing"},
]


def make_app(brand: Brand = "plain", folder: Path | None = None) -> Flask:
    """The harness; pages are in tests/frontend/pages."""
    app = Flask("tests.frontend.harness")
    app.secret_key = secrets.token_hex()
    init_templates(app, brand=brand, organisation_name="Northmoor Teaching Hospitals")
    pages = Path(__file__).parent / "pages"
    app.jinja_env.loader.loaders.append(app.jinja_env.loader.loaders[0].__class__(pages))  # type: ignore[union-attr]
    app.jinja_env.globals["csrf_token"] = lambda: "token-for-tests"

    @app.before_request
    def nonce() -> None:
        g.nonce = secrets.token_urlsafe(16)

    @app.context_processor
    def context() -> dict[str, Any]:
        return {
            "csp_nonce": g.get("nonce", ""),
            "navigation": NAVIGATION,
            "account": {"text": "Sam Example", "href": "/account", "sign_out": "/sign-out"},
            "session_ends": request.args.get("session_ends", ""),
        }

    @app.after_request
    def policy(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CSP.format(nonce=g.nonce)
        return response

    @app.get("/page/<name>")
    def page(name: str) -> str:
        if name == "flash":
            flash("Your changes were saved.", "success")
            flash("Two recordings are waiting for consent.")
        errors = {"title": "Enter a title", "clear": "Select how clear the explanation was"} if name == "errors" else {}
        return render_template(f"{name}.html", stages=STAGES, recordings=RECORDINGS, errors=errors)

    @app.get("/error/<int:status>")
    def error(status: int) -> tuple[str, int]:
        return render_template("errors/error.html", status=status, request_id=request.args.get("id", "")), status

    _add_watch(app, folder)
    app.extensions["uploads"] = add_stub_uploads(app)
    app.extensions["recording"] = {"state": "processing", "progress": 0.05, "stages": STAGES}

    @app.get("/api/v1/recordings/1")
    def recording() -> Response:
        return jsonify(app.extensions["recording"])

    @app.post("/api/v1/session")
    def session() -> Response:
        return jsonify({"ends": "2099-01-01T00:00:00Z"})

    @app.get("/poster.svg")
    def poster() -> Response:
        shape = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><rect width="16" height="9" fill="#425563"/></svg>'
        return Response(shape, mimetype="image/svg+xml")

    return app


def _add_watch(app: Flask, folder: Path | None) -> None:
    """A watch page over the media in `folder`. `app.config` steers it: MEDIA_STATUS answers that status for media."""
    app.config.update(MEDIA_STATUS=200, PLAYLIST_STATUS=200)
    app.extensions["positions"] = []

    @app.get("/watch")
    def watch() -> str:
        asked = request.args
        recording: dict[str, Any] = {
            "id": "player",
            "title": "Talking about a missed diagnosis",
            "mp4": "/media/small.mp4",
            "playlist": "" if "mp4" in asked else "/media/master.m3u8",
            "poster": "/media/poster.jpg",
            "captions": [{"src": "/media/captions.vtt", "lang": "en-GB", "label": "English"}],
            "captions_note": "Automatic captions, not yet checked",
            "storyboard": "/media/storyboard.json",
            "position": "/position",
            "start": float(asked.get("t", "0")),
            "end": float(asked["end"]) if "end" in asked else None,
            "watermark": "Sam Example · sam@example.org",
            "chapters": [{"start": 0, "title": "Greeting"}, {"start": 6.5, "title": "Apology"}],
        }
        cues = [{"start": s, "end": e, "text": text} for s, e, text in CUES]
        return render_template("watch.html", recording=recording, cues=cues, embed="embed" in asked, hide_heading=True)

    @app.get("/media/<path:name>")
    def media(name: str) -> Response:
        kind = "PLAYLIST_STATUS" if name.endswith(".m3u8") else "MEDIA_STATUS"
        if app.config[kind] != 200 and name.endswith((".m3u8", ".mp4")):
            return Response("refused", app.config[kind])
        types = {"m3u8": "application/vnd.apple.mpegurl", "vtt": "text/vtt"}
        assert folder is not None
        return send_from_directory(folder, name, mimetype=types.get(name.rpartition(".")[2]), conditional=True)

    @app.post("/position")
    def position() -> tuple[str, int]:
        assert request.headers["X-CSRF-Token"] == "token-for-tests"
        app.extensions["positions"].append(request.get_json()["seconds"])
        return "", 204
