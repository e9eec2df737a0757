"""WebVTT out and in: what is written comes back, and nothing from a file becomes markup."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.captions import webvtt
from app.captions.cues import Cue
from app.errors import Invalid, TooLarge, VignetteError

PRINTABLE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), min_size=1, max_size=37)
NAMES = st.one_of(st.none(), PRINTABLE)


@st.composite
def tracks(draw: st.DrawFn) -> list[Cue]:
    cues, at = [], 0
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.integers(0, 4_000_000))
        length = draw(st.integers(1, 9_000_000))
        lines = tuple(draw(st.lists(PRINTABLE, min_size=1, max_size=2)))
        cues.append(Cue(at, at + length, lines, 1.0, draw(NAMES)))
    return cues


def body(text: str) -> bytes:
    return f"WEBVTT\n\n{text}\n".encode()


@settings(max_examples=200, deadline=None)
@given(cues=tracks(), note=st.text(max_size=80))
def test_what_is_written_comes_back(cues: list[Cue], note: str) -> None:
    track = webvtt.parse(webvtt.write(cues, language="en-GB", note=note).encode())
    assert list(track.cues) == cues
    assert track.language == "en-GB"


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [
                    "WEBVTT",
                    "",
                    "NOTE x",
                    "STYLE",
                    "1",
                    "00:00:01.000 --> 00:00:02.000",
                    "00:02.000 --> 00:01.000",
                    "<v Ann>hello",
                    "<script>",
                    "a < b",
                    "&amp;&#x3c;",
                    "-->",
                    "00:00:01.500 --> 00:00:03.000 line:0",
                ]
            ),
            max_size=14,
        ).map(lambda lines: "\n".join(["WEBVTT", "", *lines]).encode()),
    )
)
def test_any_bytes_are_parsed_or_refused_with_a_sentence(data: bytes) -> None:
    try:
        track = webvtt.parse(data)
    except VignetteError as error:
        assert str(error).endswith(".")
    else:
        assert all(c.start_ms < c.end_ms and c.lines for c in track.cues)
        # Whatever was accepted can be written again, and then means the same.
        assert webvtt.parse(webvtt.write(track.cues, language="en")).cues == track.cues


def test_the_file_looks_as_the_standard_wants() -> None:
    text = webvtt.write(
        [Cue(0, 1_500, ("Hello <b>you</b>", "& me --> here"), 0.9, "Dr <A>"), Cue(3_661_001, 3_662_000, ("Bye",), 1.0)],
        language="en",
        note="Automatic captions, not yet checked.\n\nMade --> by machine.",
    )
    assert text == (
        "WEBVTT\n\nNOTE Language: en\n\nNOTE\nAutomatic captions, not yet checked.\nMade -> by machine.\n\n"
        "1\n00:00:00.000 --> 00:00:01.500\n<v Dr &lt;A&gt;>Hello &lt;b&gt;you&lt;/b&gt;\n&amp; me --&gt; here\n\n"
        "2\n01:01:01.001 --> 01:01:02.000\nBye\n"
    )


@pytest.mark.parametrize(
    "cues",
    [
        [Cue(2_000, 1_000, ("x",), 1.0)],
        [Cue(1_000, 1_000, ("x",), 1.0)],
        [Cue(-1, 1_000, ("x",), 1.0)],
        [Cue(0, 1_000, (" ",), 1.0)],
        [Cue(5_000, 6_000, ("x",), 1.0), Cue(0, 1_000, ("y",), 1.0)],
    ],
)
def test_the_writer_refuses_what_no_player_could_show(cues: list[Cue]) -> None:
    with pytest.raises(Invalid):
        webvtt.write(cues, language="en")


def test_the_writer_refuses_a_language_that_is_none() -> None:
    with pytest.raises(Invalid, match="language tag"):
        webvtt.write([], language="en\n\nNOTE")


def test_a_file_of_another_tool_is_read() -> None:
    track = webvtt.parse(
        "\ufeffWEBVTT - made elsewhere\r\nKind: captions\r\nLanguage: cy\r\n\r\nNOTE checked\r\nby hand\r\n\r\n"
        "STYLE\r\n::cue { color: red }\r\n\r\nintro\r\n00:01.000 --> 00:02.500 align:start position:10%\r\n"
        "<v.loud Ann &amp; Bo><i>Good</i> <c.x>mor&shy;ning</c>\r\n<00:00:02.000>all</v>\r\n".encode()
    )
    assert track.language == "cy"
    assert track.notes == ("checked\nby hand",)
    assert track.cues == (Cue(1_000, 2_500, ("Good mor\u00adning", "all"), 1.0, "Ann & Bo"),)
    assert [f.line for f in track.flags] == [8, 12]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("00:00:03.000 --> 00:00:01.000\nx", "line 3 ends before it begins"),
        ("00:00:01.000 --> 00:00:01.000\nx", "line 3 ends before it begins"),
        ("00:00:01,000 --> 00:00:02,000\nx", "Line 3 has no valid time"),
        ("00:00:61.000 --> 00:00:62.000\nx", "Line 3 has no valid time"),
        ("1\n0:00:01.000 --> 0:00:02.000\nx", "Line 4 has no valid time"),
        ("00:00:01.000 --> 00:00:02.000 onclick=x\ny", "unknown setting"),
        ("00:00:05.000 --> 00:00:06.000\nx\n\n00:00:01.000 --> 00:00:02.000\ny", "line 6 begins before"),
        ("00:00:01.000 --> 00:00:02.000\nx\n00:00:03.000 --> 00:00:04.000\ny", "Line 5 is a time without"),
        ("00:00:01.000 --> 00:00:02.000\n3 < 4", "opens no tag"),
        ("just words", "Line 3 is neither"),
        ("9999:00:01.000 --> 9999:00:02.000\nx", "beyond 100 hours"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(text: str, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        webvtt.parse(body(text))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not a WebVTT file"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nsrt", "not a WebVTT file"),
        (b"WEBVTTX\n\n", "not a WebVTT file"),
        (b"WEBVTT\n\n\xff\xfe", "not UTF-8"),
        (b"WEBVTT\n\n\x00", "zero bytes"),
        (b"WEBVTT\n00:00:01.000 --> 00:00:02.000\nx", "Line 2 must be blank"),
    ],
)
def test_what_is_no_webvtt_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        webvtt.parse(data)


def test_script_is_inert_in_and_out() -> None:
    track = webvtt.parse(
        body("00:00:01.000 --> 00:00:02.000\n<script>alert(1)</script><img src=x onerror=alert(1)>hi &lt;script&gt;")
    )
    assert track.cues[0].lines == ("alert(1)hi <script>",)
    assert len(track.flags) == 3
    assert "<script" not in webvtt.write(track.cues, language="en")


def test_overlap_is_read_but_flagged() -> None:
    track = webvtt.parse(body("00:00:01.000 --> 00:00:04.000\nx\n\n00:00:03.000 --> 00:00:05.000\ny"))
    assert len(track.cues) == 2
    assert [f.line for f in track.flags] == [6]


def test_sizes_are_bounded_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLarge, match="longer than 2000 characters"):
        webvtt.parse(body("00:00:01.000 --> 00:00:02.000\n" + "x" * 2_001))
    with pytest.raises(TooLarge, match="at most 4 MB"):
        webvtt.parse(b"WEBVTT\n\n" + b" " * webvtt.MAX_BYTES)
    monkeypatch.setattr(webvtt, "MAX_CUES", 2)
    cue = "00:00:01.000 --> 00:00:02.000\nx\n\n"
    with pytest.raises(TooLarge, match="at most 2 captions"):
        webvtt.parse(body(cue * 3))
    with pytest.raises(TooLarge, match="at most 2 captions"):
        webvtt.write([Cue(0, 1_000, ("x",), 1.0)] * 3, language="en")
