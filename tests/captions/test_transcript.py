"""Transcripts: paragraphs that read well, and words found in them across captions."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.captions import languages, transcript
from app.captions.cues import Cue


def cue(start: int, text: str, speaker: str | None = None, end: int | None = None) -> Cue:
    return Cue(start, end or start + 1_000, tuple(text.split("\n")), 1.0, speaker)


def test_paragraphs_break_at_speakers_and_pauses() -> None:
    found = transcript.paragraphs(
        [
            cue(0, "Good morning.\nMy name is", "Asha"),
            cue(1_000, "Asha.", "Asha"),
            cue(2_000, "Hello.", "Daughter"),
            cue(5_600, "I am worried.", "Daughter"),
            cue(6_600, "Tell me.", "Asha"),
        ]
    )
    assert [(one.start_ms, one.speaker, one.text) for one in found] == [
        (0, "Asha", "Good morning. My name is Asha."),
        (2_000, "Daughter", "Hello."),
        (5_600, "", "I am worried."),
        (6_600, "Asha", "Tell me."),
    ]


def test_a_long_speech_is_parted_at_the_end_of_a_sentence() -> None:
    cues = [cue(n * 1_000, f"words and words and more words {n}" + ("." if n % 4 == 3 else "")) for n in range(40)]
    found = transcript.paragraphs(cues)
    assert len(found) > 2
    assert all(one.text.endswith(".") for one in found)


def test_words_are_found_in_any_case_and_across_captions() -> None:
    paragraphs = transcript.paragraphs([cue(0, "I am SO"), cue(1_000, "sorry, so  sorry.")])
    found, count = transcript.marked(paragraphs, " so   Sorry ")
    assert count == 2
    assert [(piece.start_ms, piece.text, piece.match) for piece in found[0].pieces] == [
        (0, "I am ", False), (0, "SO ", True), (1_000, "sorry", True), (1_000, ", ", False), (1_000, "so  sorry", True),
        (1_000, ".", False),
    ]  # fmt: skip
    assert transcript.marked(paragraphs, "  ") == (paragraphs, 0)


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.text("ab .*\\(", min_size=1, max_size=8), min_size=1, max_size=6),
    wanted=st.text("ab .*\\(", max_size=150),
)
def test_marking_changes_no_word(texts: list[str], wanted: str) -> None:
    paragraphs = transcript.paragraphs([cue(n * 1_000, text) for n, text in enumerate(texts)])
    found, count = transcript.marked(paragraphs, wanted)
    assert [one.text for one in found] == [one.text for one in paragraphs]
    assert any(piece.match for one in found for piece in one.pieces) == (count > 0)


def test_languages_have_names_and_directions() -> None:
    assert languages.of("ur").direction == "rtl" and languages.of("ur").label == "اردو (Urdu)"
    assert languages.of("en-GB").label == "English" and languages.of("en-GB").tag == "en-GB"
    assert languages.of("xx").label == "xx"
    assert all(len(tag) <= 16 and tag == one.tag for tag, one in languages.LANGUAGES.items())
