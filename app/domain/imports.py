"""Bulk invitations from a CSV file: reading the file, saying what each row would do, and doing it.

A row can do what its importer could do by hand and no more. Of people whom the importer does not administer nothing is
told: a row about one reads as a row about somebody new, before and after.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, selectinload

from app import clock
from app.access import Action, Actor, policy
from app.access.places import may_appoint
from app.db.people import Group, GroupMembership, Person, Role, RoleAssignment
from app.db.places import WIDTH, Area, Organisation
from app.domain import audit, days, groups, invitations, mailed_links, people, spreadsheets
from app.domain.places import EVERYWHERE, Place
from app.errors import Invalid, TooLarge, VignetteError
from app.settings import Settings

COLUMNS = ("email", "name", "organisation", "role", "area", "group", "until")
MOST_BYTES = 1_000_000
MOST_ROWS = 2_000
#: The longest cell that is looked at, by column; a role or a day is short.
MOST = {"email": 320, "name": 200, "organisation": 200, "role": 32, "area": 200, "group": 200, "until": 32}


@dataclass(frozen=True)
class Row:
    """One row as it stands in the file. `fault` is what is wrong with its shape."""

    line: int
    email: str = ""
    name: str = ""
    organisation: str = ""
    role: str = ""
    area: str = ""
    group: str = ""
    until: str = ""
    fault: str = ""


def parse(data: bytes) -> list[Row]:
    """The rows of a file: comma, semicolon or tab; columns in any order, `email` among them.

    Raises:
        TooLarge: more than 1 MB or 2,000 rows.
        Invalid: no CSV, no header, a column that is not known or twice, or no row.
    """
    if len(data) > MOST_BYTES:
        raise TooLarge("The selected file must be smaller than 1 MB")
    rows = spreadsheets.read(spreadsheets.decode(data), COLUMNS)
    header = [cell.lower() for cell in next(rows, (0, []))[1]]
    columns = ", ".join(COLUMNS)
    unknown = [cell for cell in header if cell and cell not in COLUMNS]
    if "email" not in header:
        raise Invalid(f"The first row must name the columns: {columns}. The column email must be among them.")
    if unknown:
        raise Invalid(f"The column {unknown[0][:50]!r} is not known. Use: {columns}.")
    if len({cell for cell in header if cell}) != len([cell for cell in header if cell]):
        raise Invalid("Each column must be there only once.")
    found: list[Row] = []
    for line, cells in rows:
        if len(found) == MOST_ROWS:
            raise TooLarge(f"The selected file must have {MOST_ROWS:,} rows or fewer")
        found.append(_row(line, header, cells))
    if not found:
        raise Invalid("The selected file has no row below the names of its columns.")
    return found


def _row(line: int, header: list[str], cells: list[str]) -> Row:
    values = {name: cell for name, cell in zip(header, cells, strict=False) if name}
    stray = any(cells[len(header) :]) or any(cell for name, cell in zip(header, cells, strict=False) if not name)
    too_long = next((name for name, cell in values.items() if len(cell) > MOST[name]), "")
    row = Row(line, **{name: cell[: MOST[name]] for name, cell in values.items()})
    if stray:
        return replace(row, fault="The row has more cells than there are columns")
    return replace(row, fault=f"{too_long} must be {MOST[too_long]} characters or fewer") if too_long else row


class Kind(enum.StrEnum):
    """What becomes of a row, before and after."""

    INVITE = "invite"
    ROLE = "role"
    CHANGE = "change"
    SAME = "same"
    REFUSED = "refused"


BEFORE = {
    Kind.INVITE: "Will be invited",
    Kind.ROLE: "Will get a role",
    Kind.CHANGE: "Will be changed",
    Kind.SAME: "Already there",
    Kind.REFUSED: "Refused",
}
AFTER = BEFORE | {Kind.INVITE: "Invited", Kind.ROLE: "Got a role", Kind.CHANGE: "Changed"}


@dataclass(frozen=True)
class Outcome:
    """What a row does or did: `detail` says what, or why not."""

    line: int
    email: str
    kind: Kind
    detail: str


@dataclass(frozen=True)
class _Step:
    """What a row comes to: the parts of the act that are to be done."""

    outcome: Outcome
    email: str = ""
    name: str = ""
    person: Person | None = None
    role: Role | None = None
    place: Place = field(default_factory=Place)
    home: Organisation | None = None
    group: Group | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Report:
    """The outcomes in the order of the file, and the people to be told of their invitation."""

    outcomes: list[Outcome]
    invited: list[Person]

    def count(self, *kinds: Kind) -> int:
        """How many rows ended so."""
        return sum(outcome.kind in kinds for outcome in self.outcomes)


def dry_run(session: Session, actor: Actor, rows: list[Row]) -> Report:
    """What each row would do. Writes nothing."""
    plan = _Plan(session, actor, rows)
    return Report([plan.step(row).outcome for row in rows], [])


def carry_out(session: Session, actor: Actor, rows: list[Row], *, digest: str) -> Report:
    """Do all rows that can be done, in the caller's transaction, and say what became of each.

    Args:
        digest: SHA-256 of the file, for the audit.
    """
    plan = _Plan(session, actor, rows)
    outcomes: list[Outcome] = []
    invited: dict[uuid.UUID, Person] = {}
    for row in rows:
        step = plan.step(row)
        outcome = step.outcome
        if outcome.kind not in (Kind.REFUSED, Kind.SAME):
            try:
                with session.begin_nested():
                    person = _do(session, actor, step)
                if outcome.kind is Kind.INVITE:
                    invited[person.id] = person
            except VignetteError as error:
                outcome = replace(outcome, kind=Kind.REFUSED, detail=str(error))
            except IntegrityError:
                sentence = "Somebody else changed this at the same moment. Try the row again"
                outcome = replace(outcome, kind=Kind.REFUSED, detail=sentence)
        outcomes.append(outcome)
    report = Report(outcomes, list(invited.values()))
    counts = {kind.value: report.count(kind) for kind in Kind}
    audit.record(session, actor, "people:import", "people", digest=digest, rows=counts)
    return report


def can_be_invited(session: Session, actor: Actor, person: Person) -> bool:
    """Whether an invitation is what this person needs, and the actor's to send."""
    return (
        mailed_links.usable(person)
        and people.may_reset(session, actor, person)
        and not invitations.is_known(session, person)
    )


