"""Chapters, as people write them: one line each, a time and a title."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.access import Actor
from app.db.recordings import Chapter, Recording
from app.domain import audit
from app.errors import Invalid

MOST = 100
MOST_TITLE = 200
_LINE = re.compile(r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2})(?:\s+-)?\s+(\S.*)")


def parse(text: str, duration_ms: int | None = None) -> list[tuple[int, str]]:
    """Chapters as (start in milliseconds, title) from lines such as `0:45 Meeting the patient` or `1:02:03 Debrief`,
    sorted; empty lines are skipped.

    Args:
        duration_ms: length of the recording; a chapter that starts later is an error.

    Raises:
        Invalid: says which line and why.
    """
    found: dict[int, str] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise _wrong(f"Line {number} must be a time and a title, like 0:45 Meeting the patient")
        hours, minutes, seconds, title = int(match[1] or 0), int(match[2]), int(match[3]), match[4].strip()
        if seconds > 59 or (match[1] and minutes > 59):
            raise _wrong(f"Line {number}: {line.split()[0]} is not a time")
        start = ((hours * 60 + minutes) * 60 + seconds) * 1000
        if duration_ms is not None and start >= duration_ms:
            raise _wrong(f"Line {number} starts after the end of the recording")
        if start in found:
            raise _wrong(f"Line {number} starts at the same second as another line")
        if len(title) > MOST_TITLE:
            raise _wrong(f"Line {number}: the title must be {MOST_TITLE} characters or fewer")
        found[start] = title
    if len(found) > MOST:
        raise _wrong(f"Enter at most {MOST} chapters")
    return sorted(found.items())


def written(chapters: Sequence[tuple[int, str]]) -> str:
    """Chapters as text that `parse` reads back; milliseconds below a second are dropped."""
    return "\n".join(f"{_time(start)} {title}" for start, title in chapters)


def _time(milliseconds: int) -> str:
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours}:{rest:02d}:{seconds:02d}" if hours else f"{rest}:{seconds:02d}"


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, fields={"chapters": sentence})


def replace(session: Session, actor: Actor, recording: Recording, text: str) -> None:
    """Give a recording these chapters and no others.

    Raises:
        Invalid: as `parse`.
    """
    wanted = parse(text, recording.duration_ms)
    if wanted == [(chapter.start_ms, chapter.title) for chapter in recording.chapters]:
        return
    recording.chapters = [Chapter(start_ms=start, title=title) for start, title in wanted]
    session.flush()
    audit.record(session, actor, "recording:chapters", "recording", recording.id, count=len(wanted))
