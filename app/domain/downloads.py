"""Downloading a recording: what there is to take away, and writing down who took it and why."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.access import Action, Actor, policy
from app.access.rules import DOWNLOAD_GRANTED
from app.captions import webvtt
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.domain import audit, caption_versions, watching
from app.domain.caption_showing import Shown
from app.errors import Invalid, NotFound

MOST_REASON = 1000


@dataclass(frozen=True)
class Part:
    """One thing to take away: a stored object, or a text that is written on the spot. `size` is in bytes."""

    name: str
    label: str
    filename: str
    artefact: Artefact | None = None
    text: str = ""

    @property
    def size(self) -> int:
        """How large the file is."""
        return self.artefact.size if self.artefact is not None else len(self.text.encode())


def parts(session: Session, recording: Recording, shown: Shown) -> list[Part]:
    """What there is of a recording, the video first: three queries."""
    stored = session.scalars(
        select(Artefact).where(Artefact.recording_id == recording.id, Artefact.kind == ArtefactKind.DOWNLOAD)
    ).all()
    stem = _stem(recording.title)
    found = [Part("video", "Video (MP4)", f"{stem}.mp4", row) for row in stored]
    tracks = [track for track in watching.captions(session, recording.id, shown) if track.cues]
    for track in tracks:
        label = f"Captions (WebVTT, {track.language})"
        text = caption_versions.as_file(
            track.language, [caption_versions.built(c) for c in track.cues], checked=track.checked
        )
        found.append(Part(f"captions-{track.language}", label, f"{stem}.{track.language}.vtt", text=text))
    for track in tracks:
        name, text = f"transcript-{track.language}", _transcript(recording, track)
        label = f"Transcript (text, {track.language})"
        found.append(Part(name, label, f"{stem}.{track.language}.txt", text=text))
    return found


def _stem(title: str) -> str:
    """A file name that any system takes, from the title."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:80].lower() or "recording"


def _transcript(recording: Recording, track: watching.Captions) -> str:
    status = "Checked by a person." if track.checked else "Automatic, not checked by a person."
    lines = [recording.title, status, ""]
    for cue in track.cues:
        speaker = f"{cue.speaker}: " if cue.speaker else ""
        lines.append(f"{webvtt.timestamp(cue.start_ms)}  {speaker}{' '.join(cue.text.split())}")
    return "\n".join([*lines, ""])


def needs_reason(session: Session, actor: Actor, recording: Recording) -> bool:
    """Whether the actor must say why: a grant to download holds its reason already, makers have none."""
    _, verdicts = policy.explain(session, actor, Action.RECORDING_DOWNLOAD, recording.id, clock.now())
    return not any(verdict.holds for verdict in verdicts if verdict.rule == DOWNLOAD_GRANTED.name)


def take(session: Session, actor: Actor, recording: Recording, name: str, shown: Shown, reason: str = "") -> Part:
    """One part of a recording, written down. The caller has asked the policy.

    Raises:
        Invalid: the actor must say why and did not, or said too much.
        NotFound: there is no such part.
    """
    reason = reason.strip()
    if not reason and needs_reason(session, actor, recording):
        raise Invalid("Say why you download it", fields={"reason": "Say why you download it"})
    if len(reason) > MOST_REASON:
        sentence = f"The reason must be {MOST_REASON} characters or fewer"
        raise Invalid(sentence, fields={"reason": sentence})
    part = next((part for part in parts(session, recording, shown) if part.name == name), None)
    if part is None:
        raise NotFound
    audit.record(session, actor, "recording:download", "recording", recording.id, reason=reason, part=name)
    return part