def invite(session: Session, settings: Settings, actor: Actor, report: Report) -> None:
    """Send their invitations to those of an import who need one. Nothing is told of who did not."""
    for person in report.invited:
        if can_be_invited(session, actor, person):
            invitations.invite(session, settings, actor, person)


def _do(session: Session, actor: Actor, step: _Step) -> Person:
    person = step.person
    if step.role is not None:
        person = people.add(
            session, actor, email=step.email, name=step.name, role=step.role, place=step.place, ends_at=step.ends_at
        )
    if person is None:
        raise Invalid("Enter a role")
    if step.home is not None and person.organisation_id is None:
        people.set_organisation(session, actor, person, step.home.id)
    if step.group is not None:
        groups.put(session, actor, step.group, person, ends_at=step.ends_at if step.role is None else None)
    return person


class _Refused(Exception):
    """Why a row cannot be done."""


class _Plan:
    """Everything that the rows speak of, read with a handful of queries, and what earlier rows will have done."""

    def __init__(self, session: Session, actor: Actor, rows: list[Row]) -> None:
        self.session, self.actor, self.now = session, actor, clock.now()
        emails = {row.email.lower() for row in rows}
        query = (
            select(Person)
            .where(func.lower(Person.email).in_(emails), Person.left_at.is_(None))
            .where(
                Person.id.in_(policy.visible(actor, Action.PERSON_ADMINISTER, self.now).with_only_columns(Person.id))
            )
            .options(selectinload(Person.roles))
        )
        #: only those whom the actor administers: anybody else is as good as unknown
        self.people = {person.email.lower(): person for person in session.scalars(query)}
        self.hidden = {
            email
            for email, left in session.execute(
                select(func.lower(Person.email), Person.left_at).where(func.lower(Person.email).in_(emails))
            )
            if email not in self.people and left is None
        }
        self.areas = self._areas(row.area for row in rows)
        names = {row.organisation.lower() for row in rows if row.organisation}
        mine = policy.visible(actor, Action.ORGANISATION_ADMINISTER, self.now)
        self.organisations: dict[str, Organisation] = {
            o.name.lower(): o for o in session.scalars(mine.where(func.lower(Organisation.name).in_(names)))
        }
        wanted = {row.group.lower() for row in rows if row.group}
        self.groups: dict[str, list[Group]] = {}
        own = policy.visible(actor, Action.GROUP_ADMINISTER, self.now).where(func.lower(Group.name).in_(wanted))
        for group in session.scalars(own):
            self.groups.setdefault(group.name.lower(), []).append(group)
        ids = [group.id for found in self.groups.values() for group in found]
        self.members: dict[tuple[uuid.UUID, str], datetime | None] = {
            (group_id, email): ends_at
            for group_id, email, ends_at in session.execute(
                select(GroupMembership.group_id, func.lower(Person.email), GroupMembership.ends_at)
                .join(Person, Person.id == GroupMembership.person_id)
                .where(GroupMembership.group_id.in_(ids), func.lower(Person.email).in_(self.people))
            )
        }
        self.may: dict[tuple[Role, Place], bool] = {}
        #: what rows above will have given: e-mails, and roles with their end
        self.added: set[str] = set()
        self.given: dict[str, dict[tuple[Role, Place], datetime | None]] = {}

    def _areas(self, wanted: Iterable[str]) -> dict[str, Area]:
        if not any(wanted):
            return {}
        rows = list(self.session.scalars(select(Area).order_by(WIDTH.desc(), Area.code.desc())))
        # codes come last and so win; of equal names the wider area wins
        return {area.name.lower(): area for area in rows} | {area.code.lower(): area for area in rows}

    def step(self, row: Row) -> _Step:
        """What a row comes to after the rows before it."""
        try:
            return self._step(row)
        except _Refused as refused:
            return _Step(Outcome(row.line, row.email, Kind.REFUSED, str(refused)))
        except Invalid as error:
            return _Step(Outcome(row.line, row.email, Kind.REFUSED, str(error)))

    def _step(self, row: Row) -> _Step:
        if row.fault:
            raise _Refused(row.fault)
        email = people.check_email(row.email)
        key = email.lower()
        role = self._role(row.role)
        organisation = self._organisation(row.organisation)
        group = self._group(row.group)
        ends_at = self._until(row.until)
        person = self.people.get(key)
        if role is None:
            if person is None:
                raise _Refused("Enter a role: viewer, facilitator, admin or custodian")
            return self._without_role(row, person, organisation, group, ends_at)
        place = self._place(row, organisation)
        if not self._may_give(role, place):
            raise _Refused(people.TOO_MUCH)
        words = f"{role.value} of {self._name(row, organisation)}"
        if group is not None:
            words += f"; group {group.name}"
        kind = self._kind_of_role(key, person, role, place, organisation, group, ends_at)
        self.given.setdefault(key, {})[role, place] = ends_at
        if group is not None:
            self.members[group.id, key] = None
        self.added.add(key)
        known = key in self.hidden
        return _Step(
            Outcome(row.line, row.email, kind, words),
            email, "" if known else row.name, person, role, place, None if known else organisation, group, ends_at,
        )  # fmt: skip

    def _kind_of_role(
        self, key: str, person: Person | None, role: Role, place: Place,
        organisation: Organisation | None, group: Group | None, ends_at: datetime | None,
    ) -> Kind:  # fmt: skip
        if person is not None:
            self._check_home(person, organisation)
        elif key not in self.added:
            return Kind.INVITE
        held = self._held(key, person)
        moves_in = person is not None and organisation is not None and person.organisation_id is None
        joins = group is not None and (group.id, key) not in self.members
        if (role, place) not in held:
            return Kind.ROLE
        if held[role, place] == ends_at:
            return Kind.CHANGE if moves_in or joins else Kind.SAME
        if role is Role.ADMIN and place == Place():
            raise _Refused("Change until when an admin of everywhere is one on their own page")
        return Kind.CHANGE

    def _held(self, key: str, person: Person | None) -> dict[tuple[Role, Place], datetime | None]:
        roles: list[RoleAssignment] = person.roles if person is not None else []
        held = {(r.role, Place(r.area_id, r.organisation_id)): r.ends_at for r in roles}
        return held | self.given.get(key, {})

    def _without_role(
        self, row: Row, person: Person, organisation: Organisation | None, group: Group | None, ends_at: datetime | None
    ) -> _Step:
        self._check_home(person, organisation)
        key = person.email.lower()
        home = organisation if organisation is not None and person.organisation_id is None else None
        joins = group is not None and ((group.id, key) not in self.members or self.members[group.id, key] != ends_at)
        words = [f"organisation {home.name}"] if home is not None else []
        if group is not None:
            words.append(f"group {group.name}")
            self.members[group.id, key] = ends_at
        kind = Kind.CHANGE if home is not None or joins else Kind.SAME
        outcome = Outcome(row.line, row.email, kind, "; ".join(words))
        return _Step(outcome, person=person, home=home, group=group if joins else None, ends_at=ends_at)

    def _check_home(self, person: Person, organisation: Organisation | None) -> None:
        if organisation is not None and person.organisation_id not in (None, organisation.id):
            raise _Refused("They belong to another organisation. Move them on their own page")

    def _role(self, word: str) -> Role | None:
        if not word:
            return None
        try:
            return Role(word.lower())
        except ValueError:
            raise _Refused("The role must be viewer, facilitator, admin or custodian") from None

    def _organisation(self, name: str) -> Organisation | None:
        if not name:
            return None
        found = self.organisations.get(name.lower())
        if found is None:
            raise _Refused("There is no organisation of this name among those that you administer")
        if found.closed_at is not None:
            raise _Refused(people.CLOSED)
        return found

    def _group(self, name: str) -> Group | None:
        if not name:
            return None
        found = self.groups.get(name.lower(), [])
        if not found:
            raise _Refused("There is no group of this name among those that you administer")
        if len(found) > 1:
            raise _Refused("You administer several groups of this name. Rename one, or add people on the group's page")
        return found[0]

    def _until(self, text: str) -> datetime | None:
        if not text:
            return None
        day = _day(text)
        if day is None:
            raise _Refused("until must be a real date, like 2027-03-31 or 31/03/2027")
        if day < days.today():
            raise _Refused("until must be today or later")
        return days.end_of(day)

    def _place(self, row: Row, organisation: Organisation | None) -> Place:
        if row.area.lower() in (EVERYWHERE, "everywhere"):
            return Place()
        if row.area:
            area = self.areas.get(row.area.lower())
            if area is None:
                raise _Refused("There is no area of this code or name")
            return Place(area_id=area.id)
        if organisation is None:
            raise _Refused("Say where the role holds: an area or an organisation")
        return Place(organisation_id=organisation.id)

    def _name(self, row: Row, organisation: Organisation | None) -> str:
        if row.area.lower() in (EVERYWHERE, "everywhere"):
            return "everywhere"
        if row.area:
            return self.areas[row.area.lower()].name
        return organisation.name if organisation is not None else ""

    def _may_give(self, role: Role, place: Place) -> bool:
        if (role, place) not in self.may:
            self.may[role, place] = may_appoint(self.session, self.actor, role, **place.columns())
        return self.may[role, place]


def _day(text: str) -> date | None:
    for form in ("%Y-%m-%d", "%d/%m/%Y"):
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return None
