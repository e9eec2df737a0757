"""The Range header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web import ranges

SIZES = st.integers(0, 10**12)


@given(SIZES, st.integers(0, 10**13), st.integers(0, 10**13))
def test_a_range_is_what_python_would_slice(size: int, first: int, length: int) -> None:
    last = first + length
    header = f"bytes={first}-{last}"
    wanted = range(size)[first : last + 1]
    if not wanted:
        with pytest.raises(ranges.Unsatisfiable):
            ranges.parse(header, size)
    else:
        assert ranges.parse(header, size) == (wanted[0], wanted[-1])


@given(SIZES, st.integers(0, 10**13))
def test_open_and_suffix_ranges(size: int, n: int) -> None:
    for header, wanted in ((f"bytes={n}-", range(size)[n:]), (f"bytes=-{n}", range(size)[max(0, size - n) :])):
        if not wanted:
            with pytest.raises(ranges.Unsatisfiable):
                ranges.parse(header, size)
        else:
            assert ranges.parse(header, size) == (wanted[0], wanted[-1])


@given(SIZES, st.text(max_size=40) | st.from_regex(r"bytes=[0-9,\- ]{0,12}", fullmatch=True))
def test_whatever_comes_the_answer_lies_within_the_object(size: int, header: str) -> None:
    try:
        found = ranges.parse(header, size)
    except ranges.Unsatisfiable:
        return
    assert found is None or 0 <= found[0] <= found[1] < size


@pytest.mark.parametrize(
    "header",
    ["bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=0-1,3-4", "bytes=0-0,0-0", "bytes=--1", "bytes=1-2-3",
     "bytes=" + "9" * 5000 + "-", "bytes=٣-", "bytes=0x1-2"],
)  # fmt: skip
def test_refused(header: str) -> None:
    with pytest.raises(ranges.Unsatisfiable):
        ranges.parse(header, 100)


def test_no_range_and_other_units_mean_the_whole() -> None:
    assert ranges.parse(None, 100) is None
    assert ranges.parse("seconds=1-2", 100) is None
    assert ranges.parse(" BYTES = 1-2 ", 100) == (1, 2)
