"""Words that nobody said are kept out, words that somebody repeated are kept in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.captions.guards import Heard, believable, whole_words, without_loops
from app.captions.words import Word


def said(text: str) -> list[Word]:
    return [Word(i, i + 1, word, 0.9) for i, word in enumerate(text.split())]


def texts(words: list[Word]) -> str:
    return " ".join(w.text for w in words)


def heard(text: str, *, no_speech: float = 0.1, log_probability: float = -0.2, compression: float = 1.2) -> Heard:
    words = tuple(Word(w.start, w.end, " " + w.text, w.probability) for w in said(text))
    return Heard(words, no_speech, log_probability, compression)


def test_a_segment_that_the_engine_doubts_gives_nothing() -> None:
    assert believable(heard("Thank you for watching.", no_speech=0.8, log_probability=-1.3)) == []


def test_doubt_on_one_side_only_keeps_the_words() -> None:
    assert texts(believable(heard("Yes, I see.", no_speech=0.8))) == "Yes, I see."
    assert texts(believable(heard("Yes, I see.", log_probability=-1.3))) == "Yes, I see."


def test_a_loop_is_said_once() -> None:
    assert (
        texts(without_loops(said("Well " + "I don't know, " * 9 + "really."), allowed=6))
        == "Well I don't know, really."
    )


def test_people_may_repeat_themselves() -> None:
    for text in ("No, no, no, no, no, no!", "Help me, help me, help me, please.", "very very very long"):
        assert texts(without_loops(said(text), allowed=6)) == text


def test_text_that_compresses_too_well_is_watched_more_closely() -> None:
    text = "and then he left and then he left and then he left"
    assert texts(believable(heard(text, compression=3.0))) == "and then he left"
    assert texts(believable(heard(text))) == text


@given(st.lists(st.sampled_from(["a", "b", "no,"]), max_size=60))
def test_what_is_kept_was_said_in_that_order(plain: list[str]) -> None:
    words = said(" ".join(plain))
    kept = without_loops(words, allowed=6)
    assert [w.start for w in kept] == sorted({w.start for w in kept})
    assert set(kept) <= set(words)


def test_pieces_become_the_words_that_they_are() -> None:
    pieces = [(" side", 0.9), ("-by", 0.5), ("-side", 0.8), (" 20", 0.9), ("%", 0.7), (" ", 0.1), (" done.", 1.0)]
    words = whole_words([Word(i, i + 0.5, text, p) for i, (text, p) in enumerate(pieces)])
    assert [(w.text, w.start, w.end, w.probability) for w in words] == [
        ("side-by-side", 0, 2.5, 0.5),
        ("20%", 3, 4.5, 0.7),
        ("done.", 6, 6.5, 1.0),
    ]
