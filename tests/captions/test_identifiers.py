"""Names and numbers that must not be said are found where they are, or nearly are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.captions.identifiers import Mention, find
from app.captions.words import Word


def said(text: str) -> list[Word]:
    return [Word(i, i + 0.5, word, 0.9) for i, word in enumerate(text.split())]


def places(identifiers: list[str], text: str) -> list[tuple[int, int, bool]]:
    return [(m.first, m.last, m.exact) for m in find(identifiers, said(text))]


def test_a_name_is_found_with_its_time() -> None:
    assert find(["Mary Smith"], said("So MARY Smith, came in")) == [Mention("Mary Smith", 1, 2, 1.0, 2.5, True)]


@pytest.mark.parametrize(
    ("identifier", "text", "expected"),
    [
        ("Smith", "It was Smith's idea", [(2, 2, True)]),
        ("Smith", "the Smiths left", [(1, 1, False)]),
        ("Katherine", "so Catherine said", [(1, 1, False)]),
        ("McDonald", "Mr Mc Donald said", [(1, 2, True)]),
        ("Mary Ann Jones", "Maryann Jones, yes", [(0, 1, True)]),
        ("José", "I met Jose there", [(2, 2, True)]),
        ("Mary Smith", "then Mary said", [(1, 1, False)]),
        ("Dr Owens", "the Dr said so", []),
        ("Ann", "an ant and Ana", []),
        ("Mary", "marry Mark", []),
        ("Leeds General", "at Leeds General Infirmary", [(1, 2, True)]),
        ("Smith-Jones", "Ms Smith Jones is here", [(1, 2, True)]),
        ("943 476 5919", "it is 943-476 5919 now", [(2, 3, True)]),
        ("0113 4960", "oh one one three four nine six oh please", [(0, 7, True)]),
        ("0113 4960", "zero double one three 4960", [(0, 4, True)]),
        ("42", "at 42 or so", []),
        ("", "anything", []),
        ("?!", "anything ?! else", []),
    ],
)
def test_names_and_numbers(identifier: str, text: str, expected: list[tuple[int, int, bool]]) -> None:
    assert places([identifier], text) == expected


def test_several_identifiers_come_in_order_of_the_words() -> None:
    found = find(["Okafor", "Mary"], said("Mary saw Doctor Okafor and Mary left"))
    assert [(m.identifier, m.first) for m in found] == [("Mary", 0), ("Okafor", 3), ("Mary", 5)]


@given(st.lists(st.text(max_size=12), max_size=5), st.lists(st.text(min_size=1, max_size=12), max_size=20))
def test_indexes_always_fit_the_words(identifiers: list[str], plain: list[str]) -> None:
    words = [Word(i, i + 1, text, 1.0) for i, text in enumerate(plain)]
    for mention in find(identifiers, words):
        assert 0 <= mention.first <= mention.last < len(words)
        assert mention.identifier in identifiers


@given(st.lists(st.sampled_from(["the", "nurse", "came", "later"]), max_size=10), st.integers(0, 10))
def test_an_exact_name_is_never_missed(plain: list[str], at: int) -> None:
    plain.insert(min(at, len(plain)), "Okonkwo,")
    assert (plain.index("Okonkwo,"), True) in [(m.first, m.exact) for m in find(["Okonkwo"], said(" ".join(plain)))]
