"""Word error rate counts what a reader would count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.captions.wer import errors, normalised, word_error_rate

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8)


@pytest.mark.parametrize(
    ("reference", "heard", "rate"),
    [
        ("Good morning, Steve.", "good morning steve", 0.0),
        ("I don’t know", "I don't know!", 0.0),
        ("one two three four", "one too three", 0.5),
        ("fourteen", "14", 1.0),
        ("", "", 0.0),
        ("", "two words", 2.0),
        ("yes", "yes yes yes", 2.0),
    ],
)
def test_rates(reference: str, heard: str, rate: float) -> None:
    assert word_error_rate(reference, heard) == rate


def test_normalising_keeps_words_and_numbers() -> None:
    assert normalised("'It’s' 4,5 — Zoë's…") == ["it's", "4", "5", "zoë's"]


@given(WORDS, WORDS, WORDS)
def test_errors_are_a_distance(a: list[str], b: list[str], c: list[str]) -> None:
    assert errors(a, a) == 0
    assert errors(a, b) == errors(b, a)
    assert errors(a, c) <= errors(a, b) + errors(b, c)
    assert abs(len(a) - len(b)) <= errors(a, b) <= max(len(a), len(b))
