"""What of a plan makes results differ, as digests: facts that go into the fingerprints of stages. The planner and whoever
asks what is stale say the same of the same plan."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.cases import Case
from app.db.recordings import Recording
from app.media import ladder
from app.media.probe import Probe
from app.settings import Settings

#: How the work is cut up. Another number of threads or another length of chunks is no reason to do all of it again.
_CUT = ("threads", "chunks")
_SHARED = ("version", "demuxer", "start_seconds")


def spoken_in(session: Session, recording_id: uuid.UUID, settings: Settings) -> tuple[list[str] | None, str]:
    """The words of the recording's case that captions must spell, and the language that they are to be heard in."""
    query = (
        select(Case.glossary, Recording.spoken_language)
        .join(Recording, Recording.case_id == Case.id)
        .where(Recording.id == recording_id)
    )
    glossary, language = session.execute(query).one()
    return glossary, language or settings.caption_language


def digests(
    media: Mapping[str, Any], settings: Settings, glossary: Sequence[str] | None, language: str
) -> dict[str, str]:
    """The facts `plan` (the picture), `sound` and `captions`: SHA-256 each.

    Args:
        media: a plan of `app.media.ladder` as JSON.
    """
    sound = {name: value for name, value in media.items() if name in _SHARED or _is_of_sound(name)}
    picture = {name: value for name, value in media.items() if name not in _CUT and not _is_of_sound(name)}
    captions = [settings.caption_engine, settings.caption_model, language, glossary]
    return {"plan": _digest(picture), "sound": _digest(sound), "captions": _digest(captions)}


def anew(
    plan: Mapping[str, Any], settings: Settings, glossary: Sequence[str] | None, language: str
) -> dict[str, Any] | None:
    """The facts that planning the same source would state now; None when what was measured then is not enough now.

    Args:
        plan: of an earlier run: `facts`, `media` and `probe`.
    """
    try:
        probe, threads = Probe.from_json(plan["probe"]), int(plan["media"]["threads"])
    except (KeyError, TypeError, ValueError):
        return None
    heard = [int(track["index"]) for track in plan["media"].get("sounds", ())] or None
    media = ladder.plan(probe, chunk_seconds=settings.chunk_seconds, threads=threads, sounds=heard).to_json()
    return {**plan["facts"], **digests(media, settings, glossary, language)}


def _is_of_sound(name: str) -> bool:
    return name.startswith(("sound", "audio"))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
