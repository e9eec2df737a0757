"""Cues keep the reading rules for any words, and break where the sense does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.captions.cues import GAP_MS, MAX_CHARS, MAX_LINES, MAX_MS, MIN_MS, Cue, build_cues, lint
from app.captions.words import Word, shifted

SILLY_TIMES = st.floats(-20, 400, allow_nan=False)
WORDS = st.lists(
    st.builds(
        Word,
        start=SILLY_TIMES,
        end=SILLY_TIMES,
        text=st.one_of(
            st.sampled_from(["the", "patient.", "Dr", "Ahmed,", "and", "why?", "x" * 90, "", " ", "a b", "<b>", "&"]),
            st.text(max_size=50),
        ),
        probability=st.floats(0, 1),
    ),
    max_size=60,
)


def spoken(text: str, *, start: float = 0.0, each: float = 0.3, pauses: dict[int, float] | None = None) -> list[Word]:
    """Words of `text`, one every `each` seconds, with extra silence before the word numbers in `pauses`."""
    words, at = [], start
    for i, word in enumerate(text.split()):
        at += (pauses or {}).get(i, 0.0)
        words.append(Word(at, at + each * 0.9, word, 0.9))
        at += each
    return words


def printed(words: list[Word]) -> str:
    """What must be read in the end: every visible character in order, blanks left out."""
    return "".join("".join(c for c in w.text if not c.isspace() and c.isprintable()) for w in words)


@settings(max_examples=300, deadline=None)
@given(words=WORDS, duration=st.floats(0, 300, allow_nan=False))
def test_any_words_give_cues_within_the_limits(words: list[Word], duration: float) -> None:
    cues = build_cues(words, duration=duration)
    text = "".join(c for cue in cues for line in cue.lines for c in line if not c.isspace() and c.isprintable())
    assert text == printed(words)
    for cue in cues:
        assert 1 <= len(cue.lines) <= MAX_LINES
        assert all(0 < len(line) <= MAX_CHARS for line in cue.lines)
        assert 0 <= cue.start_ms < cue.end_ms <= cue.start_ms + MAX_MS
        assert 0 <= cue.confidence <= 1
    for before, after in pairwise(cues):
        gap = after.start_ms - before.end_ms
        assert gap == 0 or gap >= GAP_MS
    if len(cues) * MIN_MS <= round(duration * 1000):
        assert all(cue.end_ms - cue.start_ms >= MIN_MS for cue in cues)
        assert not cues or cues[-1].end_ms <= round(duration * 1000)


@settings(max_examples=60, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(["I", "the", "knife,", "was", "left.", "here?", "because", "daughter", "Tuesday"]),
        min_size=1,
        max_size=80,
    ),
    each=st.floats(0.32, 0.6),
)
def test_speech_at_an_ordinary_pace_breaks_no_rule(text: list[str], each: float) -> None:
    words = spoken(" ".join(text), start=0.5, each=each)
    duration = words[-1].end + 1.5
    assert [b for b in lint(build_cues(words, duration=duration), duration=duration) if not b.warning] == []


def test_sentences_get_a_cue_each() -> None:
    words = spoken("How are you feeling after last week? I have hardly slept at all since then.", pauses={7: 0.6})
    assert [c.text for c in build_cues(words, duration=30)] == [
        "How are you feeling after last week?",
        "I have hardly slept at all since then.",
    ]


def test_lines_break_at_sense_and_not_after_an_article() -> None:
    words = spoken("Somebody will need to ring the practice, and then the nurse calls you back.")
    assert [c.lines for c in build_cues(words, duration=30)] == [
        ("Somebody will need", "to ring the practice,"),
        ("and then the nurse calls you back.",),
    ]


def test_a_title_stays_with_its_name() -> None:
    words = spoken("I was told on Monday that it is Dr Okafor who will see me and not the registrar")
    for cue in build_cues(words, duration=30):
        assert not any(line.endswith("Dr") for line in cue.lines)


def test_short_answers_share_a_cue_rather_than_flash() -> None:
    words = spoken("Yes. No. Yes. Perhaps.", each=0.4)
    cues = build_cues(words, duration=10)
    assert [c.text for c in cues] == ["Yes. No. Yes.", "Perhaps."]
    assert all(c.end_ms - c.start_ms >= MIN_MS for c in cues)


def test_a_long_silence_ends_the_cue_and_the_last_word_is_held() -> None:
    words = spoken("I found the letter that he wrote", pauses={4: 5.0})
    first, second = build_cues(words, duration=20)
    assert first.text == "I found the letter"
    assert first.end_ms >= round(words[3].end * 1000) + 125
    assert first.end_ms < second.start_ms == round(words[4].start * 1000)


def test_a_last_word_at_the_very_end_is_still_shown_for_a_second() -> None:
    (cue,) = build_cues([Word(9.8, 10.0, "Goodbye.", 0.9)], duration=10.0)
    assert (cue.start_ms, cue.end_ms) == (9_000, 10_000)


def test_no_words_give_no_cues() -> None:
    assert build_cues([], duration=10) == []


def test_two_hours_are_built_in_seconds() -> None:
    sentence = "When she came in on Tuesday nobody had asked her whether the tablets were helping, so I did. "
    words = spoken(sentence * 1150, each=0.35)
    cues = build_cues(words, duration=words[-1].end + 2)
    assert words[-1].end > 6_900
    assert not [b for b in lint(cues) if not b.warning]


def test_shifting_follows_the_played_time() -> None:
    words = [Word(0.0, 0.5, "Hello", 1.0), Word(0.6, 1.0, "there", 1.0)]
    assert [(w.start, w.end) for w in shifted(words, 1.5)] == [(1.5, 2.0), (2.1, 2.5)]
    assert [w.text for w in shifted(words, -0.55)] == ["there"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_word_without_a_real_time_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Word(bad, 1.0, "x", 0.5)


@pytest.mark.parametrize(
    ("cues", "rule"),
    [
        ([Cue(0, 2_000, ("one", "two", "three"), 1.0)], "lines"),
        ([Cue(0, 2_000, ("x" * 38,), 1.0)], "line-length"),
        ([Cue(0, 500, ("x",), 1.0)], "short"),
        ([Cue(0, 7_001, ("x",), 1.0)], "long"),
        ([Cue(2_000, 1_000, ("x",), 1.0)], "reversed"),
        ([Cue(0, 1_000, (" ",), 1.0)], "empty"),
        ([Cue(0, 1_000, ("one two three four",), 1.0)], "fast"),
        ([Cue(0, 2_000, ("x",), 1.0), Cue(1_900, 3_000, ("y",), 1.0)], "overlap"),
        ([Cue(0, 2_000, ("x",), 1.0), Cue(2_050, 4_000, ("y",), 1.0)], "gap"),
        ([Cue(3_000, 4_000, ("x",), 1.0), Cue(1_000, 2_000, ("y",), 1.0)], "order"),
        ([Cue(9_000, 11_000, ("x",), 1.0)], "late"),
    ],
)
def test_lint_names_the_breach_in_a_sentence(cues: list[Cue], rule: str) -> None:
    (breach,) = lint(cues, duration=10)
    assert breach.rule == rule
    assert breach.sentence.startswith("Caption ")
    assert breach.sentence.endswith(".")
    assert breach.warning is (rule == "fast")


def test_lint_has_nothing_to_say_about_good_cues() -> None:
    assert (
        lint([Cue(0, 2_000, ("Good morning.",), 1.0), Cue(2_000, 4_000, ("Sit down, please.",), 1.0)], duration=4) == []
    )


def test_a_cue_too_fast_to_read_borrows_time_from_what_is_around_it() -> None:
    hurried = [
        Word(1.0 + i * 0.22, 1.2 + i * 0.22, text, 0.9)
        for i, text in enumerate(["so", "we", "went", "straight", "on."])
    ]
    slow = [
        Word(2.1 + i * 0.6, 2.6 + i * 0.6, text, 0.9)
        for i, text in enumerate(["And", "then", "nobody", "said", "much."])
    ]
    alone = build_cues(hurried, duration=2.0)
    cues = build_cues(hurried + slow, duration=10)
    assert cues[0].text == "so we went straight on."
    assert 0.8 <= cues[0].start_ms / 1000 < 1.0, "at most 200 ms before its first word"
    assert cues[1].start_ms == cues[0].end_ms <= 2_500, "the next one waits at most 400 ms"
    assert [b.rule for b in lint(cues, duration=10)] == []
    assert alone[0].end_ms <= 2_000
