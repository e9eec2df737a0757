"""Codes of authenticator apps, recovery codes, and who must show one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.sign_in import RecoveryCode, SecondFactor, WebSession
from app.domain import recovery_codes, second_factors, sign_in
from app.errors import Conflict, Forbidden, Invalid, NotFound, TooManyRequests
from app.settings import Settings
from tests.factors.support import actor_of, add_app
from tests.support.world import World

MOMENT = datetime(2027, 1, 31, 12, 0, 15, tzinfo=UTC)
#: RFC 6238, appendix B: the secret "12345678901234567890", SHA-1, the last six of its eight digits
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"}


class Frozen:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.moment = MOMENT

    def now(self) -> datetime:
        return self.moment

    def step(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Frozen]:
    made = Frozen()
    monkeypatch.setattr(clock, "now", made.now)
    return made


@pytest.fixture
def key(settings: Settings) -> str:
    return settings.secret_key


@pytest.fixture
def admin(session: Session) -> Person:
    person: Person = World(session).person("ada@example.org", Role.ADMIN, "NEY")
    session.commit()
    return person


def events(session: Session, action: str) -> list[AuditEvent]:
    return list(session.scalars(select(AuditEvent).where(AuditEvent.action == action)))


@pytest.mark.parametrize(("seconds", "code"), RFC_CODES.items())
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert second_factors.matching_step(RFC_SECRET, code, datetime.fromtimestamp(seconds, UTC)) == seconds // 30


@given(late=st.integers(min_value=-200, max_value=200))
def test_a_code_counts_for_its_step_and_the_neighbours(late: int) -> None:
    code = pyotp.TOTP(RFC_SECRET).at(MOMENT)
    there = MOMENT + timedelta(seconds=late)
    apart = int(there.timestamp()) // 30 - int(MOMENT.timestamp()) // 30
    found = second_factors.matching_step(RFC_SECRET, code, there)
    assert found == (int(MOMENT.timestamp()) // 30 if abs(apart) <= 1 else None)


def test_a_code_never_works_twice(session: Session, key: str, admin: Person, frozen: Frozen) -> None:
    factor, app = add_app(session, key, admin)
    who = actor_of(session, admin)
    assert factor.confirmed_at == MOMENT
    with pytest.raises(Invalid, match="used already"):
        second_factors.prove(session, who, key, app.at(frozen.now()))
    frozen.step(30)
    spaced = f"{app.at(frozen.now())[:3]} {app.at(frozen.now())[3:]}"
    assert second_factors.prove(session, who, key, spaced) == "totp"
    for old in (frozen.now(), frozen.now() - timedelta(seconds=30)):
        with pytest.raises(Invalid):
            second_factors.prove(session, who, key, app.at(old))
    frozen.step(30)
    assert second_factors.prove(session, who, key, app.at(frozen.now() + timedelta(seconds=30))) == "totp"
    with pytest.raises(Invalid):
        second_factors.prove(session, who, key, app.at(frozen.now()))
    assert [event.detail["kind"] for event in events(session, "factor:prove")] == ["totp", "totp"]
    assert len(events(session, "factor:refuse")) == 4


def test_an_app_that_waits_proves_nothing(session: Session, key: str, admin: Person, frozen: Frozen) -> None:
    who = actor_of(session, admin)
    factor = second_factors.start_app(session, who, key, "")
    app = pyotp.TOTP(second_factors.secret_of(key, factor))
    assert factor.secret is not None
    assert app.secret.encode() not in factor.secret, "it is sealed"
    assert not second_factors.has_any(session, admin.id)
    with pytest.raises(Invalid):
        second_factors.prove(session, who, key, app.at(frozen.now()))
    with pytest.raises(Invalid):
        second_factors.confirm_app(session, who, key, factor, "000000" if app.at(frozen.now()) != "000000" else "1")
    again = second_factors.start_app(session, who, key, "another")
    with pytest.raises(NotFound):
        second_factors.waiting_app(session, who, factor.id)
    stranger = World(session).person("s@example.org")
    with pytest.raises(NotFound):
        second_factors.waiting_app(session, actor_of(session, stranger), again.id)
    frozen.step(3601)
    with pytest.raises(NotFound):
        second_factors.waiting_app(session, who, again.id)


def test_failures_make_wait_and_the_right_code_waits_too(
    session: Session, key: str, admin: Person, frozen: Frozen
) -> None:
    _, app = add_app(session, key, admin)
    who = actor_of(session, admin)
    frozen.step(60)
    wrong = "000000" if app.at(frozen.now()) != "000000" else "111111"
    for _ in range(5):
        with pytest.raises(Invalid):
            second_factors.prove(session, who, key, wrong)
    with pytest.raises(TooManyRequests):
        second_factors.prove(session, who, key, app.at(frozen.now()))
    frozen.step(2)
    assert second_factors.prove(session, who, key, app.at(frozen.now())) == "totp"


def test_recovery_codes_work_once(session: Session, key: str, admin: Person) -> None:
    add_app(session, key, admin)
    who = actor_of(session, admin)
    codes = recovery_codes.make(session, who, admin.id)
    session.commit()
    assert len(set(codes)) == 10
    stored = {row.code_hash for row in session.scalars(select(RecoveryCode))}
    assert not stored & set(codes)
    assert second_factors.prove(session, who, key, codes[3].upper().replace("-", " ")) == "recovery"
    assert recovery_codes.left(session, admin.id) == 9
    session.commit()
    with pytest.raises(Invalid):
        second_factors.prove(session, who, key, codes[3])
    recovery_codes.make(session, who, admin.id)
    with pytest.raises(Invalid):
        second_factors.prove(session, who, key, codes[4])
    assert recovery_codes.left(session, admin.id) == 10


def test_nobody_elses_codes_work(session: Session, key: str, admin: Person, frozen: Frozen) -> None:
    other = World(session).person("other@example.org", Role.ADMIN, "NEY")
    _, app = add_app(session, key, other)
    codes = recovery_codes.make(session, actor_of(session, other), other.id)
    add_app(session, key, admin)
    frozen.step(30)
    for code in (app.at(frozen.now()), codes[0]):
        with pytest.raises(Invalid):
            second_factors.prove(session, actor_of(session, admin), key, code)


@pytest.mark.parametrize(
    ("role", "must"), [(Role.VIEWER, False), (Role.FACILITATOR, False), (Role.ADMIN, True), (Role.CUSTODIAN, True)]
)
def test_who_must_have_one(session: Session, key: str, role: Role, must: bool, frozen: Frozen) -> None:
    world = World(session)
    person = world.person("p@example.org")
    world.role(person, role, organisation=world.organisation(), ends_at=MOMENT + timedelta(hours=1))
    who = actor_of(session, person)
    assert second_factors.must_have(who) is must
    before = second_factors.before_proof(session, who, required=True)
    assert (before is not None) is must
    assert second_factors.before_proof(session, who, required=False) is None
    add_app(session, key, person)
    for required in (True, False):
        left = second_factors.before_proof(session, who, required=required)
        assert left == {"account:prove", "account:session"}, (
            "who has one is always asked for it, and cannot add another before"
        )
    frozen.step(7200)
    assert not second_factors.must_have(actor_of(session, person)), "the role has ended"


def test_the_last_one_stays_with_an_admin(session: Session, key: str, admin: Person) -> None:
    first, _ = add_app(session, key, admin)
    second, _ = add_app(session, key, admin)
    who = actor_of(session, admin)
    recovery_codes.make(session, who, admin.id)
    second_factors.remove(session, who, first, required=True)
    session.flush()
    with pytest.raises(Conflict):
        second_factors.remove(session, who, second, required=True)
    second_factors.remove(session, who, second, required=False)
    session.flush()
    assert not second_factors.has_any(session, admin.id)
    assert recovery_codes.left(session, admin.id) == 0
    assert len(events(session, "factor:remove")) == 2


def test_there_is_a_most(session: Session, key: str, admin: Person) -> None:
    for _ in range(second_factors.MOST):
        add_app(session, key, admin)
    with pytest.raises(Conflict):
        second_factors.start_app(session, actor_of(session, admin), key, "")


def test_reset_takes_the_right_to_appoint(session: Session, key: str, admin: Person) -> None:
    world = World(session)
    keeper = world.person("keeper@example.org", Role.CUSTODIAN, "NEY")
    lower = world.person("lower@example.org", Role.FACILITATOR, "NEY")
    root = world.person("root@example.org", Role.ADMIN)
    for person in (keeper, lower, root):
        add_app(session, key, person)
        sign_in.open_session(session, person.id, "x", timedelta(hours=1), proved=True)
    recovery_codes.make(session, actor_of(session, lower), lower.id)
    who = actor_of(session, admin)
    for person in (keeper, root, admin):
        with pytest.raises(Forbidden):
            second_factors.reset(session, who, person)
    second_factors.reset(session, who, lower)
    session.commit()
    assert not session.scalars(select(SecondFactor).where(SecondFactor.person_id == lower.id)).all()
    assert not session.scalars(select(WebSession).where(WebSession.person_id == lower.id)).all()
    assert recovery_codes.left(session, lower.id) == 0
    assert second_factors.has_any(session, keeper.id)
    assert [event.subject_id for event in events(session, "factor:reset")] == [lower.id]
