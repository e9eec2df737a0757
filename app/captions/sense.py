"""Where English may be broken between two words, as a cost: 0 is a good place, 10 and more a bad one.

Captions are read line by line, so a line should hold what belongs together: an article stays with its noun, a title
with its name, a preposition with what follows.
"""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CLINGS_TO_NEXT = _set(
    "a an the my your his her its our their this that these those some any every each no of to in on at for with by "
    "from about into over under between through during without within as than and but or nor so if because when while "
    "which who whose whom what where how is are was were be been being am has have had do does did will would can could "
    "shall should may might must not i you he she it we they mr mrs ms miss dr prof sir very too more most quite "
    "i'm i've i'll i'd you're you've we're we've they're it's that's there's don't didn't can't won't"
)
_OPENS_CLAUSE = _set(
    "and but or nor so because which who that when while where if although though since until unless before after then "
    "however"
)
_OPENS_PHRASE = _set("to of in on at for with by from about into over under between through during without")
_TITLES = _set("mr mrs ms dr prof st")
_CLOSERS = "\"'”’)]»"


def ends_sentence(word: str) -> bool:
    """True when a sentence ends with this word."""
    bare = word.rstrip(_CLOSERS)
    return bare.endswith((".", "?", "!", "…")) and bare.rstrip(".").lower() not in _TITLES


def _ends_clause(word: str) -> bool:
    return word.rstrip(_CLOSERS).endswith((",", ";", ":", "–", "—"))


def _bare(word: str) -> str:
    return word.strip("\"'“”‘’()[].,;:?!…").lower()


def break_cost(word: str, following: str | None, pause: float) -> float:
    """Cost of a break after `word` when `following` comes `pause` seconds later (None: nothing comes)."""
    if following is None or ends_sentence(word):
        return 0.0
    if _ends_clause(word):
        return max(0.0, 2.0 - 3.0 * pause)
    here, there = _bare(word), _bare(following)
    cost = 7.0
    if here in _CLINGS_TO_NEXT:
        cost += 6.0
    elif there in _OPENS_CLAUSE:
        cost -= 4.0
    elif there in _OPENS_PHRASE:
        cost -= 2.0
    if word[:1].isupper() and following[:1].isupper() and here != "i" and there != "i":
        cost += 4.0  # most likely one name
    if word[:1].isdigit() and not following[:1].isupper():
        cost += 3.0  # a number and its unit
    return max(0.0, cost - 8.0 * min(pause, 1.0))


def crossing_cost(word: str, pause: float) -> float:
    """Cost of not breaking after `word` although a sentence ends or the speaker pauses there (seconds)."""
    cost = 4.0 if ends_sentence(word) else 0.0
    if pause > 0.4:
        cost += 6.0 * min(pause, 1.5)
    return cost
