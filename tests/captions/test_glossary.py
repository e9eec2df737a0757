"""A glossary becomes a short, clean hint."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.captions import glossary


def test_terms_keep_their_order_and_lose_doubles_and_dirt() -> None:
    assert glossary.prompt(["HbA1c", " amlodipine,", "hba1c", "", "a\nb", "x" * 61]) == "HbA1c, amlodipine, a b"


def test_no_terms_give_no_hint() -> None:
    assert glossary.prompt([]) == ""


@given(st.lists(st.text(max_size=80), max_size=60))
def test_the_hint_stays_within_the_engines_room(terms: list[str]) -> None:
    hint = glossary.prompt(terms)
    assert glossary.tokens(hint) <= glossary.MAX_TOKENS
    assert hint.isprintable() or not hint


@pytest.mark.weights
def test_the_estimate_is_never_below_the_real_tokenizer(weights: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    for text in (
        "amlodipine",
        "HbA1c, sertraline, Llanfairpwll",
        "Żółkiewski",
        "pneumonoultramicroscopic",
        "咳嗽",
        "e, e, e",
    ):
        assert len(tokenizer.encode(" " + text, add_special_tokens=False).ids) <= glossary.tokens(text), text
