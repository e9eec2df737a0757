"""The glossary of a case, as a hint to the engine of how its terms are spelt."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

# Whisper keeps 223 tokens of prompt and shares 448 between prompt and answer, so a long hint costs captions. Half of
# the room is taken: dense speech of 30 seconds is about 150 tokens.
MAX_TOKENS = 110
_MAX_TERM = 60


def tokens(text: str) -> int:
    """An upper estimate of Whisper's tokens for `text`; the real tokenizer belongs to a model, which may not be here.
    Plain words have at least two letters a token; what the tokenizer has rarely seen can need one for each byte."""
    return sum(
        1 + ((len(word) + 1) // 2 if word.isascii() and not word.isupper() else len(word.encode()))
        for word in text.split()
    )


def prompt(terms: Iterable[str]) -> str:
    """The terms as one line, in the order given, without doubles, for as long as the engine's room lasts.

    Empty when there are none. Terms of more than 60 characters are no terms and are left out.
    """
    chosen: list[str] = []
    seen: set[str] = set()
    room = MAX_TOKENS
    for term in terms:
        clean = " ".join("".join(" " if unicodedata.category(c)[0] == "C" else c for c in term).split())
        clean = clean.strip(" ,;")
        cost = tokens(clean) + 1
        if not clean or len(clean) > _MAX_TERM or clean.casefold() in seen:
            continue
        if cost > room:
            break
        seen.add(clean.casefold())
        room -= cost
        chosen.append(clean)
    return ", ".join(chosen)
