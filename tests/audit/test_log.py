"""Reading the audit: who sees which events, filters, pages, exports, and that looking is written down."""

from __future__ import annotations

import ast
import csv
import io
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import SYSTEM, Actor
from app.cli import main
from app.db.audit import AuditEvent
from app.db.people import Person, Role
from app.db.recordings import Recording
from app.domain import audit, audit_chain, audit_log, days
from app.domain.audit_log import Filters
from app.domain.audit_sentences import SENTENCES
from app.errors import Invalid
from app.settings import Settings
from tests.support.world import Browser, World

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Scene:
    """People of two regions and a recording of each; somebody did something to both."""

    world: World
    admin: Person
    custodian: Person
    all_admin: Person
    viewer: Person
    far: Person
    here: Recording
    there: Recording

    def actor(self, person: Person) -> Actor:
        return access.load(self.world.session, person.id, clock.now())


@pytest.fixture
def scene(session: Session) -> Scene:
    world = World(session)
    made = Scene(
        world,
        admin=world.person("admin@example.org", Role.ADMIN, "NEY"),
        custodian=world.person("custodian@example.org", Role.CUSTODIAN, "NEY"),
        all_admin=world.person("all@example.org", Role.ADMIN),
        viewer=world.person("viewer@example.org", Role.VIEWER, "NEY", name="Vi Ewer"),
        far=world.person("far@example.org", Role.VIEWER, "SW", name="Far Away"),
        here=world.recording(title="Here", area="NEY"),
        there=world.recording(world.case(area="SW"), title="There", area="SW"),
    )
    for person in (made.viewer, made.far):
        for recording in (made.here, made.there):
            audit.record(session, made.actor(person), "recording:evaluate", "recording", recording.id, reason="=1+1")
    audit.record(session, SYSTEM, "storage:remove-orphans", "instance", count=2)
    session.commit()
    return made


def seen(scene: Scene, who: Person, **filters: Any) -> list[tuple[str, str]]:
    page = audit_log.search(scene.world.session, scene.actor(who), Filters(**filters))
    return [(line.person, line.subject) for line in page.lines]


def test_only_what_is_theirs(scene: Scene) -> None:
    mine = [("Far Away", "Here"), ("Vi Ewer", ""), ("Vi Ewer", "Here")]
    assert seen(scene, scene.admin) == mine, "what happened to things here, and what people from here did"
    assert seen(scene, scene.custodian) == mine
    every = [("system", ""), ("Far Away", "There"), ("Far Away", "Here"), ("Vi Ewer", "There"), ("Vi Ewer", "Here")]
    assert seen(scene, scene.all_admin) == every
    for nobody in (scene.viewer, scene.far):
        assert seen(scene, nobody) == []


def test_a_name_that_is_not_theirs_is_not_told(scene: Scene) -> None:
    page = audit_log.search(scene.world.session, scene.actor(scene.admin), Filters(person="viewer@example.org"))
    assert {(line.event.subject_id, line.subject) for line in page.lines} == {
        (scene.here.id, "Here"),
        (scene.there.id, ""),
    }


def test_filters(scene: Scene) -> None:
    today = days.today()
    for filters, count in (
        ({"person": "VIEWER@example.org "}, 2),
        ({"person": "nobody@example.org"}, 0),
        ({"action": "recording:evaluate"}, 4),
        ({"action": "recording:delete"}, 0),
        ({"subject": "recording"}, 4),
        ({"subject": f"recording:{scene.here.id}"}, 2),
        ({"subject": f"case:{scene.here.id}"}, 0),
        ({"id": str(scene.there.id)}, 2),
        ({"id": str(scene.far.id)}, 2),
        ({"id": "rubbish\x00"}, 0),
        ({"id": "9" * 30}, 0),
        ({"from_day": today}, 5),
        ({"from_day": today + timedelta(days=1)}, 0),
        ({"until_day": today}, 5),
        ({"until_day": today - timedelta(days=1)}, 0),
        ({"subject": f"recording:{scene.here.id}", "person": "far@example.org"}, 1),
    ):
        assert len(seen(scene, scene.all_admin, **filters)) == count, filters
    one = scene.world.session.scalars(select(AuditEvent.id).limit(1)).one()
    assert len(seen(scene, scene.all_admin, id=str(one))) == 1
    with pytest.raises(Invalid):
        seen(scene, scene.all_admin, subject="recording:rubbish")


