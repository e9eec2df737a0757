"""Captions in and out of every format: what is written comes back, and what is hostile is refused or inert."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.captions import alignment, docx, files, plaintext, srt, ttml
from app.captions.cues import Cue, lint
from app.captions.tracks import MAX_BYTES, MAX_CUES, MAX_FLAGS, Track
from app.errors import Invalid, TooLarge, VignetteError

#: Whatever may stand in a caption: no control characters, no spaces but between words, and none of what XML forbids.
WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp", "Zs"), exclude_characters="\u2060"))
LINE = st.one_of(
    WORDS.filter(bool).map(lambda text: text[:37]),
    st.sampled_from(
        [
            "a <b>bold</b> & <script>x()</script>",
            "1",
            "00:00:01,000 --> 00:00:02,000",
            "{\\an8}up",
            "=1+1",
            "]]>",
            "a  b",
        ]
    ),
)
NAMES = st.sampled_from([None, "Dr Lee", "Mother", "DAUGHTER", "Niamh O’Dea"])
KNOWN = ("Dr Lee", "Mother", "DAUGHTER", "Niamh O’Dea")
TIMED = ("vtt", "srt", "ttml", "docx")
EXISTING = [
    Cue(1_000, 3_000, ("Good morning. My name is Asha,",), 1.0, "Asha"),
    Cue(3_000, 5_500, ("I am one of the doctors.",), 1.0, "Asha"),
    Cue(9_000, 11_000, ("Hello. I am worried about Mum.",), 1.0, "Daughter"),
]


@st.composite
def tracks(draw: st.DrawFn) -> list[Cue]:
    cues, at = [], 0
    for _ in range(draw(st.integers(1, 6))):
        at += draw(st.integers(0, 4_000_000))
        lines = tuple(draw(st.lists(LINE, min_size=1, max_size=2)))
        cues.append(Cue(at, at + draw(st.integers(1, 9_000_000)), lines, 1.0, draw(NAMES)))
    return cues


@pytest.mark.parametrize("kind", TIMED)
@settings(max_examples=60, deadline=None)
@given(cues=tracks())
def test_text_times_and_speakers_come_back(kind: str, cues: list[Cue]) -> None:
    data = files.write(kind, cues, language="en-GB", title="Falls & after", note="Not <checked>")
    track = files.read(data, f"a.{kind}", speakers=KNOWN)
    assert list(track.cues) == cues
    assert track.language == ("en-GB" if kind in ("vtt", "ttml") else None)


BITS = (
    "WEBVTT", "1", "", "00:00:01,000 --> 00:00:02,000", "00:00:01.000 --> 00:00:02.000", "00:00:05,0 --> 00:00:01,0",
    "<script>alert(1)</script>", "<i>x", "-->", "99:99:99,999 --> 1", "{\\pos(1,2)}x", "\x00", "DR LEE: yes", "\ufeff",
)  # fmt: skip
TAGS = (
    '<tt xmlns="http://www.w3.org/ns/ttml">', "</tt>", "<body>", "</body>", '<p begin="1s" end="2s">', "</p>", "<br/>",
    '<p begin="9s" dur="-1">', "&x;", "<!DOCTYPE tt>", "<![CDATA[x]]>", '<span begin="x">', "</span>", "words",
    '<div timeContainer="seq">', "</div>",
)  # fmt: skip


@pytest.mark.parametrize("kind", files.FORMATS)
@settings(max_examples=120, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=120),
        st.lists(st.sampled_from(BITS), max_size=9).map(lambda bits: "\n".join(bits).encode()),
        st.lists(st.sampled_from(TAGS), max_size=9).map(
            lambda bits: "".join(['<tt xmlns="http://www.w3.org/ns/ttml"><body>', *bits]).encode()
        ),
    )
)
def test_any_bytes_are_read_or_refused_in_a_sentence(kind: str, data: bytes) -> None:
    parse = {"srt": srt.parse, "ttml": ttml.parse, "docx": docx.parse}.get(kind)
    try:
        track = files.read(data, f"a.{kind}", existing=EXISTING, duration_ms=12_000)
        assert all(0 <= cue.start_ms < cue.end_ms and cue.lines for cue in track.cues)
        if parse is not None:
            parse(data)
    except VignetteError as refusal:
        assert str(refusal).endswith((".", ")"))


def package(body: str = "", *, files: dict[str, bytes] | None = None) -> bytes:
    """A Word document with this body, and other files in it."""
    parts = {
        "[Content_Types].xml": b"<Types/>",
        "word/document.xml": f'<w:document xmlns:w="{docx._W}"><w:body>{body}</w:body></w:document>'.encode(),
        **(files or {}),
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in parts.items():
            made.writestr(name, data)
    return target.getvalue()


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 2_000), value=st.integers(0, 255))
def test_a_damaged_document_is_read_or_refused(place: int, value: int) -> None:
    data = bytearray(docx.write(EXISTING, language="en"))
    data[place % len(data)] = value
    try:
        files.read(bytes(data), "a.docx", existing=EXISTING, duration_ms=12_000)
    except VignetteError as refusal:
        assert str(refusal)


TT = '<tt xmlns="http://www.w3.org/ns/ttml"{}><body><div>{}</div></body></tt>'
BOMB = b"<?xml version='1.0'?><!DOCTYPE t [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><t>&b;</t>"
OUTSIDE = b'<Relationships><Relationship Id="r" TargetMode="External" Type="x/attachedTemplate" Target="http://e/"/></Relationships>'


REFUSED = [
        ("a.srt", b"WEBVTT\n\n1\n00:00:02,000 --> 00:00:01,000\nx", "no valid time"),
        ("a.srt", b"1\n00:00:02,000 --> 00:00:01,000\nx\n", "line 2 ends before it begins"),
        ("a.srt", b"1\n00:00:0x,000 --> 00:00:01,000\nx\n", "not an SRT file: line 1"),
        ("a.srt", b"1\n00:00:00,000 --> 00:00:01,000\nx\n\n2\n00:61:00,000 --> 00:62:01,000\ny", "Line 6"),
        ("a.srt", b"1\n999:00:00,000 --> 999:00:01,000\nx\n", "beyond 100 hours"),
        ("a.srt", b"just words", "not an SRT file"),
        ("a.srt", "1\n00:00:00,000 --> 00:00:01,000\n\u0081".encode("utf-16-be"), "not text in UTF-8"),
        ("a.srt", b"1\n00:00:00,000 --> 00:00:01,000\n" + b"x" * 2_001, "longer than 2000"),
        ("a.srt", b"1\n00:00:00,000 --> 00:00:01,000\n\n", "no captions in this file"),
        ("a.ttml", BOMB, "declares a document type"),
        ("a.ttml", b"<!DOCTYPE html><html></html>", "declares a document type"),
        ("a.ttml", b"<tt/>", "not a TTML file"),
        ("a.ttml", TT.format("", '<p begin="3s" end="2s">x</p>').encode(), "ends before it begins"),
        ("a.ttml", TT.format("", '\n<p begin="noon" end="2s">x</p>').encode(), "Line 2 of the TTML file has no valid time"),
        ("a.ttml", TT.format("", '<p begin="1s">x</p>').encode(), "does not say when it ends"),
        ("a.ttml", TT.format(' xmlns:p="http://www.w3.org/ns/ttml#parameter" p:timeBase="smpte"', "").encode(), "media time"),
        ("a.ttml", TT.format("", "<div>" * 80 + "</div>" * 80).encode(), "nested too deeply"),
        ("a.ttml", TT.format("", '<p begin="0s" end="1s"><image src="a.png"/></p>').encode(), "are pictures"),
        ("a.docx", b"PK\x03\x04 and no more", "not a Word document"),
        ("a.docx", package(files={"word/vbaProject.bin": b"x"}), "macros"),
        ("a.docx", package(files={"[Content_Types].xml": b"<Types macroEnabled=''/>"}), "macros"),
        ("a.docx", package(files={"word/_rels/document.xml.rels": OUTSIDE}), "from another place"),
        ("a.docx", package(files={"word/document.xml": BOMB}), "declares a document type"),
        ("a.docx", package(files={"word/document.xml": b" " * (25 << 20)}), "far larger inside"),
        ("a.docx", package("<w:p><w:r><w:t></w:t></w:r></w:p>"), "no words"),
        ("a.txt", b" \n ", "no words"),
        ("a.exe", b"MZ", "must be WebVTT"),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "sentence"), REFUSED, ids=[sentence for _, _, sentence in REFUSED])
def test_what_cannot_be_read_is_refused_and_says_where(name: str, data: bytes, sentence: str) -> None:
    with pytest.raises(Invalid) as refusal:
        files.read(data, name, existing=EXISTING, duration_ms=12_000)
    assert sentence in str(refusal.value)


def numbered(count: int) -> list[Cue]:
    return [Cue(at * 1_000, at * 1_000 + 900, ("yes",), 1.0) for at in range(count)]


def enlarged(kind: str) -> bytes:
    """A file with three times as many captions as a track can have."""
    if kind == "docx":
        row = "<w:tr>" + "".join(
            f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in ("0:01", "0:02", "yes")
        )
        head = row.replace("0:01", "Start").replace("0:02", "End").replace("yes", "Text")
        return package(f"<w:tbl>{head}</w:tr>" + f"{row}</w:tr>" * 3 * MAX_CUES + "</w:tbl>")
    text = files.write(kind, numbered(1), language="en").decode()
    block = {"vtt": "\n00:00:00.000 --> 00:00:01.000\nyes\n", "srt": "\n00:00:00,000 --> 00:00:01,000\nyes\n"}.get(kind)
    if block:
        return (text + block * 3 * MAX_CUES).encode()
    return text.replace("</div>", '<p begin="0s" end="1s">yes</p>' * 3 * MAX_CUES + "</div>").encode()


@pytest.mark.parametrize("kind", TIMED)
def test_three_times_too_many_captions_are_refused(kind: str) -> None:
    with pytest.raises(TooLarge):
        files.read(enlarged(kind), f"a.{kind}")


def test_too_many_bytes_are_refused_unread() -> None:
    with pytest.raises(TooLarge, match="4 MB"):
        files.read(b"x" * (MAX_BYTES + 1), "a.srt")


def test_markup_of_any_format_becomes_words_or_nothing() -> None:
    found = files.read(
        b"1\r\n00:00:01,5 --> 00:00:02,000 X1:0\r\n<font color=red>one</font> <script>two()</script>\r\n{\\an8}3 < 4\r\n",
        "a.srt",
    )
    assert found.cues == (Cue(1_500, 2_000, ("one two()", "3 < 4"), 1.0),)
    assert [flag.sentence.split(";")[0] for flag in found.flags] == [
        "The position of this caption was left out.",
        "An unknown tag in this caption was left out",
    ]
    inner = '<p begin="1s" end="2s">one <metadata>no</metadata><x onload="a()">two</x><br/><![CDATA[<script>]]></p>'
    assert files.read(TT.format("", inner).encode(), "a.ttml").cues[0].lines == ("one two", "<script>")


def test_captions_out_of_order_and_shown_together_are_reported() -> None:
    found = files.read(b"1\n00:00:05,000 --> 00:00:07,000\nb\n\n2\n00:00:01,000 --> 00:00:06,000\na\n", "a.srt")
    assert [cue.text for cue in found.cues] == ["a", "b"]
    assert [(flag.line, flag.sentence) for flag in found.flags] == [
        (1, "The captions were not in order of time; they were put in order."),
        (2, "This caption begins while another is still shown."),
    ]


def test_remarks_are_as_many_as_anybody_reads() -> None:
    text = "WEBVTT\n" + "\n00:00:01.000 --> 00:00:02.000 line:0\nx\n" * 500
    flags = files.read(text.encode(), "a.vtt").flags
    assert len(flags) == MAX_FLAGS and "999 remarks" in flags[-1].sentence


def test_old_encodings_are_read_and_told() -> None:
    found = files.read("1\n00:00:01,000 --> 00:00:02,000\nA café – “so”".encode("cp1252"), "a.srt")
    assert found.cues[0].text == "A café – “so”" and "Windows-1252" in found.flags[0].sentence
    assert files.read("1\n00:00:01,000 --> 00:00:02,000\né".encode("utf-16"), "a.srt").cues[0].text == "é"


def test_blank_lines_and_figures_inside_an_srt_caption_are_its_words() -> None:
    found = files.read(
        b"1\n00:00:01,000 --> 00:00:02,000\none\n\n42\n\n2\n00:00:03,000 --> 00:00:04,000\ntwo\n", "a.srt"
    )
    assert [cue.lines for cue in found.cues] == [("one", "42"), ("two",)]


@pytest.mark.parametrize(
    ("attributes", "times", "expected"),
    [
        ("", 'begin="00:00:01.5" dur="500ms"', (1_500, 2_000)),
        (' p:frameRate="25"', 'begin="00:00:01:10" end="50f"', (1_400, 2_000)),
        (' p:frameRate="30" p:frameRateMultiplier="1000 1001"', 'begin="0s" end="30f"', (0, 1_001)),
        (' p:tickRate="10000000"', 'begin="10000000t" end="20000000t"', (1_000, 2_000)),
    ],
)
def test_ttml_counts_time_in_many_ways(attributes: str, times: str, expected: tuple[int, int]) -> None:
    parameters = f' xmlns:p="http://www.w3.org/ns/ttml#parameter"{attributes}'
    cue = files.read(TT.format(parameters, f"<p {times}>x</p>").encode(), "a.xml").cues[0]
    assert (cue.start_ms, cue.end_ms) == expected


def test_ttml_adds_up_times_from_outside_in() -> None:
    found = files.read(
        TT.format("", '<div begin="10s" end="20s"><p><span begin="1s" end="2s">a</span><span begin="3s">b</span></p></div>')
        .encode(), "a.ttml"
    )  # fmt: skip
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in found.cues] == [
        (11_000, 12_000, "a"),
        (13_000, 20_000, "b"),
    ]


def test_deleted_words_of_a_document_stay_out() -> None:
    cells = ("0:01", "0:02", "kept")
    row = "".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in cells)
    row = row.replace(
        "<w:r><w:t>kept", "<w:del><w:r><w:delText>gone</w:delText><w:t>gone</w:t></w:r></w:del><w:r><w:t>kept"
    )
    head = row.replace("0:01", "Start").replace("0:02", "End").replace("kept", "Text")
    assert files.read(package(f"<w:tbl><w:tr>{head}</w:tr><w:tr>{row}</w:tr></w:tbl>"), "a.docx").cues == (
        Cue(1_000, 2_000, ("kept",), 1.0),
    )


def test_a_document_without_a_table_is_read_as_text() -> None:
    body = "".join(f"<w:p><w:r><w:t>{cue.speaker}: {cue.text}</w:t></w:r></w:p>" for cue in EXISTING)
    found = files.read(package(body), "a.docx", existing=EXISTING, duration_ms=12_000)
    assert {cue.speaker for cue in found.cues} == {"Asha", "Daughter"}
    assert "Good morning." in found.cues[0].text


# -- text without times ----------------------------------------------------------------------------------------------------


def test_words_take_the_times_of_the_captions_that_are_there() -> None:
    text = "Asha: Good morning. My name is Asha, I am one of the senior doctors.\n\nDaughter: Hello. I am worried about my Mum.\n"
    found = files.read(text.encode(), "a.txt", existing=EXISTING, duration_ms=12_000)
    assert (
        " ".join(cue.text for cue in found.cues)
        == text.replace("Asha: ", "").replace("Daughter: ", "").replace("\n\n", " ").strip()
    )
    assert "word by word" in found.flags[0].sentence
    last = [cue for cue in found.cues if cue.speaker == "Daughter"]
    assert abs(last[0].start_ms - 9_000) <= 1 and last[0].text.startswith("Hello.")
    assert all(cue.speaker == "Asha" for cue in found.cues if cue.start_ms < 8_999)
    assert not [breach for breach in lint(found.cues) if breach.rule in ("reversed", "overlap", "order", "lines")]


def test_another_language_is_laid_out_over_the_speech() -> None:
    text = "Bore da. Asha ydw i, rwy’n un o’r meddygon yma. Helo. Rwy’n poeni am Mam, dyna’r cyfan."
    found = files.read(text.encode(), "a.txt", existing=EXISTING, duration_ms=12_000)
    assert "in proportion" in found.flags[0].sentence
    assert found.cues[0].start_ms == 1_000 and 9_000 < found.cues[-1].end_ms <= 12_000
    assert " ".join(cue.text for cue in found.cues) == text


def test_a_text_without_captions_to_time_it_by_is_refused() -> None:
    with pytest.raises(Invalid, match="has none yet"):
        files.read(b"words", "a.txt")


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(["Asha:", "one", "doctors.", "x" * 50, "\n", "Mum.", "DR LEE:"]), min_size=1, max_size=60
    )
)
def test_any_text_keeps_its_words_in_cues_that_follow_each_other(words: list[str]) -> None:
    try:
        found = plaintext.parse(" ".join(words), EXISTING, duration_ms=12_000)
    except Invalid:
        assert not "".join(words).replace("\n", "").strip()
        return
    text = "".join("".join(cue.lines) for cue in found.cues).replace(" ", "")
    assert text.count("x") == "".join(words).count("x")
    ends = [0, *(cue.end_ms for cue in found.cues)]
    assert all(before <= cue.start_ms < cue.end_ms for before, cue in zip(ends, found.cues, strict=False))


@settings(max_examples=100, deadline=None)
@given(old=st.lists(st.sampled_from("abcdef"), max_size=25), new=st.lists(st.sampled_from("abcdef"), max_size=25))
def test_paired_words_rise_and_the_same_text_is_paired_whole(old: list[str], new: list[str]) -> None:
    found = [at for at in alignment.pair(old, new) if at is not None]
    assert found == sorted(set(found)) and all(0 <= at < len(old) for at in found)
    assert alignment.pair(new, new) == list(range(len(new)))


def test_plain_text_is_paragraphs_by_speaker() -> None:
    text = files.write("txt", EXISTING, language="en").decode()
    assert text == (
        "Asha: Good morning. My name is Asha, I am one of the doctors.\n\nDaughter: Hello. I am worried about Mum.\n"
    )
    again = files.read(text.encode(), "a.txt", existing=EXISTING, duration_ms=12_000)
    assert isinstance(again, Track) and [cue.speaker for cue in again.cues] == ["Asha", "Daughter"]
