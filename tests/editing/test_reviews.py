"""Marking captions as checked: what stands against it, two pairs of eyes, and what viewers see."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from app.captions import webvtt
from app.captions.cues import Cue
from app.clock import now
from app.db.audit import AuditEvent
from app.db.recordings import Artefact, ArtefactKind
from app.domain import caption_drafts, caption_reviews, caption_showing, captions, grants, watching
from app.domain.caption_drafts import EditedMeanwhile
from app.errors import Conflict
from tests.editing.conftest import Desk


def review(desk: Desk, name: str, *, four_eyes: bool = False, names_are_right: bool = False) -> None:
    caption_reviews.review(
        desk.session, desk.storage, desk.actor(name), desk.recording, "en", revision=desk.track.revision,
        four_eyes=four_eyes, names_are_right=names_are_right,
    )  # fmt: skip


def tick_all(desk: Desk, name: str) -> None:
    caption_drafts.check_all(desk.session, desk.actor(name), desk.recording, "en", revision=desk.track.revision)


def seen_by(desk: Desk, name: str, *, everyone: bool = False) -> list[tuple[bool, int]]:
    shown = caption_showing.number(desk.actor(name), now(), everyone=everyone)
    return [(track.checked, len(track.cues)) for track in watching.captions(desk.session, desk.recording.id, shown)]


def test_viewers_see_what_was_checked_and_makers_also_what_was_not(desk: Desk) -> None:
    assert seen_by(desk, "viewer") == []
    assert seen_by(desk, "ann") == [(False, 5)]
    assert seen_by(desk, "viewer", everyone=True) == [(False, 5)]
    tick_all(desk, "ann")
    review(desk, "ann")
    assert seen_by(desk, "viewer") == seen_by(desk, "ann") == [(True, 5)]
    found = captions.published(desk.session, desk.recording.id, "en")
    assert found is not None
    assert found.number == 2
    track = desk.track
    assert (track.reviewed_by_id, track.reviewed_version) == (desk.people["ann"].id, 2)
    stored = desk.session.scalars(select(Artefact).where(Artefact.kind == ArtefactKind.CAPTIONS)).one()
    assert [cue.text for cue in webvtt.parse(desk.storage.get_bytes(stored.key)).cues] == [c.text for c in found.cues]
    # work goes on: viewers keep what was checked until the new version is
    desk.save("ann", desk.draft.cues[:3])
    assert seen_by(desk, "viewer") == [(True, 5)]
    assert desk.draft.number == 3, "what viewers see is not written over"
    review(desk, "ann")
    assert seen_by(desk, "viewer") == [(True, 3)]
    caption_reviews.unpublish(desk.session, desk.actor("bea"), desk.recording, "en")
    assert seen_by(desk, "viewer") == []
    assert desk.session.scalars(select(Artefact).where(Artefact.kind == ArtefactKind.CAPTIONS)).all() == []
    acts = desk.session.scalars(select(AuditEvent.action).where(AuditEvent.action.like("captions:%"))).all()
    assert acts.count("captions:publish") == 2
    assert acts[-1] == "captions:unpublish"


def test_what_stands_against_it_is_said(desk: Desk) -> None:
    with pytest.raises(Conflict, match="5 captions have not been checked yet"):
        review(desk, "ann")
    desk.save("ann", [*desk.draft.cues, Cue(12_000, 13_000, (), 1.0, None, True)])
    with pytest.raises(Conflict, match="Caption 6 has no text"):
        review(desk, "ann")
    named = [replace(cue, checked=True) for cue in desk.draft.cues[:5]]
    desk.save("ann", [*named[:4], replace(named[4], lines=("Good bye, Mr Example.",))])
    with pytest.raises(Conflict, match="Caption 5 says “Mr Example"):
        review(desk, "ann")
    review(desk, "ann", names_are_right=True)
    assert seen_by(desk, "viewer") == [(True, 5)]


def test_a_name_that_only_sounds_so_is_no_bar(desk: Desk) -> None:
    cues = [replace(cue, checked=True) for cue in desk.draft.cues]
    desk.save("ann", [*cues[:4], replace(cues[4], lines=("For example, a letter.",))])
    found = caption_reviews.named_in(desk.session, desk.recording, desk.draft.cues)
    assert [(name.index, name.exact) for name in found] == [(4, False)]
    review(desk, "ann")


def test_a_review_is_of_what_one_has_seen(desk: Desk) -> None:
    tick_all(desk, "ann")
    before = desk.track.revision
    desk.save("bea", desk.draft.cues[:2])
    with pytest.raises(EditedMeanwhile):
        caption_reviews.review(
            desk.session, desk.storage, desk.actor("ann"), desk.recording, "en", revision=before, four_eyes=False
        )
    assert seen_by(desk, "viewer") == []


def test_with_four_eyes_one_person_is_not_enough(desk: Desk) -> None:
    tick_all(desk, "ann")
    review(desk, "ann", four_eyes=True)
    assert seen_by(desk, "viewer") == []
    assert caption_reviews.waits_for_second(desk.session, desk.track, four_eyes=True)
    revision = desk.track.revision
    with pytest.raises(Conflict, match="neither edited nor checked"):
        caption_reviews.approve(desk.session, desk.storage, desk.actor("ann"), desk.recording, "en", revision=revision)
    caption_reviews.approve(desk.session, desk.storage, desk.actor("bea"), desk.recording, "en", revision=revision)
    assert seen_by(desk, "viewer") == [(True, 5)]
    assert desk.track.approved_by_id == desk.people["bea"].id
    assert not caption_reviews.waits_for_second(desk.session, desk.track, four_eyes=True)


def test_with_four_eyes_an_editor_and_another_reviewer_are_two(desk: Desk) -> None:
    tick_all(desk, "ann")
    review(desk, "bea", four_eyes=True)
    assert seen_by(desk, "viewer") == [(True, 5)]


def test_nobody_approves_what_nobody_checked(desk: Desk) -> None:
    with pytest.raises(Conflict, match="Nobody has marked"):
        caption_reviews.approve(
            desk.session, desk.storage, desk.actor("bea"), desk.recording, "en", revision=desk.track.revision
        )


def test_publishing_without_checked_captions_is_said_and_meant(desk: Desk) -> None:
    recording = desk.recording
    recording.published_at = None
    with pytest.raises(Conflict, match="Nobody has checked the captions") as refused:
        grants.publish(desk.session, desk.actor("ann"), recording)
    assert refused.value.code == "captions-unchecked"
    grants.publish(desk.session, desk.actor("ann"), recording, without_captions=True)
    event = desk.session.scalars(select(AuditEvent).where(AuditEvent.action == "recording:publish")).one()
    assert event.detail == {"captions": False}
    recording.published_at = None
    grants.publish(desk.session, desk.actor("ann"), recording, unchecked_shown=True)
    recording.published_at, recording.has_audio = None, False
    grants.publish(desk.session, desk.actor("ann"), recording)
    recording.published_at, recording.has_audio = None, True
    tick_all(desk, "ann")
    review(desk, "ann")
    grants.publish(desk.session, desk.actor("ann"), recording)
