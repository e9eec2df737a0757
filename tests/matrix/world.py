"""The world of the matrix: its people, and for each state a recording with case, grants, material, upload and objects."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from app import clock
from app.db.cases import Case, CaseStatus
from app.db.grants import AccessCode, AccessRequest, Grant, GrantRight
from app.db.materials import Material, MaterialItem, MaterialItemKind
from app.db.people import GroupManager, Person, Role
from app.db.places import Area, AreaKind, Organisation
from app.db.recordings import Recording, RecordingState, Upload, UploadState
from app.db.runs import Run, RunState, StageRun, StageState
from app.storage import keys
from app.storage.s3 import Storage
from tests.matrix.table import STATES, State
from tests.support.world import World
from tests.watching import film

WORD = "zebrafinch"


@dataclass(frozen=True)
class Thing:
    """The rows of one state, by id, and the words by which its recording can be told in any answer."""

    state: State
    recording: uuid.UUID
    case: uuid.UUID
    material: uuid.UUID
    title_word: str
    speech_word: str
    case_word: str
    material_word: str
    values: dict[str, str]
    has: frozenset[str]
    embed_token: str = ""


@dataclass
class Setting:
    """Everything that a matrix asks about."""

    people: dict[str, uuid.UUID]
    things: dict[str, Thing]
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    group: uuid.UUID | None = None
    organisation: uuid.UUID | None = None


def build(session: Session, storage: Storage, parts: list[film.Part]) -> Setting:
    """Make it all and commit."""
    world = World(session)
    locality = Area(code="NEY-TEST", name="A locality", kind=AreaKind.LOCALITY, parent_id=world.area("NEY").id)
    session.add(locality)
    session.flush()
    trust = world.organisation("Invented Trust", "NEY")
    people = _people(world, trust)
    group = world.group("Spring cohort", "NEY", (people["member"],))
    over = world.group("Winter cohort", "NEY", (people["of ended group"], people["member"]))
    over.ends_at = clock.now() - timedelta(hours=1)
    session.add(GroupManager(group_id=group.id, person_id=people["manager"].id))
    reel = film.store(storage, parts)
    things = {
        state.name: _thing(world, storage, reel, state, number, people, trust, (group.id, over.id))
        for number, state in enumerate(STATES)
    }
    tokens = {
        (who, scope): world.token(people[who], scope)
        for who, scope in (("viewer", "read"), ("facilitator", "upload"), ("custodian", "publish"))
    }
    session.commit()
    return Setting({name: person.id for name, person in people.items()}, things, tokens, group.id, trust.id)


def _people(world: World, trust: Organisation) -> dict[str, Person]:
    hours = timedelta(hours=1)

    def person(name: str, role: Role | None = None, area: str | None = None, **columns: Any) -> Person:
        return world.person(f"{name.replace(' ', '-')}@example.org", role, area, name=name.title(), **columns)

    people = {
        "nowhere": person("nowhere"),
        "viewer": person("viewer", Role.VIEWER, "NEY"),
        "viewer elsewhere": person("viewer elsewhere", Role.VIEWER, "SW"),
        "viewer of country": person("viewer of country", Role.VIEWER, "ENG"),
        "viewer of locality": person("viewer of locality", Role.VIEWER, "NEY-TEST"),
        "viewer of organisation": person("viewer of organisation"),
        "belongs": person("belongs", organisation_id=trust.id),
        "member": person("member", Role.VIEWER, "SW"),
        "named": person("named"),
        "facilitator": person("facilitator", Role.FACILITATOR, "NEY"),
        "owner": person("owner", Role.FACILITATOR, "LON"),
        "facilitator elsewhere": person("facilitator elsewhere", Role.FACILITATOR, "SW"),
        "admin": person("admin", Role.ADMIN, "NEY"),
        "admin elsewhere": person("admin elsewhere", Role.ADMIN, "SW"),
        "custodian": person("custodian", Role.CUSTODIAN, "NEY"),
        "custodian elsewhere": person("custodian elsewhere", Role.CUSTODIAN, "SW"),
        "admin of all": person("admin of all", Role.ADMIN),
        "suspended": person("suspended", Role.VIEWER, "NEY", suspended_at=clock.now() - hours),
        "ended": person("ended"),
        "left": person("left", Role.VIEWER, "NEY", left_at=clock.now() - hours),
        "manager": person("manager"),
        "of ended group": person("of ended group"),
        "asker": person("asker"),
    }
    world.role(people["viewer of organisation"], Role.VIEWER, organisation=trust)
    world.role(people["ended"], Role.VIEWER, "NEY", ends_at=clock.now() - hours)
    return people


def _thing(
    world: World, storage: Storage, reel: film.Reel, state: State, number: int,
    people: dict[str, Person], trust: Organisation, groups: tuple[uuid.UUID, uuid.UUID],
) -> Thing:  # fmt: skip
    session, now = world.session, clock.now()
    words = {kind: f"{kind}{number}x" for kind in ("title", "speech", "case", "material")}

    def at(hours: float | None) -> Any:
        return None if hours is None else now + timedelta(hours=hours)

    case = world.case(
        f"Case {words['case']}",
        None if state.case_of_all else "NEY",
        status=CaseStatus(state.case_status),
        created_by_id=people["owner"].id if state.case_by_owner else None,
    )
    recording = world.recording(
        case,
        title=f"{WORD} {words['title']}",
        state=RecordingState(state.state),
        owner_id=people["owner"].id,
        watchable_at=at(-1) if state.watchable else None,
        published_at=at(state.published),
    )
    has = set()
    if state.watchable:
        reel.lend(session, recording)
        film.caption(session, storage, recording, [(0, 2000, "Doctor", f"{WORD} {words['speech']}")])
        film.chapter(session, recording)
        has |= {*reel.parts, "captions", "chapters"}
    else:
        recording.duration_ms = None
    if state.watchable and state.state == "processing":
        _growing(world, recording, reel)
        has.add("piece")
    grant = _grants(world, state, recording, case, people, trust, groups)
    code = AccessCode(recording_id=recording.id, code_hash=f"{number:064x}", expires_at=at(24))
    asked = AccessRequest(recording_id=recording.id, person_id=people["asker"].id, reason="For a course.")
    session.add_all([code, asked])
    material = Material(
        title=f"Material {words['material']}",
        owner_id=people["owner"].id,
        area_id=world.area("NEY").id,
        published_at=at(-1) if state.material_published else None,
    )
    material.items = [
        MaterialItem(position=0, kind=MaterialItemKind.NOTE, text="Watch this."),
        *(
            []
            if state.state == "uploading"
            else [MaterialItem(position=1, kind=MaterialItemKind.CLIP, recording_id=recording.id)]
        ),
    ]
    session.add(material)
    upload_id = uuid.uuid4()
    key = keys.source(recording.id, upload_id)
    upload = Upload(
        id=upload_id,
        recording_id=recording.id,
        created_by_id=people["owner"].id,
        state=UploadState.OPEN if state.state == "uploading" else UploadState.COMPLETED,
        key=key,
        storage_upload_id=storage.begin_multipart(key, "video/mp4"),
        filename="film.mp4",
        size=10,
        part_size=8 * 1024 * 1024,
    )
    run = Run(recording_id=recording.id, workflow="ingest", state=RunState.SUCCEEDED, finished_at=now)
    session.add_all([upload, run])
    session.flush()
    return Thing(
        state,
        recording.id,
        case.id,
        material.id,
        words["title"],
        words["speech"],
        words["case"],
        words["material"],
        {
            "recording": str(recording.id),
            "case": str(case.id),
            "grant": str(grant.id),
            "case_grant": str(grant.id),
            "code": str(code.id),
            "upload": str(upload.id),
            "run": str(run.id),
            "item": str(material.items[0].id),
        },
        frozenset(has | {"case grant" if state.by_case else "grant"}),
    )


def _growing(world: World, recording: Recording, reel: film.Reel) -> None:
    """A run that has encoded a chunk."""
    part = reel.parts["480p"]
    stored = {"key": reel.keys["480p"], "size": len(part.body), "sha256": "0" * 64, "index": part.detail}
    run = Run(recording_id=recording.id, workflow="ingest", state=RunState.RUNNING)
    run.stages = [
        StageRun(
            stage="transcode", chunk=0, position=4, state=StageState.SUCCEEDED, outputs={"objects": {"480p": stored}}
        )
    ]
    world.session.add(run)


def _grants(
    world: World, state: State, recording: Recording, case: Case,
    people: dict[str, Person], trust: Organisation, groups: tuple[uuid.UUID, uuid.UUID],
) -> Grant:  # fmt: skip
    """The grants of a state; the first of them."""
    now = clock.now()

    def at(hours: float | None) -> Any:
        return None if hours is None else now + timedelta(hours=hours)

    audiences: dict[str, list[dict[str, Any]]] = {
        "region": [
            {"area_id": world.area("NEY").id},
            {"group_id": groups[0]},
            {"person_id": people["named"].id},
        ],
        "country": [{"area_id": world.area("ENG").id}],
        "organisation": [{"organisation_id": trust.id}],
        "ended group": [{"group_id": groups[1]}],
    }
    common = {
        "recording_id": None if state.by_case else recording.id,
        "case_id": case.id if state.by_case else None,
        "needs_approval": bool(state.approval),
        "refused_at": at(-0.5) if state.approval == "refused" else None,
        "created_by_id": people["owner"].id,
        "starts_at": at(state.grant_from),
        "revoked_at": at(state.revoked),
    }
    made = [Grant(**common, ends_at=at(state.grant_until), **audience) for audience in audiences[state.audience]]
    if not state.watch:
        made = []
    if state.download:
        download = {"right": GrantRight.DOWNLOAD, "ends_at": at(240), "reason": "Teaching without a network."}
        made += [Grant(**common, **download, **audience) for audience in audiences[state.audience]]
    world.session.add_all(made)
    world.session.flush()
    return made[0]
