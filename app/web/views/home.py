"""The start page and health answers."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, url_for

from app.web import guard

bp = Blueprint("home", __name__)


@bp.get("/")
@guard.public("visitors are sent on to sign in")
def index() -> Any:
    """Home."""
    if guard.actor().is_anonymous:
        return redirect(url_for("auth.sign_in"))
    return render_template("pages/home.html")
