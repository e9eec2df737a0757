"""Downloading a recording: what there is to take away, and writing down who took it and why."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.access import Action, Actor, policy
from app.access.rules import DOWNLOAD_GRANTED
from app.captions import docx, files, languages, transcript
from app.captions.cues import Cue
from app.captions.tracks import timestamp
from app.db.recordings import Artefact, ArtefactKind, Recording
from app.domain import audit, caption_files, caption_versions, transcripts, watching
from app.domain.caption_showing import Shown
from app.errors import Invalid, NotFound

MOST_REASON = 1000
#: The kinds of files of captions, and of transcripts.
CAPTIONS = tuple(files.FORMATS)
TRANSCRIPTS = ("txt", "docx")


@dataclass(frozen=True)
class Part:
    """One thing to take away. What is no stored object is written when it is taken, in one of `kinds` of files."""

    name: str
    label: str
    artefact: Artefact | None = None
    kinds: Sequence[str] = ()
    language: str = ""
    checked: bool = False
    cues: Sequence[Cue] = ()


@dataclass(frozen=True)
class Taken:
    """A part as it goes out: a stored object, or the bytes of a file."""

    filename: str
    media_type: str
    artefact: Artefact | None = None
    body: bytes = b""


def parts(session: Session, recording: Recording, shown: Shown, *, drafts: bool = False) -> list[Part]:
    """What there is of a recording, the video first: three queries, and with `drafts` two more for each track whose
    captions somebody is working on: those are offered too, to be worked on elsewhere."""
    stored = session.scalars(
        select(Artefact).where(Artefact.recording_id == recording.id, Artefact.kind == ArtefactKind.DOWNLOAD)
    ).all()
    found = [Part("video", "Video (MP4)", row) for row in stored]
    tracks = [track for track in watching.captions(session, recording.id, shown) if track.cues]
    for name, label, kinds in (("captions", "Captions", CAPTIONS), ("transcript", "Transcript", TRANSCRIPTS)):
        for track in tracks:
            cues = [caption_versions.built(row) for row in track.cues if row.text]
            words = f"{label}, {languages.of(track.language).name}"
            found.append(Part(f"{name}-{track.language}", words, None, kinds, track.language, track.checked, cues))
    for row in caption_versions.tracks(session, recording.id) if drafts else []:
        cues = caption_files.worked_on(session, recording.id, row.language)
        if cues and row.published_version not in (None, row.current_version):
            words = f"Captions as they are being worked on, {languages.of(row.language).name}"
            found.append(Part(f"draft-{row.language}", words, None, CAPTIONS, row.language, False, cues))
    return found


def _stem(title: str) -> str:
    """A file name that any system takes, from the title."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:80].lower() or "recording"


def _status(part: Part) -> str:
    return "Checked by a person." if part.checked else caption_versions.UNCHECKED


def _transcript(recording: Recording, part: Part, kind: str, by: str) -> bytes:
    """A transcript for reading, with the notice that goes with the recording and who took it when."""
    head = [_status(part), transcripts.notice(recording.case), f"Downloaded by {by} on {clock.now():%d/%m/%Y}."]
    paragraphs = transcript.paragraphs(part.cues)
    if kind == "docx":
        return docx.write_paragraphs(
            [
                docx.Paragraph(recording.title, "Title"),
                *(docx.Paragraph(line, "Notice") for line in head),
                *(docx.Paragraph(one.text, bold=_who_when(one)) for one in paragraphs),
            ],
            language=part.language,
            title=recording.title,
        )
    lines = [recording.title, *head, "", *(f"{_who_when(one)} {one.text}\n" for one in paragraphs)]
    return "\n".join(lines).encode()


def _who_when(paragraph: transcript.Paragraph) -> str:
    time = timestamp(paragraph.start_ms)[:-4]
    return f"{time} {paragraph.speaker}:" if paragraph.speaker else time


def needs_reason(session: Session, actor: Actor, recording: Recording) -> bool:
    """Whether the actor must say why: a grant to download holds its reason already, makers have none."""
    _, verdicts = policy.explain(session, actor, Action.RECORDING_DOWNLOAD, recording.id, clock.now())
    return not any(verdict.holds for verdict in verdicts if verdict.rule == DOWNLOAD_GRANTED.name)


def take(
    session: Session, actor: Actor, recording: Recording, name: str, shown: Shown, reason: str = "", *,
    kind: str = "", drafts: bool = False,
) -> Taken:  # fmt: skip
    """One part of a recording, written down. The caller has asked the policy.

    Args:
        kind: of file, for what comes in several; empty is the first.
        drafts: whether the actor may have what is being worked on.
    Raises:
        Invalid: the actor must say why and did not, or said too much; or there is no such kind of it.
        NotFound: there is no such part.
    """
    reason = reason.strip()
    if not reason and needs_reason(session, actor, recording):
        raise Invalid("Say why you download it", fields={"reason": "Say why you download it"})
    if len(reason) > MOST_REASON:
        sentence = f"The reason must be {MOST_REASON} characters or fewer"
        raise Invalid(sentence, fields={"reason": sentence})
    found = {part.name: part for part in parts(session, recording, shown, drafts=drafts)}
    # what is being worked on is what is shown, where nobody has changed it since
    part = found.get(name) or found.get(name.replace("draft-", "captions-", 1))
    if part is None:
        raise NotFound
    if part.kinds:
        kind = kind or part.kinds[0]
        if kind not in part.kinds:
            labels = " or ".join(files.FORMATS[one].label for one in part.kinds)
            raise Invalid(f"This comes as {labels}", fields={"format": f"This comes as {labels}"})
        name = f"{name}.{kind}"
    audit.record(session, actor, "recording:download", "recording", recording.id, reason=reason, part=name)
    stem = _stem(recording.title)
    if part.artefact is not None:
        return Taken(f"{stem}.mp4", part.artefact.media_type, part.artefact)
    if part.name.startswith("transcript-"):
        body, ending = _transcript(recording, part, kind, actor.name), f"transcript.{part.language}.{kind}"
    else:
        body = files.write(kind, part.cues, language=part.language, title=recording.title, note=_status(part))
        ending = f"{part.language}.{kind}"
    return Taken(f"{stem}.{ending}", files.FORMATS[kind].media_type, body=body)
