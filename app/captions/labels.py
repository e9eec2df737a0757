"""Who speaks, where a format has no field for it: a name and a colon in front of the words."""

from __future__ import annotations

import re
from collections.abc import Collection

from app.captions.tracks import MAX_SPEAKER

_LABEL = re.compile(r"([^\W\d_][^:\n]{0,59}?)[ \t]*:[ \t]+(?=\S)")
_NAME = re.compile(r"[^\W\d_][\w.’'-]*(?: [\w.’'()&/-]+){0,4}")
_SMALL = frozenset({"a", "al", "and", "bin", "de", "la", "of", "on", "the", "van", "von"})
_LONGEST_WORD = 20


def split(line: str, known: Collection[str] = ()) -> tuple[str | None, str]:
    """(speaker, rest) of a line. Taken for a speaker is a name that is known already, or one all in capitals, as
    subtitles for deaf people have them; any other colon is part of what is said."""
    match = _LABEL.match(line)
    if match is None:
        return None, line
    name = " ".join(match[1].split())
    if name in known or (name.isupper() and _NAME.fullmatch(name)):
        return name[:MAX_SPEAKER], line[match.end() :]
    return None, line


def likely_names(paragraphs: Collection[str]) -> set[str]:
    """Names in front of a colon in a transcript where most paragraphs begin with one, and more than one does; else none."""
    found = []
    for paragraph in paragraphs:
        match = _LABEL.match(paragraph)
        name = " ".join(match[1].split()) if match else ""
        if _NAME.fullmatch(name) and all(map(_of_a_name, name.split())):
            found.append(name)
    return set(found) if len(found) > 1 and len(found) * 2 > len(paragraphs) else set()


def _of_a_name(word: str) -> bool:
    """Whether a word may stand in a name: it begins with a capital letter or is a figure, and ends no sentence."""
    if len(word) > _LONGEST_WORD or (word.endswith(".") and len(word) > 5):
        return False
    return word.strip("()")[:1].isupper() or word.strip("()").isdigit() or word in _SMALL
