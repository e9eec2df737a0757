"""Every object key is spelled here, from ids only: no key holds a word that a person wrote.

All objects of a recording share one prefix, so erasing a recording is erasing a prefix. What a run makes on the way lies
under the run, apart from what stays.
"""

from __future__ import annotations

import uuid


def recording_prefix(recording_id: uuid.UUID) -> str:
    """Prefix of everything that belongs to a recording."""
    return f"recordings/{recording_id}/"


def source(recording_id: uuid.UUID, upload_id: uuid.UUID) -> str:
    """The file as uploaded."""
    return f"{recording_prefix(recording_id)}source/{upload_id}"


def scratch_prefix(recording_id: uuid.UUID, run_id: uuid.UUID) -> str:
    """Prefix of what a run makes on the way and removes at its end."""
    return f"{recording_prefix(recording_id)}runs/{run_id}/"


def chunk(recording_id: uuid.UUID, run_id: uuid.UUID, index: int, rung: str, attempt: int) -> str:
    """One encoded chunk of one rung; named by attempt, so a late writer cannot replace what was acknowledged."""
    return f"{scratch_prefix(recording_id, run_id)}chunks/{index:05d}/{attempt}/{rung}.mp4"


def heard_prefix(recording_id: uuid.UUID, run_id: uuid.UUID) -> str:
    """Prefix of what has been heard so far by a run that makes captions."""
    return f"{scratch_prefix(recording_id, run_id)}heard/"


def heard(recording_id: uuid.UUID, run_id: uuid.UUID, how: str, first: int, attempt: int) -> str:
    """One window of sound that was heard to its end. `how` is a digest of the sound, engine, model, language and glossary:
    an attempt takes over only what it would have heard alike. Named by attempt, as chunks are."""
    return f"{heard_prefix(recording_id, run_id)}{how}/{first:012d}-{attempt}.json"


def made_prefix(recording_id: uuid.UUID, run_id: uuid.UUID) -> str:
    """Prefix of what a run makes that may stay."""
    return f"{recording_prefix(recording_id)}made/{run_id}/"


def run_of(key: str) -> uuid.UUID | None:
    """The run that made an object that stays; None for a source, captions and the like."""
    parts = key.split("/")
    return uuid.UUID(parts[3]) if len(parts) > 4 and parts[2] == "made" else None


def artefact(recording_id: uuid.UUID, run_id: uuid.UUID, name: str, attempt: int) -> str:
    """One object that stays: a rendition, the audio, stills, captions. `name` carries its ending."""
    return f"{made_prefix(recording_id, run_id)}{attempt}/{name}"


def caption_version(recording_id: uuid.UUID, language: str, number: int) -> str:
    """WebVTT of one version of a caption track."""
    return f"{recording_prefix(recording_id)}captions/{language}/{number}.vtt"


def published_captions(recording_id: uuid.UUID, language: str, number: int, revision: int) -> str:
    """WebVTT of a caption version as viewers got it. Taken back, changed and shown again it is another object."""
    return f"{recording_prefix(recording_id)}captions/{language}/{number}-{revision}.vtt"
