"""Training materials: the list, the page that a session is run from, and the builder."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import SelectField, StringField, TextAreaField
from wtforms.validators import Length

from app import clock
from app.access import Action, policy
from app.db import db
from app.db.materials import Material, MaterialItemKind
from app.domain import materials
from app.errors import Invalid
from app.web import guard, players
from app.web.forms import Form, text_field

bp = Blueprint("materials", __name__, url_prefix="/materials")


class MaterialForm(Form):
    """The words at the top."""

    title = text_field("Title", most=200, required="Enter a title")
    introduction = TextAreaField(
        "Introduction (optional)",
        [Length(max=10_000, message="Introduction must be 10,000 characters or fewer")],
        description="What the session is for and how to use it. Leave a blank line between paragraphs.",
    )


class ClipForm(Form):
    """A recording, whole or a part of it."""

    recording = SelectField("Recording", choices=[])
    start = StringField("Start (optional)", description="For example 1:05. Leave empty to start at the beginning.")
    end = StringField("End (optional)", description="For example 2:30. Leave empty to play to the end.")


class NoteForm(Form):
    """Text between clips."""

    text = TextAreaField(
        "Text", [Length(max=10_000)], description="A prompt, a question or an explanation. Blank lines part paragraphs."
    )


class HostForm(Form):
    """A host that may show the material in a frame."""

    host = StringField("Host", [Length(max=253)], description="For example learning.example.org")


@bp.get("/")
@guard.can(Action.OWN_ACCOUNT)
def index() -> Any:
    """The materials that the actor may see."""
    who = guard.actor()
    return render_template(
        "pages/materials/index.html",
        materials=materials.visible(db.session(), who),
        may_create=policy.can(who, Action.MATERIAL_CREATE),
    )


@bp.route("/new", methods=["GET", "POST"])
@guard.can(Action.MATERIAL_CREATE)
def new() -> Any:
    """A new material."""
    form = MaterialForm()
    if request.method == "POST":
        made = form.attempt(
            lambda: materials.create(
                db.session(), guard.actor(), title=form.title.data or "", introduction=form.introduction.data or ""
            )
        )
        if made is not None:
            return redirect(url_for("materials.edit", material_id=made.id))
    errors = form.sentences()
    return render_template("pages/materials/new.html", form=form, errors=errors), 400 if errors else 200


@bp.get("/<uuid:material_id>")
@guard.on(Action.MATERIAL_VIEW, Material)
def show(material: Material) -> Any:
    """The page that people see."""
    may_edit = policy.allows(db.session(), guard.actor(), Action.MATERIAL_EDIT, material.id, clock.now())
    return render_template("pages/materials/show.html", material=material, parts=parts_of(material), may_edit=may_edit)


def parts_of(material: Material, *, embed: bool = False) -> list[dict[str, Any]]:
    """What the templates draw: notes, and clips with their player. A clip that the actor may not watch is left out
    with a word; that happens only to makers, since everybody else must be able to watch all of them."""
    session, who, now = db.session(), guard.actor(), clock.now()
    parts: list[dict[str, Any]] = []
    for item in material.items:
        if item.kind is MaterialItemKind.NOTE:
            parts.append({"kind": "note", "item": item})
            continue
        recording = item.recording
        may = recording is not None and policy.allows(session, who, Action.RECORDING_VIEW, recording.id, now)
        player = (
            players.player_of(
                recording,
                id=f"clip-{item.position + 1}",
                start=(item.start_ms or 0) / 1000,
                end=item.end_ms / 1000 if item.end_ms else None,
                embed=embed,
            )
            if may and recording is not None and recording.watchable_at is not None
            else None
        )
        parts.append({"kind": "clip", "item": item, "recording": recording if may else None, "player": player})
    return parts


@bp.get("/<uuid:material_id>/edit")
@guard.on(Action.MATERIAL_EDIT, Material)
def edit(material: Material) -> Any:
    """The builder."""
    return _builder(material)


def _builder(material: Material, **forms: Form) -> Any:
    session, who = db.session(), guard.actor()
    words = forms.get("words") or MaterialForm(formdata=None, obj=material)
    clip, note = forms.get("clip") or ClipForm(formdata=None), forms.get("note") or NoteForm(formdata=None)
    host = forms.get("host") or HostForm(formdata=None)
    clip.recording.choices = [
        (str(r.id), f"{r.title} ({r.case.title})") for r in materials.recordings_to_choose(session, who)
    ]
    errors = {name: sentence for form in (words, clip, note, host) for name, sentence in form.sentences().items()}
    base = guard.core().settings.base_url
    page = render_template(
        "pages/materials/edit.html",
        material=material,
        words=words,
        clip=clip,
        note=note,
        host=host,
        errors=errors,
        audiences=materials.audiences(session, material),
        share_link=base + url_for("materials.show", material_id=material.id),
        frame=f'<iframe src="{base}{url_for("embed.material", material_id=material.id)}" title="{{}}" width="100%" '
        'height="720" allow="fullscreen" loading="lazy"></iframe>',
    )
    return page, 400 if errors else 200


def _back(material: Material) -> Any:
    return redirect(url_for("materials.edit", material_id=material.id))


@bp.post("/<uuid:material_id>/words")
@guard.on(Action.MATERIAL_EDIT, Material)
def save_words(material: Material) -> Any:
    """Save title and introduction."""
    form = MaterialForm()

    def act() -> bool:
        materials.edit(
            db.session(),
            guard.actor(),
            material,
            title=form.title.data or "",
            introduction=form.introduction.data or "",
        )
        return True

    if not form.attempt(act):
        return _builder(material, words=form)
    flash("Saved.", "success")
    return _back(material)


@bp.post("/<uuid:material_id>/clips")
@guard.on(Action.MATERIAL_EDIT, Material)
def add_clip(material: Material) -> Any:
    """Add a clip at the end."""
    form = ClipForm()
    form.recording.choices = [(str(r.id), r.title) for r in materials.recordings_to_choose(db.session(), guard.actor())]
    added = form.attempt(
        lambda: materials.add_clip(
            db.session(),
            guard.actor(),
            material,
            uuid.UUID(form.recording.data),
            start_ms=materials.parse_clock(form.start.data or "", "start"),
            end_ms=materials.parse_clock(form.end.data or "", "end"),
        )
    )
    if added is None:
        return _builder(material, clip=form)
    flash("The recording has been added.", "success")
    return _back(material)


@bp.post("/<uuid:material_id>/notes")
@guard.on(Action.MATERIAL_EDIT, Material)
def add_note(material: Material) -> Any:
    """Add text at the end."""
    form = NoteForm()
    if form.attempt(lambda: materials.add_note(db.session(), guard.actor(), material, form.text.data or "")) is None:
        return _builder(material, note=form)
    flash("The text has been added.", "success")
    return _back(material)


@bp.post("/<uuid:material_id>/items/<uuid:item_id>/<any(up, down, remove):act>")
@guard.on(Action.MATERIAL_EDIT, Material)
def change_item(material: Material, item_id: uuid.UUID, act: str) -> Any:
    """Move a part up or down, or take it out."""
    session, who = db.session(), guard.actor()
    order = [item.id for item in material.items]
    if act == "remove":
        materials.remove(session, who, material, item_id)
        flash("The part has been taken out.", "success")
    elif item_id in order:
        materials.move(session, who, material, item_id, to=order.index(item_id) + (1 if act == "down" else -1))
    return _back(material)


@bp.post("/<uuid:material_id>/<any(publish, unpublish):act>")
@guard.on(Action.MATERIAL_EDIT, Material)
def set_published(material: Material, act: str) -> Any:
    """Publish, or show it to its makers only."""
    if act == "publish":
        materials.publish(db.session(), guard.actor(), material)
        flash("Published. Everybody who may watch all its recordings can see it.", "success")
    else:
        materials.unpublish(db.session(), guard.actor(), material)
        flash("Only its makers can see it now.", "success")
    return _back(material)


@bp.post("/<uuid:material_id>/delete")
@guard.on(Action.MATERIAL_EDIT, Material)
def delete(material: Material) -> Any:
    """Remove the material."""
    title = material.title
    materials.delete(db.session(), guard.actor(), material)
    flash(f"{title} has been deleted. Its recordings stay.", "success")
    return redirect(url_for("materials.index"))


@bp.post("/<uuid:material_id>/hosts")
@guard.on(Action.MATERIAL_EDIT, Material)
def allow_host(material: Material) -> Any:
    """Let a host show it in a frame."""
    form = HostForm()

    def act() -> bool:
        materials.allow_host(db.session(), guard.actor(), material, form.host.data or "")
        return True

    if not form.attempt(act):
        return _builder(material, host=form)
    flash("Pages of this host can show the material now.", "success")
    return _back(material)


@bp.post("/<uuid:material_id>/hosts/forbid")
@guard.on(Action.MATERIAL_EDIT, Material)
def forbid_host(material: Material) -> Any:
    """Stop a host from showing it."""
    host = request.form.get("host", "")
    if not host:
        raise Invalid("Say which host.")
    materials.forbid_host(db.session(), guard.actor(), material, host)
    flash(f"Pages of {host} can no longer show it.", "success")
    return _back(material)