def test_pages_meet_without_gap_or_overlap(scene: Scene) -> None:
    session, who = scene.world.session, scene.actor(scene.all_admin)
    forwards, older = [], None
    while True:
        page = audit_log.search(session, who, Filters(), older=older, size=2)
        assert (page.newer is None) == (older is None)
        forwards.append([line.event.id for line in page.lines])
        if page.older is None:
            break
        older = page.older
    assert [len(numbers) for numbers in forwards] == [2, 2, 1]
    ids = [number for page_ids in forwards for number in page_ids]
    assert ids == sorted(set(ids), reverse=True)
    back = audit_log.search(session, who, Filters(), newer=forwards[2][0], size=2)
    assert ([line.event.id for line in back.lines], back.newer, back.older) == (
        forwards[1], forwards[1][0], forwards[1][-1],
    )  # fmt: skip
    assert audit_log.search(session, who, Filters(), newer=forwards[1][0], size=2).newer is None


def test_the_page(app: Flask, scene: Scene) -> None:
    browser = Browser(app, scene.admin)
    page = browser.get("/audit", headers={"User-Agent": "test"})
    assert page.status_code == 200
    assert "Far Away" in page.text
    assert "There" not in page.text.replace("There ", "")
    look = scene.world.session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1)).one()
    assert (look.action, look.person_id, look.address) == ("audit:look", scene.admin.id, "127.0.0.1")
    assert browser.get("/audit?subject=recording:x").status_code == 400
    assert browser.get("/audit?from=soon").status_code == 400
    assert browser.get("/audit?older=x").status_code == 400
    assert Browser(app, scene.custodian).get("/audit").status_code == 200
    assert Browser(app, scene.viewer).get("/audit").status_code == 403
    assert Browser(app, scene.viewer).get("/audit/export.csv").status_code == 403
    assert 'href="/audit"' in browser.get("/").text
    assert 'href="/audit"' not in Browser(app, scene.viewer).get("/").text


def test_exports(app: Flask, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "BLOCK", 2)
    browser = Browser(app, scene.admin)
    answer = browser.get("/audit/export.csv?action=recording:evaluate")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="audit-')
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["person"], row["subject"], row["reason"]) for row in rows] == [
        ("Vi Ewer", "Here", "'=1+1"),
        ("Vi Ewer", "", "'=1+1"),
        ("Far Away", "Here", "'=1+1"),
    ]
    lines = [json.loads(line) for line in browser.get("/audit/export.jsonl").text.splitlines()]
    assert [line["reason"] for line in lines[:3]] == ["=1+1"] * 3
    assert lines[-1]["action"] == "audit:export", "the export before this one"
    assert browser.get("/audit/export.xml").status_code == 404
    kept = scene.world.session.scalars(select(AuditEvent).where(AuditEvent.action == "audit:export")).all()
    assert [event.detail["format"] for event in kept] == ["csv", "jsonl"]
    assert kept[0].detail["filters"] == ["action"]
    assert audit_chain.verify(scene.world.session).ok


def test_the_api(app: Flask, scene: Scene) -> None:
    token = scene.world.token(scene.admin, "all")
    narrow = scene.world.token(scene.admin, "read")
    scene.world.session.commit()
    client = app.test_client()
    answer = client.get("/api/v1/audit?action=recording:evaluate", headers={"Authorization": f"Bearer {token}"})
    assert [(item["person"], item["sentence"]) for item in answer.json["items"]] == [  # type: ignore[index]
        ("Far Away", "scored a recording"),
        ("Vi Ewer", "scored a recording"),
        ("Vi Ewer", "scored a recording"),
    ]
    assert client.get("/api/v1/audit", headers={"Authorization": f"Bearer {narrow}"}).status_code == 403
    for wrong in ("older=x", "from=soon", "subject=recording:x", f"older={10**19}"):
        asked = client.get(f"/api/v1/audit?{wrong}", headers={"Authorization": f"Bearer {token}"})
        assert asked.status_code in (400, 422), wrong


# -- keepers' looks --------------------------------------------------------------------------------------------------------


def looks(session: Session) -> list[tuple[str, uuid.UUID | None]]:
    query = select(AuditEvent.action, AuditEvent.subject_id).where(AuditEvent.action.like("%:look"))
    return [(row[0], row[1]) for row in session.execute(query.order_by(AuditEvent.id))]


