"""Finding words in titles and in what is said, and the places where they are.

Every query begins with the policy's predicate, so a search tells nothing of what the asker may not view. Words are read
by PostgreSQL's `websearch_to_tsquery`: "quoted phrases", or, -not.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY
from sqlalchemy.orm import Session, aliased

from app import clock
from app.access import Action, Actor, policy
from app.db.captions import CaptionTrack, CaptionVersion, Cue
from app.db.cases import Case
from app.db.recordings import Recording, RecordingState
from app.domain import caption_showing
from app.domain.caption_showing import Shown

MOST_WORDS = 200
HITS_EACH = 3
_ENGLISH = cast("english", REGCONFIG)
#: Words as they are written, for captions in languages whose endings the database is not told of.
_SIMPLE = cast("simple", REGCONFIG)
#: Marks of matched words inside a snippet on its way from the database: characters that no text of ours keeps.
_START, _STOP = "\ue000", "\ue001"
_PHRASE = re.compile(r'"[^"]+"')
_MARKED = re.compile(f"{_START}(.*?){_STOP}", re.S)


@dataclass(frozen=True)
class Piece:
    """A stretch of a snippet; `match` marks the words that were looked for."""

    text: str
    match: bool


@dataclass(frozen=True)
class Hit:
    """A place where something was found: the second, and the words around it."""

    recording_id: uuid.UUID
    title: str
    kind: str
    start: float
    pieces: Sequence[Piece]

    @property
    def snippet(self) -> str:
        """The words, unmarked."""
        return "".join(piece.text for piece in self.pieces)


def cleaned(words: str) -> str:
    """Search words as they can be given to the database: no control characters, one space between, not too many."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:MOST_WORDS]


def _asked(words: str, language: ColumnElement[Any] = _ENGLISH) -> ColumnElement[Any]:
    return func.websearch_to_tsquery(language, words, type_=TSQUERY)


def _in_english() -> ColumnElement[bool]:
    return or_(CaptionTrack.language == "en", CaptionTrack.language.startswith("en-"))


def _is_said(words: str) -> ColumnElement[bool]:
    """Whether a cue says the words: in English whatever their endings, in any other language as they are written."""
    return or_(
        and_(_in_english(), _says(words, _ENGLISH, lambda cue: cue.search)),
        and_(~_in_english(), _says(words, _SIMPLE, lambda cue: cue.words)),
    )


def _says(words: str, language: ColumnElement[Any], vector: Callable[[Any], Any]) -> ColumnElement[bool]:
    """Whether a cue's vector fits. A phrase may also begin in one cue and end in the next: the index then finds cues with
    any of its words, and the words of both are read."""
    asked = _asked(words, language)
    fits: ColumnElement[bool] = vector(Cue).bool_op("@@")(asked)
    if not _PHRASE.fullmatch(words):
        return fits
    any_word = cast(func.regexp_replace(cast(asked, Text), "<(-|[0-9]+)>", "|", "g"), TSQUERY)
    behind = aliased(Cue)
    goes_on = exists().where(
        behind.version_id == Cue.version_id,
        behind.position == Cue.position + 1,
        vector(behind).bool_op("@@")(any_word),
        ~vector(behind).bool_op("@@")(asked),
        func.to_tsvector(language, func.concat_ws(" ", Cue.text, behind.text)).bool_op("@@")(asked),
    )
    return or_(fits, and_(vector(Cue).bool_op("@@")(any_word), goes_on.correlate_except(behind)))


def _said_rank(words: str) -> ColumnElement[float]:
    return case(
        (_in_english(), func.ts_rank(Cue.search, _asked(words))),
        else_=func.ts_rank(Cue.words, _asked(words, _SIMPLE)),
    )


def _case_search() -> ColumnElement[Any]:
    return func.to_tsvector(_ENGLISH, Case.title)


def said(shown: Shown, *columns: Any) -> Select[Any]:
    """The cues that the asker gets to see: of the version of each track that is shown to them."""
    return (
        select(*columns)
        .select_from(Cue)
        .join(CaptionVersion, CaptionVersion.id == Cue.version_id)
        .join(CaptionTrack, caption_showing.version_is(shown))
    )


def matches(words: str, shown: Shown) -> ColumnElement[bool]:
    """Recordings that say the words in their title or description, in their case's title, or aloud."""
    asked = _asked(words)
    in_case = select(Case.id).where(_case_search().op("@@")(asked))
    aloud = said(shown, CaptionTrack.recording_id).where(_is_said(words))
    return or_(
        Recording.title_search.op("@@")(asked), Recording.case_id.in_(in_case), Recording.id.in_(aloud)
    )  # fmt: skip


def rank(words: str, shown: Shown) -> ColumnElement[float]:
    """How well a recording matches: title (2 to 3) before case (1 to 2) before speech (0 to 1)."""
    asked = _asked(words)
    of_case = select(_case_search()).where(Case.id == Recording.case_id).correlate(Recording).scalar_subquery()
    aloud = (
        said(shown, func.max(_said_rank(words)))
        .where(CaptionTrack.recording_id == Recording.id, _is_said(words))
        .correlate(Recording)
        .scalar_subquery()
    )
    found = case(
        (Recording.title_search.op("@@")(asked), 2 + func.ts_rank(Recording.title_search, asked)),
        (of_case.op("@@")(asked), 1 + func.ts_rank(of_case, asked)),
        else_=func.coalesce(aloud, 0),
    )
    return cast(found, Float(53))


# -- where it is said --------------------------------------------------------------------------------------------------


