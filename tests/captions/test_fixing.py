"""Fixing timing and lines, and following a cut: for any captions, within the rules and without changing a word."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.captions.cues import MAX_CHARS, MIN_MS, Cue, lint
from app.captions.fixing import fixed
from app.captions.retiming import retimed

WORDS = st.sampled_from(["a", "no.", "because,", "isn't", "amoxicillin", "x" * 37, "y" * 50, "Été"])
LINES = st.lists(st.lists(WORDS, max_size=12).map(" ".join), max_size=3).map(tuple)


@st.composite
def tracks(draw: st.DrawFn) -> list[Cue]:
    """Captions as careless people and machines leave them: overlapping, flickering, endless, empty, in any order."""
    cues = []
    for _ in range(draw(st.integers(0, 9))):
        start = draw(st.integers(0, 60_000))
        speaker = draw(st.sampled_from([None, "Doctor", "Patient"]))
        length = draw(st.integers(1, 20_000))
        cues.append(Cue(start, start + length, draw(LINES), 1.0, speaker, draw(st.booleans())))
    return cues


def errors(cues: list[Cue], duration: float) -> list[str]:
    return [breach.sentence for breach in lint(cues, duration=duration) if not breach.warning]


def said(cues: list[Cue]) -> str:
    return "".join("".join(cue.text.split()) for cue in cues)


@settings(max_examples=70, deadline=None)
@given(tracks())
def test_every_cue_keeps_the_rules_and_no_word_changes(cues: list[Cue]) -> None:
    done = fixed(cues, duration=600)
    assert errors(done, 600) == []
    in_order = sorted(cues, key=lambda cue: cue.start_ms)
    assert said(done) == said(in_order)
    words = [word for cue in in_order for word in cue.text.split()]
    if all(len(word) <= MAX_CHARS for word in words):
        assert [word for cue in done for word in cue.text.split()] == words
    assert fixed(done, duration=600) == done


@settings(max_examples=30, deadline=None)
@given(tracks())
def test_where_there_is_a_second_for_each_it_fits_into_the_recording(cues: list[Cue]) -> None:
    many = len(fixed(cues))
    duration = max(1, many) * MIN_MS / 1000
    assert errors(fixed(cues, duration=duration), duration) == []


def test_what_keeps_the_rules_is_left_alone() -> None:
    good = [
        Cue(0, 2000, ("Good morning,", "please sit down."), 0.9, "Doctor", True, ("sit",)),
        Cue(2500, 4000, ("Yes.",), 1.0),
    ]
    assert fixed(good, duration=10) == good


def test_scraps_are_joined_and_starts_move_both_ways() -> None:
    quick = [Cue(i * 300, i * 300 + 300, (word,), 1.0, "A") for i, word in enumerate(["No,", "no,", "no."])]
    assert [(c.start_ms, c.text) for c in fixed(quick)] == [(0, "No, no, no.")]
    by_two = [Cue(5000, 5300, ("Why?",), 1.0, "A"), Cue(5300, 5600, ("Because.",), 1.0, "B")]
    assert [c.start_ms for c in fixed(by_two)] == [4650, 5650]


@settings(max_examples=60, deadline=None)
@given(tracks(), st.lists(st.tuples(st.integers(0, 90_000), st.integers(0, 90_000)), max_size=4))
def test_cut_captions_keep_the_rules_and_say_nothing_of_the_cut(cues: list[Cue], cuts: list[tuple[int, int]]) -> None:
    before = [
        replace(cue, lines=tuple(f"w{i}x{n}" for n in range(len(cue.lines)))) for i, cue in enumerate(fixed(cues))
    ]
    after = retimed(before, cuts, duration=600)
    assert errors(after, 600) == []
    left = said(after)
    for cue in before:
        if any(start <= cue.start_ms and cue.end_ms <= end for start, end in cuts):
            assert all(word not in after_words(after) for word in cue.text.split())
        elif not any(start < cue.end_ms and end > cue.start_ms for start, end in cuts):
            assert "".join(cue.text.split()) in left


def after_words(cues: list[Cue]) -> set[str]:
    return {word for cue in cues for word in cue.text.split()}


def test_captions_away_from_a_cut_move_by_what_was_taken_out() -> None:
    cues = [Cue(n * 3000, n * 3000 + 2500, (f"Number {n}.",), 1.0, None, True) for n in range(6)]
    after = retimed(cues, [(0, 1500), (6000, 9000)])
    assert [(c.start_ms, c.end_ms, c.text, c.checked) for c in after] == [
        (250, 1250, "0.", False),
        (1500, 4000, "Number 1.", True),
        (4500, 7000, "Number 3.", True),
        (7500, 10000, "Number 4.", True),
        (10500, 13000, "Number 5.", True),
    ]
    assert retimed(cues, []) == cues