def test_what_keepers_look_at_is_written_down(app: Flask, scene: Scene) -> None:
    session = scene.world.session
    admin = Browser(app, scene.admin)
    assert admin.get(f"/people/{scene.viewer.id}").status_code == 200
    assert admin.get(f"/recordings/{scene.here.id}/share").status_code == 200
    assert admin.get(f"/recordings/{scene.here.id}").status_code == 200
    assert Browser(app, scene.custodian).get(f"/recordings/{scene.here.id}").status_code == 200
    assert admin.get(f"/recordings/{scene.there.id}").status_code == 404
    assert looks(session) == [
        ("person:look", scene.viewer.id),
        ("sharing:look", scene.here.id),
        ("recording:look", scene.here.id),
        ("recording:look", scene.here.id),
    ]


def test_what_audiences_and_makers_look_at_is_not(app: Flask, scene: Scene) -> None:
    session = scene.world.session
    scene.here.published_at = clock.now()
    scene.world.grant(scene.here, area="NEY")
    maker = scene.world.person("maker@example.org", Role.FACILITATOR, "NEY")
    own = scene.world.recording(title="Own", area="NEY", owner_id=scene.admin.id)
    session.commit()
    for person in (scene.viewer, maker, scene.admin):
        assert Browser(app, person).get(f"/recordings/{scene.here.id}").status_code == 200
    assert Browser(app, scene.admin).get(f"/recordings/{own.id}").status_code == 200
    assert looks(session) == []


# -- the command -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(settings: Settings) -> Callable[..., Result]:
    names = ("database_url", "secret_key", "s3_endpoint", "s3_access_key", "s3_secret_key", "s3_bucket", "data")
    environment = {f"VIGNETTE_{name.upper()}": str(getattr(settings, name)) for name in names}
    return lambda *words: CliRunner(env=environment).invoke(main, list(words), catch_exceptions=False)


def test_the_command(run: Callable[..., Result], scene: Scene, tmp_path: Path) -> None:
    first = json.loads(run("audit", "verify", "--json").stdout)
    assert (first["ok"], first["links"], first["seal"].partition(":")[0]) == (True, 5, "5")
    again = run("audit", "verify", "--expect", first["seal"])
    assert again.exit_code == 0
    assert "It begins with the chain that was kept earlier." in again.stdout
    wrong = run("audit", "verify", "--expect", f"5:{'0' * 64}", "--json")
    assert (wrong.exit_code, json.loads(wrong.stdout)["expected"]) == (1, False)
    assert run("audit", "verify", "--expect", "rubbish").exit_code == 1
    file = tmp_path / "audit.csv"
    told = json.loads(run("audit", "export", str(file), "--reason", "Yearly", "--json").stdout)
    assert told["events"] == len(list(csv.DictReader(file.open()))) == 8
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("audit", "export", str(file)).exit_code == 1
    acts = scene.world.session.scalars(select(AuditEvent).where(AuditEvent.action == "audit:export")).all()
    assert [(act.actor_kind, act.reason) for act in acts] == [("system", "Yearly")]


# -- sentences -------------------------------------------------------------------------------------------------------------


def recorded() -> set[str]:
    """Every action that the source names where it writes an audit event."""
    found: set[str] = set()
    for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in ("audit.record", "tasks.note"):
                continue
            given = node.args[2] if ast.unparse(node.func) == "audit.record" else node.args[1]
            words = {n.value for n in ast.walk(given) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            assert words or ast.unparse(given) == "action", f"{path}:{node.lineno} names no action"
            found |= {word for word in words if ":" in word}
    # `f"{kind}:hand-over"`: whichever kinds there are sentences for
    ends = {word for word in found if word.startswith(":")}
    return found - ends | {action for action in SENTENCES if any(action.endswith(end) for end in ends)}


def test_every_action_has_a_sentence_and_every_sentence_an_action() -> None:
    assert recorded() - SENTENCES.keys() == set(), "app/domain/audit_sentences.py does not say what these are"
    assert SENTENCES.keys() - recorded() == set(), "nothing writes these"
    assert all(len(action) <= AuditEvent.action.type.length for action in SENTENCES)  # type: ignore[attr-defined]
