"""Doubtful words find their captions again, and words get times in proportion to their length."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.captions import doubts
from app.captions.cues import Cue, build_cues
from app.captions.words import Word, spread

HEARD = st.lists(
    st.tuples(st.sampled_from(["a", "two words", "x" * 80, "été,", " ", "no.\x07"]), st.sampled_from([0.2, 0.9])),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(HEARD)
def test_a_word_is_doubtful_where_the_engine_was_unsure(heard: list[tuple[str, float]]) -> None:
    words = [Word(n, n + 0.5, text, probability) for n, (text, probability) in enumerate(heard)]
    cues = doubts.mark(build_cues(words, duration=40), words)
    unsure = {c for word in words if word.probability < 0.5 for c in word.text if c.isprintable() and c != " "}
    marked = {c for cue in cues for word in cue.doubtful for c in word}
    assert unsure == marked - ({"x"} - unsure)
    assert all(word in cue.text.split() for cue in cues for word in cue.doubtful)


def test_what_does_not_fit_any_more_is_left_unmarked() -> None:
    words = [Word(0, 1, "Good", 0.1), Word(1, 2, "morning.", 0.1)]
    assert doubts.mark([Cue(0, 2000, ("Other words.",), 1.0)], words)[0].doubtful == ()


def test_words_without_times_share_them_by_length() -> None:
    words = spread("no  wait", 1.0, 2.6)
    assert [(word.start, round(word.end, 6), word.text) for word in words] == [(1.0, 1.6, "no"), (1.6, 2.6, "wait")]
    assert spread(" ", 0, 1) == []
