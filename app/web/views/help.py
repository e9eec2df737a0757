"""Pages about the service itself, open to everybody."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from app.domain import vocabulary
from app.web import guard

bp = Blueprint("help", __name__)
PAGES = {
    "/help": "help",
    "/accessibility-statement": "accessibility_statement",
    "/privacy": "privacy",
    "/cookies": "cookies",
}


def _page(template: str) -> Any:
    @guard.public("about the service, nothing of what is in it")
    def view() -> Any:
        guard.actor()
        return render_template(f"pages/help/{template}.html", notice=vocabulary.notice())

    return view


for _path, _name in PAGES.items():
    bp.add_url_rule(_path, _name, _page(_name))
