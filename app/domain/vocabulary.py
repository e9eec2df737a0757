"""The vocabulary: seeded from data that ships with the project, and read by forms and filters.

Seeding adds what is missing and changes nothing that is there, so that an owner's edits survive every start.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from app.db.places import Area, AreaKind
from app.db.vocabulary import EvaluationQuestion, Framework, FrameworkDomain, Term, TermKind
from app.errors import Invalid

DATA = Path(__file__).with_name("vocabulary.json")
_LISTS = {
    TermKind.THEME: "themes",
    TermKind.PROFESSION: "professions",
    TermKind.ORIGIN: "case_origins",
}


def data() -> dict[str, Any]:
    """The seed as it ships."""
    read: dict[str, Any] = json.loads(DATA.read_text())
    return read


def slug(text: str) -> str:
    """A code made of a name: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def seed(session: Session) -> int:
    """Add what is missing, but areas only where there is none yet: from then on they are the admins', who rename, move
    and delete them. Returns how many rows were added."""
    added = 0
    seeds = data()
    areas = {area.code: area for area in session.scalars(select(Area))}

    def area(code: str, name: str, kind: AreaKind, parent: Area | None, body: str = "") -> Area:
        nonlocal added
        areas[code] = Area(code=code, name=name, kind=kind, parent_id=parent.id if parent else None, body=body)
        session.add(areas[code])
        session.flush()
        added += 1
        return areas[code]

    if not areas:
        for country in seeds["countries"]:
            area(country["code"], country["name"], AreaKind.COUNTRY, None, country["body"])
        for region in seeds["regions"]:
            parent = area(region["code"], region["name"], AreaKind.REGION, areas[region["country"]])
            for locality in region["localities"]:
                area(f"{region['code']}-{slug(locality)}"[:64], locality, AreaKind.LOCALITY, parent)

    terms = {(row.kind, row.code) for row in session.execute(select(Term.kind, Term.code))}
    lists = {kind: seeds[name] for kind, name in _LISTS.items()}
    lists[TermKind.CHARACTERISTIC] = seeds["protected_characteristics"]["terms"]
    for kind, names in lists.items():
        for position, name in enumerate(names):
            if (kind, slug(name)) not in terms:
                session.add(Term(kind=kind, code=slug(name), name=name[:1].upper() + name[1:], position=position))
                added += 1

    frameworks = set(session.scalars(select(Framework.code)))
    for entry in seeds["frameworks"]:
        if entry["code"] not in frameworks:
            session.add(
                Framework(
                    code=entry["code"],
                    title=entry["title"],
                    supersedes_code=entry.get("supersedes"),
                    confirmed=entry["confirmed"],
                    domains=[FrameworkDomain(position=i, name=name) for i, name in enumerate(entry["domains"])],
                )
            )
            added += 1

    questions = set(session.scalars(select(EvaluationQuestion.text)))
    low, high = seeds["evaluation"]["ends"]
    for position, text in enumerate(seeds["evaluation"]["domains"]):
        if text not in questions:
            session.add(EvaluationQuestion(text=text, position=position, low_label=low, high_label=high))
            added += 1
    session.flush()
    return added


def terms_of(session: Session, kind: TermKind) -> list[Term]:
    """The terms of a list that are in use, in their order."""
    return list(
        session.scalars(
            select(Term).where(Term.kind == kind, Term.retired_at.is_(None)).order_by(Term.position, Term.name)
        )
    )


def find_terms(session: Session, kind: TermKind, wanted: list[str]) -> list[Term]:
    """Terms by code or name, in any case.

    Raises:
        Invalid: one of them is not in the list; the sentence names the list.
    """
    known = {key: term for term in terms_of(session, kind) for key in (term.code, term.name.lower(), str(term.id))}
    found: list[Term] = []
    for word in wanted:
        term = known.get(word.strip().lower()) or known.get(slug(word))
        if term is None:
            names = "; ".join(sorted({t.name for t in known.values()}))
            raise Invalid(
                f"{word!r} is not a {kind.value} in the vocabulary. Use one of: {names}.",
                fields={kind.value: f"Choose a {kind.value} from the list"},
            )
        if term not in found:
            found.append(term)
    return found


def frameworks(session: Session) -> list[Framework]:
    """All frameworks with their domains."""
    return list(session.scalars(select(Framework).options(selectinload(Framework.domains)).order_by(Framework.title)))


def evaluation_questions(session: Session) -> list[EvaluationQuestion]:
    """The questions asked after watching, in their order."""
    return list(
        session.scalars(
            select(EvaluationQuestion)
            .where(EvaluationQuestion.retired_at.is_(None))
            .order_by(EvaluationQuestion.position)
        )
    )


def notice() -> list[str]:
    """What everybody must know of a case: the four statements, as data."""
    return [str(statement) for statement in data()["notice"]["must_say"]]