def pieces_of(marked: str) -> list[Piece]:
    """A snippet with our marks, taken apart."""
    pieces: list[Piece] = []
    place = 0
    for found in _MARKED.finditer(marked):
        if found.start() > place:
            pieces.append(Piece(marked[place : found.start()], False))
        pieces.append(Piece(found[1], True))
        place = found.end()
    if place < len(marked):
        pieces.append(Piece(marked[place:], False))
    return pieces


def _clean(text: Any) -> ColumnElement[str]:
    """Text without line ends, and without characters that could be taken for our marks."""
    return func.translate(text, f"\n\r\t{_START}{_STOP}", "   ")


def _headline(text: Any, asked: ColumnElement[Any], options: str) -> ColumnElement[str]:
    return func.ts_headline(_ENGLISH, text, asked, f'StartSel="{_START}", StopSel="{_STOP}", {options}')


def _around(hits: Any, asked: ColumnElement[Any]) -> tuple[Select[Any], ColumnElement[str]]:
    """For a subquery with `version_id` and `position`: a select over it, and the words of the cue and its neighbours."""
    here, before, behind = aliased(Cue), aliased(Cue), aliased(Cue)
    query = (
        select(hits)
        .outerjoin(here, and_(here.version_id == hits.c.version_id, here.position == hits.c.position))
        .outerjoin(before, and_(before.version_id == hits.c.version_id, before.position == hits.c.position - 1))
        .outerjoin(behind, and_(behind.version_id == hits.c.version_id, behind.position == hits.c.position + 1))
    )
    words = func.concat_ws(" ", _clean(before.text), _clean(here.text), _clean(behind.text))
    return query, _headline(words, asked, "HighlightAll=true")


def spoken(session: Session, recordings: Sequence[Recording], words: str, shown: Shown) -> dict[uuid.UUID, list[Hit]]:
    """Where the words are said in these recordings, which the actor may view: at most three places each, one query."""
    asked = _asked(words)
    rank = _said_rank(words)
    best = (
        said(
            shown,
            CaptionTrack.recording_id,
            Cue.version_id,
            Cue.position,
            Cue.start_ms,
            func.row_number()
            .over(partition_by=CaptionTrack.recording_id, order_by=(rank.desc(), Cue.start_ms, Cue.version_id))
            .label("place"),
        )
        .where(CaptionTrack.recording_id.in_([recording.id for recording in recordings]), _is_said(words))
        .subquery()
    )
    query, marked = _around(best, asked)
    titles = {recording.id: recording.title for recording in recordings}
    found: dict[uuid.UUID, list[Hit]] = {}
    rows = session.execute(
        query.add_columns(marked.label("marked")).where(best.c.place <= HITS_EACH).order_by(best.c.start_ms)
    )
    for row in rows:
        found.setdefault(row.recording_id, []).append(
            Hit(row.recording_id, titles[row.recording_id], "speech", row.start_ms / 1000, pieces_of(row.marked))
        )
    return found


#: Part (0 titles, 1 speech), rank, recording, caption version (or again the recording), position of the cue.
Cursor = tuple[int, float, str, str, int]


def hits(
    session: Session, actor: Actor, words: str, shown: Shown, *, after: Cursor | None = None, size: int = 25
) -> tuple[list[Hit], Cursor | None]:
    """Places that fit the words, in all recordings that the actor may view: titles first, then speech, the better match
    first. One query. Gives the places, and the cursor of the next page or None."""
    now, asked = clock.now(), _asked(words)
    mine = and_(policy.where(actor, Action.RECORDING_VIEW, now), Recording.state != RecordingState.WITHDRAWN)
    described = func.concat_ws(". ", Recording.title, Case.title, func.nullif(Recording.description, ""))
    titled = func.to_tsvector(_ENGLISH, described)
    in_title = (
        select(
            literal(0).label("part"),
            (-cast(func.ts_rank(titled, asked), Float(53))).label("rank"),
            Recording.id.label("recording_id"),
            literal(-1).label("position"),
            literal(0).label("start_ms"),
            Recording.id.label("version_id"),
            Recording.title.label("title"),
            described.label("described"),
        )
        .join(Case, Case.id == Recording.case_id)
        .where(
            mine,
            or_(Recording.title_search.op("@@")(asked), _case_search().op("@@")(asked)),
        )
    )
    aloud = said(
        shown,
        literal(1),
        -cast(_said_rank(words), Float(53)),
        Recording.id,
        Cue.position,
        Cue.start_ms,
        Cue.version_id,
        Recording.title,
        literal(""),
    ).join(Recording, Recording.id == CaptionTrack.recording_id)
    both = in_title.union_all(aloud.where(mine, _is_said(words))).subquery()
    key = (both.c.part, both.c.rank, both.c.recording_id, both.c.version_id, both.c.position)
    edge = (
        true()
        if after is None
        else func.row(*key) > func.row(*after[:2], uuid.UUID(after[2]), uuid.UUID(after[3]), after[4])
    )
    page = select(both).where(edge).order_by(*key).limit(size + 1).subquery()
    query, marked = _around(page, asked)
    in_words = _headline(_clean(page.c.described), asked, "MaxWords=30, MinWords=12")
    rows = session.execute(
        query.add_columns(case((page.c.part == 0, in_words), else_=marked).label("marked")).order_by(
            page.c.part, page.c.rank, page.c.recording_id, page.c.version_id, page.c.position
        )
    ).all()
    found = [
        Hit(
            row.recording_id,
            row.title,
            "speech" if row.part else "title",
            row.start_ms / 1000,
            pieces_of(row.marked),
        )
        for row in rows[:size]
    ]
    if len(rows) <= size:
        return found, None
    last = rows[size - 1]
    return found, (last.part, last.rank, str(last.recording_id), str(last.version_id), last.position)
