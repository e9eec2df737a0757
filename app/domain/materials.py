"""Training materials: making, ordering and publishing them, and the hosts that may show them in a frame."""

from __future__ import annotations

import re
import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from app import clock
from app.access import Action, Actor, policy
from app.access.rules import grant_in_force
from app.db.grants import Grant
from app.db.materials import EmbedHost, Material, MaterialItem, MaterialItemKind
from app.db.recordings import Recording
from app.domain import audit
from app.domain.places import home_of
from app.errors import Conflict, Invalid

MOST_ITEMS = 100
MOST_HOSTS = 20
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:\d{1,5})?")
_CLOCK = re.compile(r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2})(?:\.(\d{1,3}))?")


def parse_clock(text: str, field: str) -> int | None:
    """Milliseconds of a time typed as `1:05`, `1:02:03`, `65:00` or plain seconds; None when empty.

    Raises:
        Invalid: it is none of these.
    """
    text = text.strip()
    if not text:
        return None
    sentence = "Time must be minutes and seconds, like 1:05"
    if re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text):
        return round(float(text) * 1000)
    found = _CLOCK.fullmatch(text)
    if found is None or int(found[3]) > 59 or (found[1] is not None and int(found[2]) > 59):
        raise Invalid(sentence, fields={field: sentence})
    hours, minutes, seconds, fraction = int(found[1] or 0), int(found[2]), int(found[3]), (found[4] or "").ljust(3, "0")
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + int(fraction)


def create(session: Session, actor: Actor, *, title: str, introduction: str = "") -> Material:
    """A new, unpublished material of the actor's own place.

    Raises:
        Forbidden: the actor makes no materials.
        Invalid: it has no title.
    """
    policy.require_capability(actor, Action.MATERIAL_CREATE)
    material = Material(
        title=_title(title),
        introduction=introduction.strip(),
        owner_id=actor.person_id,
        **home_of(session, actor).columns(),
    )
    session.add(material)
    session.flush()
    audit.record(session, actor, "material:create", "material", material.id)
    return material


def edit(session: Session, actor: Actor, material: Material, *, title: str, introduction: str) -> None:
    """Change the words at the top.

    Raises:
        Invalid: the title is empty.
    """
    material.title, material.introduction = _title(title), introduction.strip()
    audit.record(session, actor, "material:edit", "material", material.id)


def _title(title: str) -> str:
    if not title.strip():
        raise Invalid("Enter a title", fields={"title": "Enter a title"})
    return title.strip()


def visible(session: Session, actor: Actor) -> list[Material]:
    """The materials that the actor may see, newest first."""
    query = policy.visible(actor, Action.MATERIAL_VIEW, clock.now()).options(
        selectinload(Material.items), joinedload(Material.owner)
    )
    return list(session.scalars(query.order_by(Material.created_at.desc(), Material.id).limit(200)))


def recordings_to_choose(session: Session, actor: Actor) -> list[Recording]:
    """The recordings that the actor could put into a material: those that they may watch, by title."""
    query = policy.visible(actor, Action.RECORDING_VIEW, clock.now()).where(Recording.watchable_at.is_not(None))
    return list(session.scalars(query.options(joinedload(Recording.case)).order_by(Recording.title).limit(500)))


def add_note(session: Session, actor: Actor, material: Material, text: str) -> MaterialItem:
    """Add text at the end.

    Raises:
        Invalid: it is empty, too long, or the material is full.
    """
    if not text.strip() or len(text) > 10_000:
        sentence = "Enter the text" if not text.strip() else "Text must be 10,000 characters or fewer"
        raise Invalid(sentence, fields={"text": sentence})
    return _append(session, actor, material, MaterialItem(kind=MaterialItemKind.NOTE, text=text.strip()))


