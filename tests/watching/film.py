"""A short film with sound and speech that is made up, in two renditions, as the pipeline makes them: for tests that play."""

from __future__ import annotations

import hashlib
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app import clock
from app.captions import webvtt
from app.captions.cues import Cue as SpokenCue
from app.db.captions import CaptionKind, CaptionOrigin, CaptionTrack, CaptionVersion, Cue
from app.db.recordings import Artefact, ArtefactKind, Chapter, Recording
from app.media import encode, fmp4, join, ladder, probe
from app.media.commands import ffmpeg_path
from app.storage import keys
from app.storage.s3 import Storage

SECONDS = 12
#: Start, end (milliseconds), speaker and words.
CUES = (
    (0, 2000, "Doctor", "Good morning, please sit down."),
    (2000, 4500, "Patient", "I complained about the missed diagnosis."),
    (4500, 7000, "Doctor", "I am so sorry that\nnobody told you."),
    (7000, 9500, "Patient", "Nobody answered my letters."),
    (9500, 12000, "Doctor", "We will write to you on Thursday."),
)
CHAPTERS = ((0, "Greeting"), (4500, "Apology <b>"))


@dataclass(frozen=True)
class Part:
    """One object: what it is, its name, bytes, media type and what reading it needs."""

    kind: ArtefactKind
    name: str
    body: bytes
    media_type: str
    detail: dict[str, Any]


def make(folder: Path) -> list[Part]:
    """Film, encode and take stills; about three seconds on two cores."""
    source = folder / "source.mp4"
    picture = ["-f", "lavfi", "-i", f"testsrc2=s=854x480:r=25:d={SECONDS}"]
    sound = ["-f", "lavfi", "-i", f"sine=f=330:r=48000:d={SECONDS}"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac"]
    subprocess.run(
        [ffmpeg_path(), "-loglevel", "error", "-y", *picture, *sound, *coding, str(source)], check=True, timeout=120
    )
    scratch = folder / "scratch"
    found = probe.probe(source, scratch / "probe", max_duration_seconds=60)
    plan = ladder.plan(found, chunk_seconds=60, threads=2)
    files: dict[str, list[Path]] = {}
    for chunk in plan.chunks:
        for name, path in encode.transcode_chunk(source, plan, chunk.index, scratch).items():
            files.setdefault(name, []).append(path)
    renditions = {}
    for name, paths in files.items():
        renditions[name] = folder / f"{name}.mp4"
        join.join(paths, renditions[name])
    if plan.copied is not None:
        renditions[plan.copied.name] = encode.copy_top(source, plan, scratch)
    audio = encode.encode_audio(source, plan, scratch)
    assert audio is not None
    smallest = renditions[plan.lowest.name]
    sprite, board = encode.storyboard(smallest, plan, scratch)
    parts = [
        Part(ArtefactKind.RENDITION, name, path.read_bytes(), "video/mp4", _index(path))
        for name, path in renditions.items()
    ]
    return [
        *parts,
        Part(ArtefactKind.AUDIO, "", audio.read_bytes(), "audio/mp4", _index(audio)),
        Part(ArtefactKind.DOWNLOAD, "", encode.mux_mp4(smallest, audio, scratch).read_bytes(), "video/mp4", {}),
        *_posters(encode.make_posters(smallest, smallest, plan, scratch)),
        Part(ArtefactKind.PEAKS, "", encode.peaks(audio, scratch).read_bytes(), "application/json", {}),
        Part(ArtefactKind.STORYBOARD, "", sprite.read_bytes(), "image/jpeg", board.to_json()),
    ]


def _posters(found: encode.Posters) -> list[Part]:
    named = {"": found.poster, "candidate-0": found.candidates[0], "candidate-1": found.candidates[-1]}
    return [
        Part(ArtefactKind.POSTER, name, file.read_bytes(), "image/jpeg", {"second": second})
        for name, (second, file) in named.items()
    ]


def _index(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return fmp4.index(file).to_json()


@dataclass(frozen=True)
class Reel:
    """The film in storage. Databases of several tests point at the same objects."""

    parts: dict[str, Part]
    keys: dict[str, str]
    storage: Storage

    def lend(self, session: Session, recording: Recording, *names: str) -> None:
        """Give a recording the film's objects: all, or those named. A second one in a database gets copies."""
        recording.duration_ms = SECONDS * 1000
        recording.has_audio = True
        lent = session.query(Artefact).filter(Artefact.key.in_(self.keys.values())).count() > 0
        reel = store(self.storage, list(self.parts.values())) if lent else self
        for name, part in self.parts.items():
            if names and name not in names:
                continue
            session.add(
                Artefact(
                    recording_id=recording.id,
                    kind=part.kind,
                    name=part.name,
                    key=reel.keys[name],
                    media_type=part.media_type,
                    size=len(part.body),
                    sha256=hashlib.sha256(part.body).hexdigest(),
                    detail=part.detail,
                )
            )
        session.flush()


def label(part: Part) -> str:
    """How tests call an object: the rung of a rendition, the kind of anything else."""
    return part.name or part.kind.value


def store(storage: Storage, parts: list[Part]) -> Reel:
    """Put the film into storage."""
    recording_id, run_id = uuid.uuid4(), uuid.uuid4()
    placed = {label(part): keys.artefact(recording_id, run_id, label(part), 1) for part in parts}
    for part in parts:
        storage.put_bytes(placed[label(part)], part.body, part.media_type)
    return Reel({label(part): part for part in parts}, placed, storage)


def caption(
    session: Session, storage: Storage, recording: Recording, cues: Any = CUES, number: int = 1, *, checked: bool = True,
    language: str = "en",
) -> CaptionTrack:  # fmt: skip
    """Captions: a version with its cues, and its WebVTT. Not `checked`: viewers do not see them."""
    track = session.query(CaptionTrack).filter_by(recording_id=recording.id, language=language).one_or_none()
    if track is None:
        kind = CaptionKind.CAPTIONS if language == "en" else CaptionKind.TRANSLATION
        track = CaptionTrack(recording_id=recording.id, language=language, kind=kind)
        session.add(track)
        session.flush()
    track.current_version = track.revision = number
    track.reviewed_version = track.published_version = number if checked else None
    track.reviewed_at = track.published_at = clock.now() if checked else None
    version = CaptionVersion(track_id=track.id, number=number, origin=CaptionOrigin.AUTOMATIC, engine="test")
    version.cues = [
        Cue(position=i, start_ms=start, end_ms=end, speaker=speaker, text=text)
        for i, (start, end, speaker, text) in enumerate(cues)
    ]
    session.add(version)
    body = webvtt.write([_spoken(*cue) for cue in cues], language=language).encode()
    key = keys.caption_version(recording.id, language, number)
    stored = storage.put_bytes(key, body, "text/vtt")
    session.query(Artefact).filter_by(recording_id=recording.id, kind=ArtefactKind.CAPTIONS, name=language).delete()
    session.add(
        Artefact(
            recording_id=recording.id, kind=ArtefactKind.CAPTIONS, name=language, key=key, media_type="text/vtt",
            size=stored.size, sha256=stored.sha256,
        )
    )  # fmt: skip
    session.flush()
    return track


def _spoken(start: int, end: int, speaker: str, text: str) -> SpokenCue:
    return SpokenCue(start, end, tuple(text.split("\n")), 1.0, speaker)


def chapter(session: Session, recording: Recording) -> None:
    """Two chapters."""
    session.add_all(Chapter(recording_id=recording.id, start_ms=start, title=title) for start, title in CHAPTERS)
    session.flush()
