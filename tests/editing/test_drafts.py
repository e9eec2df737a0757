"""Saving captions: versions, and nobody is overwritten in silence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.captions.comparing import Change, differences, merge
from app.captions.cues import Cue
from app.db.captions import CaptionOrigin
from app.domain import caption_drafts, caption_versions, captions
from app.domain.caption_drafts import EditedMeanwhile
from app.errors import Invalid, NotFound, TooLarge
from tests.editing.conftest import Desk, later


def reworded(cues: list[Cue], index: int, text: str) -> list[Cue]:
    return [*cues[:index], replace(cues[index], lines=(text,)), *cues[index + 1 :]]


def test_doubtful_words_come_with_their_captions(desk: Desk) -> None:
    assert [cue.doubtful for cue in desk.draft.cues] == [("mourning,",), ("mist",), (), (), ()]


def test_what_one_person_saves_in_one_sitting_is_one_version(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = desk.draft
    first = desk.save("ann", reworded(heard.cues, 0, "Good morning, please sit down."))
    second = desk.save("ann", reworded(first.cues, 4, "We will write to you on Thursday."))
    assert (heard.number, first.number, second.number) == (1, 2, 2)
    assert second.revision > first.revision > heard.revision
    assert desk.save("ann", second.cues).revision == second.revision, "nothing new is no save"
    third = desk.save("bea", reworded(second.cues, 1, "I complained about the missed diagnosis."))
    later(monkeypatch, 45)
    fourth = desk.save("bea", reworded(third.cues, 2, "I am sorry."))
    assert (third.number, fourth.number) == (3, 4)
    kept = caption_versions.listing(desk.session, desk.track)
    assert [(v.number, v.parent, v.by, v.origin) for v in kept] == [
        (4, 3, "Bea", CaptionOrigin.EDITED),
        (3, 2, "Bea", CaptionOrigin.EDITED),
        (2, 1, "Ann", CaptionOrigin.EDITED),
        (1, None, "", CaptionOrigin.AUTOMATIC),
    ]
    assert caption_versions.cues_of(desk.session, desk.track, 1) == heard.cues, "what was kept does not change"


def test_a_save_on_an_older_state_is_refused_with_what_is_there(desk: Desk) -> None:
    opened = desk.draft
    saved = desk.save("ann", reworded(opened.cues, 0, "Good morning."))
    mine = reworded(opened.cues, 4, "We will write on Thursday.")
    with pytest.raises(EditedMeanwhile) as refused:
        desk.save("bea", mine, opened.revision, base=opened.cues)
    error = refused.value
    assert str(error).startswith("Ann saved these captions at ")
    assert error.theirs.cues == saved.cues == desk.draft.cues
    assert error.merged is not None
    assert not error.merged.clashes
    assert [cue.text for cue in error.merged.cues][0::4] == ["Good morning.", "We will write on Thursday."]
    desk.save("bea", list(error.merged.cues), error.theirs.revision)
    assert [v.by for v in caption_versions.listing(desk.session, desk.track)] == ["Bea", "Ann", ""]


def test_apart_keeps_ones_own_earlier_version(desk: Desk) -> None:
    first = desk.save("ann", reworded(desk.draft.cues, 0, "One."))
    second = desk.save("ann", reworded(first.cues, 0, "Two."), apart=True)
    assert second.number == first.number + 1
    assert caption_versions.cues_of(desk.session, desk.track, first.number)[0].text == "One."


def test_restoring_makes_a_copy(desk: Desk) -> None:
    heard = desk.draft
    saved = desk.save("ann", reworded(heard.cues, 0, "Other."))
    with pytest.raises(EditedMeanwhile):
        caption_drafts.restore(desk.session, desk.actor("bea"), desk.recording, "en", 1, revision=heard.revision)
    back = caption_drafts.restore(desk.session, desk.actor("bea"), desk.recording, "en", 1, revision=saved.revision)
    assert (back.number, back.cues) == (3, heard.cues)
    assert caption_versions.cues_of(desk.session, desk.track, 2) == saved.cues
    with pytest.raises(NotFound):
        caption_drafts.restore(desk.session, desk.actor("bea"), desk.recording, "en", 9, revision=back.revision)


def test_an_import_is_worked_on_and_a_machine_does_not_replace_it(desk: Desk) -> None:
    cues = [Cue(0, 1000, ("From a file.",), 1.0)]
    version = captions.import_version(
        desk.session, desk.storage, desk.actor("ann"), desk.recording, "en", cues, note="file.srt"
    )
    assert (version.number, version.origin, version.parent) == (2, CaptionOrigin.IMPORTED, 1)
    assert desk.draft.cues == cues
    assert captions.published(desk.session, desk.recording.id, "en") is None


@pytest.mark.parametrize(
    ("cue", "error"),
    [
        (Cue(2000, 2000, ("x",), 1.0), Invalid),
        (Cue(-1, 2000, ("x",), 1.0), Invalid),
        (Cue(0, 2**31 - 1, ("x",), 1.0), Invalid),
        (Cue(0, 2000, ("x" * 3000,), 1.0), TooLarge),
    ],
)
def test_what_makes_no_sense_is_not_kept(desk: Desk, cue: Cue, error: type[Invalid]) -> None:
    with pytest.raises(error, match="Caption 1"):
        desk.save("ann", [cue])
    with pytest.raises(Invalid, match="Caption 2 begins before"):
        desk.save("ann", [Cue(5000, 6000, ("x",), 1.0), Cue(0, 900, ("y",), 1.0)])
    assert desk.draft.number == 1


def test_what_cannot_be_seen_is_taken_out(desk: Desk) -> None:
    saved = desk.save("ann", [Cue(0, 2000, ("  two \t words\x07 ", "", "\u202eevil"), 1.0, " A\nB ")])
    assert saved.cues[0].lines == ("two words", "evil")
    assert saved.cues[0].speaker == "A B"


# -- comparing and merging ---------------------------------------------------------------------------------------------

TRACK = st.lists(st.sampled_from("abcdef"), max_size=7).map(
    lambda words: [Cue(i * 1000, i * 1000 + 900, (word,), 1.0) for i, word in enumerate(words)]
)


def changes(cues: list[Cue], places: list[int], word: str) -> list[Cue]:
    return [replace(cue, lines=(word,)) if i in places else cue for i, cue in enumerate(cues)]


@settings(max_examples=60, deadline=None)
@given(TRACK, TRACK)
def test_a_comparison_holds_every_caption_of_both(before: list[Cue], after: list[Cue]) -> None:
    rows = differences(before, after)
    assert [row.before for row in rows if row.before] == before
    assert [row.after for row in rows if row.after] == after
    assert all((row.change is Change.SAME) == (row.before == row.after) for row in rows)


@settings(max_examples=60, deadline=None)
@given(TRACK, TRACK)
def test_merging_with_nothing_changed_gives_the_other(base: list[Cue], other: list[Cue]) -> None:
    for mine, theirs in ((base, other), (other, base), (other, other)):
        merged = merge(base, mine, theirs)
        assert list(merged.cues) == other
        assert not merged.clashes


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.lists(st.integers(0, 7)), st.lists(st.integers(0, 7)))
def test_nothing_of_two_works_is_lost(count: int, mine_at: list[int], theirs_at: list[int]) -> None:
    base = [Cue(i * 1000, i * 1000 + 900, (f"w{i}",), 1.0) for i in range(count)]
    mine, theirs = changes(base, mine_at, "mine"), changes(base, theirs_at, "theirs")
    merged = merge(base, mine, theirs)
    kept = [cue.text for cue in merged.cues]
    beside = [cue.text for clash in merged.clashes for cue in clash.theirs]
    assert kept.count("mine") == [cue.text for cue in mine].count("mine")
    assert kept.count("theirs") + beside.count("theirs") == [cue.text for cue in theirs].count("theirs")
    if not set(mine_at) & set(theirs_at) & set(range(count)) and not beside:
        assert len(kept) == count
    for clash in merged.clashes:
        assert "mine" in [cue.text for cue in merged.cues[clash.first : clash.last]]
