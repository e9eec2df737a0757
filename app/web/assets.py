"""Templates and static files: how pages are put together and how browsers may cache what belongs to them.

A static address carries one hash over all static files, as a path segment: `/static/v-3f9c0a7d21be/js/player.js`.
Because it is a segment and not a query, the relative imports of ES modules and the `url()`s of style sheets stay
inside the same version without rewriting, and every file can be kept by browsers for a year.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, send_from_directory
from jinja2 import ChainableUndefined, ChoiceLoader, FileSystemLoader, PackageLoader

from app.settings import Brand
from app.web import formats

STATIC = Path(__file__).resolve().parent / "static"
VENDOR = STATIC / "vendor"
TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
YEAR_SECONDS = 365 * 24 * 3600

FOOTER = (
    {"text": "Help", "href": "/help"},
    {"text": "Accessibility statement", "href": "/accessibility-statement"},
    {"text": "Privacy", "href": "/privacy"},
    {"text": "Cookies", "href": "/cookies"},
)


@lru_cache(maxsize=1)
def static_version() -> str:
    """Twelve hex digits that change when any static file does. Read once in a process."""
    digest = hashlib.sha256()
    for path in sorted(p for p in STATIC.rglob("*") if p.is_file()):
        digest.update(path.relative_to(STATIC).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def asset(name: str) -> str:
    """Address of a static file, by its path below `static/`.

    Raises:
        FileNotFoundError: a page names a file that is not there; better a failing test than a silent 404.
    """
    if not (STATIC / name).is_file():
        raise FileNotFoundError(f"There is no static file {name!r}.")
    return f"{current_app.static_url_path}/v-{static_version()}/{name}"


def serve_static(filename: str) -> Response:
    """One static file, with or without the version segment.

    An older version's address still answers (a page opened before an upgrade goes on working) but may not be kept.
    """
    version, _, rest = filename.partition("/")
    versioned = version.startswith("v-")
    current = version == f"v-{static_version()}"
    response = send_from_directory(STATIC, rest if versioned else filename, max_age=YEAR_SECONDS if current else None)
    response.cache_control.public = True
    response.cache_control.immutable = current
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def vendored_faults(vendor: Path = VENDOR) -> list[str]:
    """What is wrong with the vendored files, in sentences: changed, missing, or there without being in the lock."""
    lock: dict[str, Any] = json.loads((vendor / "lock.json").read_text())
    listed = {entry["path"]: entry["sha256"] for package in lock["packages"] for entry in package["files"]}
    present = {p.relative_to(vendor).as_posix() for p in vendor.rglob("*") if p.is_file()} - {"lock.json"}
    faults = [f"{name} is not in lock.json." for name in sorted(present - listed.keys())]
    faults += [f"{name} is missing." for name in sorted(listed.keys() - present)]
    for name in sorted(present & listed.keys()):
        if hashlib.sha256((vendor / name).read_bytes()).hexdigest() != listed[name]:
            faults.append(f"{name} differs from lock.json.")
    return faults


def _autoescape(name: str | None) -> bool:
    """Everything is HTML except the plain-text halves of e-mails. The design system's files end in .jinja, which
    Flask by itself would not escape."""
    return name is None or not name.endswith(".txt")


def init_templates(
    app: Flask, *, brand: Brand = "plain", organisation_name: str = "", service_name: str = "Vignette"
) -> None:
    """Give `app` our templates, the NHS.UK macros, filters, static files and what layouts need to know.

    Layouts further read these from the context, all optional: `navigation`, `account`, `csrf_token`, `csp_nonce`,
    `session_ends`, `errors` (see docs/frontend.md).
    """
    environment = app.jinja_env
    environment.loader = ChoiceLoader([FileSystemLoader(TEMPLATES), PackageLoader("nhsuk_frontend_jinja")])
    environment.undefined = ChainableUndefined  # the NHS.UK macros read options of options that nobody passed
    environment.autoescape = _autoescape
    environment.globals["asset"] = asset
    for name in formats.FILTERS:
        environment.filters[name] = formats.FILTERS[name]

    app.static_folder = str(STATIC)
    app.view_functions["static"] = serve_static

    @app.context_processor
    def layout_context() -> dict[str, Any]:
        return {
            "brand": brand,
            "organisation_name": organisation_name,
            "service_name": service_name,
            "footer_links": FOOTER,
        }
