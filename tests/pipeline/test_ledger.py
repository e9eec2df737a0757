from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.pipeline import ledger
from app.pipeline.ledger import Cell
from app.pipeline.spec import Stage, Workflow
from app.pipeline.workflows import INGEST

FACTS: dict[str, Any] = {
    "source": "s", "plan": "p", "sound": "n", "captions": "c", "audio": True, "long_audio": False, "heard_only": False,
    "copy": False, "encode": True, "others": True, "grows": True, "chunks": 3,
}  # fmt: skip


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Random workflows whose first stage makes the plan."""
    count = draw(st.integers(1, 7))
    stages = [Stage(name="s0", label="S")]
    for number in range(1, count):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) | {0}
        stages.append(
            Stage(
                name=f"s{number}",
                label="S",
                needs=tuple(f"s{n}" for n in sorted(needs)),
                retries=draw(st.integers(0, 2)),
                optional=draw(st.booleans()),
                per_chunk=draw(st.booleans()),
                when=draw(st.sampled_from(["", "yes", "no"])),
            )
        )
    return Workflow("random", tuple(stages), planner="s0")


class Book:
    """A ledger kept in memory, as the database keeps it: begin, finish, fail and lose, each with its attempt."""

    def __init__(self, workflow: Workflow, chunks: int) -> None:
        self.workflow = workflow
        self.plan = {"yes": True, "no": False, "chunks": chunks}
        self.facts: dict[str, Any] | None = None
        self.state = dict.fromkeys(ledger.rows(workflow, None), ledger.WAITING)
        self.attempt: dict[ledger.Place, int] = {}
        self.finished: dict[ledger.Place, int] = {}
        self.queued: dict[ledger.Place, int] = {}
        self.stopping = False
        self.outcome: str | None = None
        self.advance()

    def advance(self) -> None:
        cells = [Cell(*place, state) for place, state in self.state.items()]
        moves = ledger.advance(self.workflow, cells, self.facts, stopping=self.stopping)
        for place in moves.queue:
            assert self.state[place] == ledger.WAITING
            assert all(
                ledger.settled(self.workflow.stage(p[0]), s)
                for p, s in self.state.items()
                if p[0] in self.workflow.stage(place[0]).needs and p not in moves.skip
            )
            self.queued[place] = self.queued.get(place, 0) + 1
            self.state[place] = ledger.QUEUED
        for place in moves.skip:
            self.state[place] = ledger.SKIPPED
        for place in moves.cancel:
            self.state[place] = ledger.CANCELLED
        self.stopping = self.stopping or moves.broken
        again = ledger.advance(
            self.workflow, [Cell(*p, s) for p, s in self.state.items()], self.facts, stopping=self.stopping
        )
        assert not (again.queue or again.skip or again.cancel)
        if moves.outcome:
            assert self.outcome is None
            self.outcome = moves.outcome

    def begin(self, place: ledger.Place) -> int | None:
        if self.state[place] != ledger.QUEUED:
            return None
        self.state[place] = ledger.RUNNING
        self.attempt[place] = self.attempt.get(place, 0) + 1
        return self.attempt[place]

    def end(self, place: ledger.Place, attempt: int, state: str) -> bool:
        if self.state[place] != ledger.RUNNING or self.attempt[place] != attempt:
            return False
        if state == ledger.QUEUED and self.stopping:
            state = ledger.CANCELLED
        self.state[place] = state
        if state == ledger.SUCCEEDED:
            self.finished[place] = self.finished.get(place, 0) + 1
            if place[0] == self.workflow.planner:
                self.facts = self.plan
                for new in ledger.rows(self.workflow, self.plan):
                    self.state.setdefault(new, ledger.WAITING)
        self.advance()
        return True


@settings(max_examples=300, deadline=None)
@given(
    workflow=workflows(),
    chunks=st.integers(0, 4),
    seed=st.integers(0, 2**32),
    trouble=st.floats(0, 0.5),
    cancel=st.booleans(),
)
def test_whatever_happens_in_whatever_order_each_stage_ends_once_and_the_run_ends(
    workflow: Workflow, chunks: int, seed: int, trouble: float, cancel: bool
) -> None:
    chance = random.Random(seed)
    book = Book(workflow, chunks)
    tickets: list[tuple[ledger.Place, int]] = []  # attempts that workers believe to hold, the late ones too
    for step in range(2000):
        if book.outcome:
            break
        if cancel and step == 5:
            book.stopping = True
            book.advance()
        ready = [p for p, s in book.state.items() if s == ledger.QUEUED]
        if ready and (not tickets or chance.random() < 0.5):
            place = chance.choice(ready)
            attempt = book.begin(place)
            assert attempt is not None
            assert book.begin(place) is None
            tickets.append((place, attempt))
        elif tickets:
            place, attempt = chance.choice(tickets)
            fate = chance.random()
            if fate < trouble / 2:
                book.end(
                    place, attempt, ledger.QUEUED
                )  # lost, or failed with retries left; the ticket stays: a late end
            elif fate < trouble * 0.6:
                book.end(place, attempt, ledger.FAILED)
            elif not book.end(place, attempt, ledger.SUCCEEDED):
                tickets.remove((place, attempt))
    assert book.outcome in (ledger.SUCCEEDED, ledger.FAILED, ledger.CANCELLED)
    assert all(state in ledger.ENDED for state in book.state.values())
    assert all(count == 1 for count in book.finished.values())
    assert all(count == 1 for count in book.queued.values()), "a stage is put in the queue by the rules once only"
    if book.outcome == ledger.SUCCEEDED:
        assert all(ledger.settled(workflow.stage(p[0]), s) for p, s in book.state.items())
        assert set(book.state) == set(ledger.rows(workflow, book.plan))
    for place, attempt in tickets:
        assert not book.end(place, attempt, ledger.SUCCEEDED), "what comes after the end changes nothing"


def run_to(workflow: Workflow, facts: dict[str, Any], **states: str) -> ledger.Moves:
    cells = [Cell(*place, states.get(place[0], ledger.WAITING)) for place in ledger.rows(workflow, facts)]
    return ledger.advance(workflow, cells, facts)


def test_after_the_probe_sound_and_every_chunk_start_at_once() -> None:
    moves = run_to(INGEST, FACTS, probe=ledger.SUCCEEDED)
    assert moves.queue == [("audio", 0), ("transcode", 0), ("transcode", 1), ("transcode", 2)]
    assert moves.skip == [("first_sound", 0), ("copy", 0)]


def test_captions_and_stills_that_fail_do_not_keep_a_video_from_being_ready() -> None:
    ok = dict.fromkeys(["probe", "audio", "transcode", "join", "join_others", "download"], ledger.SUCCEEDED)
    absent = dict.fromkeys(["copy", "first_sound", "waves"], ledger.SKIPPED)
    bad = dict.fromkeys(["stills", "transcribe", "poster", "peaks"], ledger.FAILED)
    moves = run_to(INGEST, FACTS, **ok, **absent, **bad)
    assert moves.queue == [("finish", 0)]
    assert not moves.broken


def test_a_chunk_that_fails_stops_the_rest_but_waits_for_what_runs() -> None:
    cells = [
        Cell(*p, ledger.WAITING) for p in ledger.rows(INGEST, FACTS) if p[0] not in ("probe", "transcode", "audio")
    ]
    cells += [Cell("probe", 0, ledger.SUCCEEDED), Cell("audio", 0, ledger.RUNNING)]
    cells += [
        Cell("transcode", 0, ledger.FAILED),
        Cell("transcode", 1, ledger.QUEUED),
        Cell("transcode", 2, ledger.SUCCEEDED),
    ]
    moves = ledger.advance(INGEST, cells, FACTS)
    assert moves.broken
    assert moves.outcome is None
    assert ("transcode", 1) in moves.cancel
    assert ("finish", 0) in moves.cancel
    ended = [c._replace(state=ledger.CANCELLED) if (c.stage, c.chunk) in moves.cancel else c for c in cells]
    ended = [c._replace(state=ledger.SUCCEEDED) if c.stage == "audio" else c for c in ended]
    assert ledger.advance(INGEST, ended, FACTS, stopping=True).outcome == ledger.FAILED


def test_a_new_caption_model_reruns_the_captions_only() -> None:
    before = ledger.fingerprints(INGEST, FACTS)
    after = ledger.fingerprints(INGEST, {**FACTS, "captions": "another"})
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"transcribe", "finish"}
    have = ledger.reuse(INGEST, after, frozenset(before.values()), FACTS)
    assert have.reused == {
        *("audio", "copy", "join", "join_others", "stills", "waves", "download", "poster", "peaks"),
    }
    assert have.needless == {"transcode", "first_sound"}


def test_another_choice_of_sound_encodes_no_picture() -> None:
    before = ledger.fingerprints(INGEST, FACTS)
    after = ledger.fingerprints(INGEST, {**FACTS, "sound": "others"})
    have = ledger.reuse(INGEST, after, frozenset(before.values()), FACTS)
    assert have.reused == {"copy", "join", "join_others", "stills", "poster"}
    assert have.needless == {"transcode"}


def test_a_stage_that_is_not_wanted_brings_nothing_back() -> None:
    one_rung = {**FACTS, "others": False}
    before = ledger.fingerprints(INGEST, one_rung)
    kept = frozenset(p for name, p in before.items() if name != "join_others")
    after = ledger.fingerprints(INGEST, {**one_rung, "sound": "others"})
    assert "transcode" in ledger.reuse(INGEST, after, kept, one_rung).needless


def test_of_a_long_recording_the_first_minutes_come_before_the_rest() -> None:
    moves = run_to(INGEST, {**FACTS, "long_audio": True}, probe=ledger.SUCCEEDED)
    assert moves.queue == [("first_sound", 0), ("transcode", 0), ("transcode", 1), ("transcode", 2)]
    order = sorted(
        [("first_sound", 0), ("audio", 0), *(("transcode", chunk) for chunk in range(5))],
        key=lambda place: -INGEST.stage(place[0]).priority_of(place[1]),
    )
    assert order == [
        *(("transcode", n) for n in range(3)),
        ("first_sound", 0),
        ("audio", 0),
        ("transcode", 3),
        ("transcode", 4),
    ]


def test_a_lost_rendition_brings_the_chunks_back() -> None:
    prints = ledger.fingerprints(INGEST, FACTS)
    have = ledger.reuse(INGEST, prints, frozenset(p for name, p in prints.items() if name != "join_others"), FACTS)
    assert "join_others" not in have.reused
    assert have.needless == {"first_sound"}


def test_progress_grows_with_chunks_and_ends_at_one() -> None:
    def at(done: int) -> float:
        cells = [
            Cell(*p, ledger.WAITING) for p in ledger.rows(INGEST, FACTS) if p[0] not in ("probe", "transcode", "copy")
        ]
        cells += [Cell("probe", 0, ledger.SUCCEEDED), Cell("copy", 0, ledger.SKIPPED)]
        cells += [Cell("transcode", n, ledger.SUCCEEDED if n < done else ledger.RUNNING, 0.5) for n in range(3)]
        return ledger.fraction(INGEST, cells)

    assert 0 < at(0) < at(1) < at(2) < at(3) < 1
    assert ledger.fraction(INGEST, [Cell(*p, ledger.SUCCEEDED) for p in ledger.rows(INGEST, FACTS)]) == 1
    assert ledger.fraction(INGEST, [Cell(*p, ledger.WAITING) for p in ledger.rows(INGEST, None)]) == 0


def test_time_left_is_only_said_when_something_is_known() -> None:
    assert ledger.seconds_left(0.0, 100) is None
    assert ledger.seconds_left(0.25, 100) == 300
    assert ledger.seconds_left(1.0, 100) == 0
