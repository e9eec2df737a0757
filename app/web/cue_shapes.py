"""Captions as the API and the editor's script have them, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.captions.cues import Cue, lint
from app.domain.caption_drafts import Draft
from app.domain.caption_reviews import Named
from app.errors import Invalid, TooLarge
from app.web.openapi import BOOLEAN, INTEGER, MOMENT, NUMBER, STRING, array, component, nullable, one_of, thing

MOST_CUES = 20_000
#: Largest body that carries captions: the longest track that can be kept, twice.
MOST_BYTES = 12 * 1024 * 1024

CUE = component(
    "Cue",
    thing(
        {
            "start_ms": INTEGER,
            "end_ms": INTEGER,
            "text": STRING,
            "speaker": STRING,
            "checked": BOOLEAN,
            "confidence": NUMBER,
            "doubtful": array(STRING),
        },
        optional=("speaker", "checked", "confidence", "doubtful"),
        note="Lines of `text` are parted by a newline. `doubtful` are words that the engine was unsure of.",
    ),
)
CUES = array(CUE)
PROBLEM = component(
    "CaptionProblem",
    thing(
        {
            "index": INTEGER,
            "kind": one_of("rule", "name"),
            "rule": STRING,
            "sentence": STRING,
            "warning": BOOLEAN,
        },
        note="`index` counts captions from 0. A rule is one of reading; a name is on the case's list of what must not be said.",
    ),
)
DRAFT = component(
    "CaptionDraft",
    thing(
        {
            "language": STRING,
            "version": INTEGER,
            "revision": INTEGER,
            "origin": one_of("automatic", "edited", "imported"),
            "by": STRING,
            "at": MOMENT,
            "count": INTEGER,
            "checked": INTEGER,
            "cues": nullable(CUES),
            "problems": array(PROBLEM),
        },
        note="`cues` is null in the answer to a save, because the caller has them.",
    ),
)


def shape(cue: Cue) -> dict[str, Any]:
    """A caption as JSON."""
    return {
        "start_ms": cue.start_ms,
        "end_ms": cue.end_ms,
        "text": "\n".join(cue.lines),
        "speaker": cue.speaker or "",
        "checked": cue.checked,
        "confidence": cue.confidence,
        "doubtful": list(cue.doubtful),
    }


def problems(cues: Sequence[Cue], names: Sequence[Named], duration: float | None) -> list[dict[str, Any]]:
    """What is wrong with captions, in their order."""
    found = [
        {"index": b.index, "kind": "rule", "rule": b.rule, "sentence": b.sentence, "warning": b.warning}
        for b in lint(cues, duration=duration)
    ]
    for name in names:
        how = "says" if name.exact else "says something like"
        found.append(
            {
                "index": name.index,
                "kind": "name",
                "rule": "name" if name.exact else "like-name",
                "sentence": f"Caption {name.index + 1} {how} “{name.identifier}”, which must not be said: it is on the case's list.",
                "warning": not name.exact,
            }
        )
    return sorted(found, key=lambda problem: (problem["index"], problem["kind"] == "rule"))


def shape_draft(draft: Draft, found: Sequence[dict[str, Any]], *, cues: bool) -> dict[str, Any]:
    """The current version of a track as JSON."""
    return {
        "language": draft.track.language,
        "version": draft.number,
        "revision": draft.revision,
        "origin": draft.origin.value,
        "by": draft.by,
        "at": draft.at.isoformat(),
        "count": len(draft.cues),
        "checked": draft.checked,
        "cues": [shape(cue) for cue in draft.cues] if cues else None,
        "problems": list(found),
    }


def read(value: Any, name: str = "cues") -> list[Cue]:
    """Captions from JSON.

    Raises:
        TooLarge: more than a track can have.
        Invalid: not a list of captions; the sentence names the first that is wrong.
    """
    if not isinstance(value, list):
        raise _fault(name, f"{name} must be a list of captions")
    if len(value) > MOST_CUES:
        raise TooLarge(f"A caption track can have at most {MOST_CUES} captions.")
    return [_cue(item, name, number) for number, item in enumerate(value, start=1)]


def _cue(item: Any, name: str, number: int) -> Cue:
    if not isinstance(item, dict):
        raise _fault(name, f"Caption {number} must be an object")
    start, end = item.get("start_ms"), item.get("end_ms")
    text, speaker = item.get("text"), item.get("speaker", "")
    checked, confidence = item.get("checked", False), item.get("confidence", 1.0)
    doubtful = item.get("doubtful", [])
    if not isinstance(start, int) or not isinstance(end, int) or abs(start) >= 2**31 or abs(end) >= 2**31:
        raise _fault(name, f"Caption {number} must have start_ms and end_ms as whole numbers of milliseconds")
    if not isinstance(text, str) or not isinstance(speaker, str) or not isinstance(checked, bool):
        raise _fault(name, f"Caption {number} must have text as text, and checked as true or false")
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise _fault(name, f"Caption {number} must have a confidence from 0 to 1")
    if not isinstance(doubtful, list) or not all(isinstance(word, str) and "\x00" not in word for word in doubtful):
        raise _fault(name, f"Caption {number} must have doubtful as a list of words")
    return Cue(
        start,
        end,
        tuple(line for line in text.split("\n") if line),
        float(confidence),
        speaker or None,
        checked,
        tuple(doubtful),
    )


def _fault(name: str, sentence: str) -> Invalid:
    return Invalid(f"{sentence}.", fields={name: sentence})