def add_clip(
    session: Session,
    actor: Actor,
    material: Material,
    recording_id: uuid.UUID,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> MaterialItem:
    """Add a recording, whole or from `start_ms` to `end_ms`, at the end.

    Raises:
        NotFound: the actor may not watch the recording.
        Invalid: the times are not in it, or the wrong way round.
    """
    recording = policy.require(session, actor, Action.RECORDING_VIEW, Recording, recording_id, clock.now())
    length = recording.duration_ms
    if length is not None and start_ms is not None and start_ms >= length:
        raise Invalid(
            "Start must be before the recording ends", fields={"start": "Start must be before the recording ends"}
        )
    if end_ms is not None and end_ms <= (start_ms or 0):
        raise Invalid("End must be after the start", fields={"end": "End must be after the start"})
    if length is not None and end_ms is not None and end_ms > length:
        end_ms = length
    item = MaterialItem(kind=MaterialItemKind.CLIP, recording_id=recording.id, start_ms=start_ms, end_ms=end_ms)
    return _append(session, actor, material, item)


def _append(session: Session, actor: Actor, material: Material, item: MaterialItem) -> MaterialItem:
    if len(material.items) >= MOST_ITEMS:
        raise Invalid(f"A material can have {MOST_ITEMS} parts at most. Split it into two.")
    item.position = max((held.position for held in material.items), default=-1) + 1
    material.items.append(item)
    session.flush()
    audit.record(session, actor, "material:add", "material", material.id, item=str(item.id), kind=item.kind.value)
    return item


def remove(session: Session, actor: Actor, material: Material, item_id: uuid.UUID) -> None:
    """Take a part out; one that is gone already is no error."""
    item = next((held for held in material.items if held.id == item_id), None)
    if item is not None:
        material.items.remove(item)
        _renumber(material)
        audit.record(session, actor, "material:remove", "material", material.id, item=str(item_id))


def move(session: Session, actor: Actor, material: Material, item_id: uuid.UUID, *, to: int) -> None:
    """Move a part to another place, counted from 0; beyond either end means that end."""
    item = next((held for held in material.items if held.id == item_id), None)
    if item is None:
        return
    ordered = [held for held in material.items if held is not item]
    ordered.insert(max(0, min(to, len(ordered))), item)
    for position, held in enumerate(ordered):
        held.position = position
    session.flush()
    session.expire(material, ["items"])
    audit.record(session, actor, "material:move", "material", material.id, item=str(item_id))


def _renumber(material: Material) -> None:
    for position, held in enumerate(material.items):
        held.position = position


def publish(session: Session, actor: Actor, material: Material) -> None:
    """Let everybody see it who may watch every clip in it.

    Raises:
        Conflict: there is no clip in it.
    """
    if not any(item.kind is MaterialItemKind.CLIP for item in material.items):
        raise Conflict("Add at least one recording before you publish.")
    material.published_at = material.published_at or clock.now()
    audit.record(session, actor, "material:publish", "material", material.id)


def unpublish(session: Session, actor: Actor, material: Material) -> None:
    """Show it to its makers only."""
    material.published_at = None
    audit.record(session, actor, "material:unpublish", "material", material.id)


def delete(session: Session, actor: Actor, material: Material) -> None:
    """Remove a material. Its recordings stay."""
    audit.record(session, actor, "material:delete", "material", material.id)
    session.delete(material)
    session.flush()


def allow_host(session: Session, actor: Actor, material: Material, host: str) -> None:
    """Let pages of a host show the material in a frame.

    Raises:
        Invalid: it is no host name.
    """
    host = host.strip().lower().removeprefix("https://").removeprefix("http://").rstrip("/")
    if not _HOST.fullmatch(host) or len(host) > 253:
        sentence = "Enter a host name, like learning.example.org"
        raise Invalid(sentence, fields={"host": sentence})
    if len(material.embed_hosts) >= MOST_HOSTS:
        raise Invalid(f"A material can be shown on {MOST_HOSTS} hosts at most.", fields={"host": "Remove a host first"})
    if host not in {held.host for held in material.embed_hosts}:
        material.embed_hosts.append(EmbedHost(host=host))
        audit.record(session, actor, "material:allow-host", "material", material.id, host=host)
        session.flush()


def forbid_host(session: Session, actor: Actor, material: Material, host: str) -> None:
    """Stop pages of a host from showing the material."""
    held = next((held for held in material.embed_hosts if held.host == host), None)
    if held is not None:
        material.embed_hosts.remove(held)
        audit.record(session, actor, "material:forbid-host", "material", material.id, host=host)


def frame_ancestors(material: Material) -> str:
    """The hosts as a content security policy names them. A host without https is allowed on this machine only."""
    sources = [
        f"http://{held.host}" if held.host.partition(":")[0] in ("localhost", "127.0.0.1") else f"https://{held.host}"
        for held in material.embed_hosts
    ]
    return " ".join(["'self'", *sources]) if sources else "'none'"


def audiences(session: Session, material: Material) -> dict[uuid.UUID, list[str]]:
    """Who each recording of the material is shared with now, in words, for its makers to see what would be missing."""
    ids = [item.recording_id for item in material.items if item.recording_id is not None]
    found: dict[uuid.UUID, list[str]] = {recording_id: [] for recording_id in ids}
    query = (
        select(Grant)
        .where(Grant.recording_id.in_(ids), grant_in_force(clock.now()))
        .options(
            joinedload(Grant.area), joinedload(Grant.organisation), joinedload(Grant.group), joinedload(Grant.person)
        )
        .order_by(Grant.created_at)
    )
    for grant in session.scalars(query):
        if grant.recording_id is not None:
            found[grant.recording_id].append(grant.audience_name)
    return found
