"""A world that fills every page, and people of a region where there is nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import access, clock
from app.access import SYSTEM
from app.db.cases import Case, CaseStatus
from app.db.descriptions import AudioDescription, DescriptionStatus
from app.db.evaluations import Evaluation, Score
from app.db.fixity import FindingKind, FixityFinding
from app.db.grants import AccessCode, AccessRequest, Grant, GrantRight, RequestOutcome
from app.db.materials import EmbedHost, Material, MaterialItem, MaterialItemKind
from app.db.people import GroupManager, Person, Role
from app.db.places import Area
from app.db.recordings import Recording, RecordingState, WatchPosition
from app.db.runs import Run, RunState, StageRun, StageState
from app.db.sign_in import LinkPurpose
from app.db.vocabulary import FrameworkDomain, TermKind
from app.db.workers import Worker, WorkerState
from app.domain import recovery_codes, second_factors, sign_in, vocabulary
from app.storage import keys
from app.storage.s3 import Storage
from tests.pages import table
from tests.support.world import World
from tests.watching import film

#: Captions in a language that is written from right to left (an invented sentence: the doctor says sorry).
URDU = [(0, 2_000, "ڈاکٹر", "السلام علیکم۔ مجھے افسوس ہے۔"), (2_500, 5_000, "بیٹی", "شکریہ، ڈاکٹر صاحب۔")]
LONG = "A very long title about duty of candour, consultation skills and Hospitalbehandlungsvereinbarungen in winter"


@dataclass
class Filled:
    """The words of `tests/pages/table.py` and the people behind its roles."""

    ids: dict[str, str]
    people: dict[str, Person]


def build(session: Session, storage: Storage, parts: list[film.Part], secret_key: str) -> Filled:
    """Make it and commit."""
    world = World(session)
    first_admin = sign_in.make_link(session, LinkPurpose.FIRST_ADMIN, timedelta(hours=1))
    trust = world.organisation("Northmoor Invented Teaching Hospitals", "NEY")
    people = {
        table.VIEWER: world.person("vera@example.org", Role.VIEWER, "NEY", name="Vera Viewer"),
        table.FACILITATOR: world.person(
            "finn@example.org", Role.FACILITATOR, "NEY", name="Finn Facilitator", organisation_id=trust.id
        ),
        table.ADMIN: world.person("ada@example.org", Role.ADMIN, "NEY", name="Ada Admin"),
        table.CUSTODIAN: world.person("cora@example.org", Role.CUSTODIAN, "NEY", name="Cora Custodian"),
        table.CHIEF: world.person("cleo@example.org", Role.ADMIN, name="Cleo Chief"),
        table.NEW_VIEWER: world.person("new-viewer@example.org", Role.VIEWER, "SW", name="Nina New"),
        table.NEW_FACILITATOR: world.person("new-maker@example.org", Role.FACILITATOR, "SW", name="Nils New"),
        table.NEW_ADMIN: world.person("new-admin@example.org", Role.ADMIN, "SW", name="Noor New"),
    }
    viewer, maker = people[table.VIEWER], people[table.FACILITATOR]
    world.role(people[table.ADMIN], Role.ADMIN, "LON")
    suspended = world.person("sam@example.org", Role.VIEWER, "NEY", name="Sam Away", suspended_at=clock.now())
    world.role(suspended, Role.FACILITATOR, organisation=trust)
    group = world.group("Spring cohort of new clinical fellows", "NEY", (viewer, suspended))
    session.add(GroupManager(group_id=group.id, person_id=maker.id))
    inside = select(Area.id).where(Area.parent_id == world.area("NEY").id)
    locality = session.scalars(inside.order_by(Area.name)).first()
    for person in (viewer, maker):
        sign_in.make_token(session, SYSTEM, person, "laptop", ["read"])
        sign_in.open_session(session, person.id, "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", timedelta(hours=1))
    case, retired, bare = _cases(world, session, maker)
    recordings = _recordings(world, session, storage, film.store(storage, parts), case, maker)
    published = recordings["published"]
    _sharing(world, published, group.id, trust.id, viewer)
    _left_alone(world)
    watchers = [world.person(f"fellow{n}@example.org", Role.VIEWER, "SW", name=f"Fellow {n}") for n in range(4)]
    _watching(session, published, viewer, [maker, *watchers])
    material = _material(world, session, published, recordings["second"], maker)
    session.flush()
    ids = {name: str(recording.id) for name, recording in recordings.items()} | {
        "case": str(case.id),
        "retired": str(retired.id),
        "bare": str(bare.id),
        "material": str(material.id),
        "person": str(suspended.id),
        "viewer": str(viewer.id),
        "group": str(group.id),
        "trust": str(trust.id),
        "maker": str(maker.id),
        "locality": str(locality),
        "other_region": str(world.area("LON").id),
        "first_admin": first_admin,
        "set_password": sign_in.make_link(
            session, LinkPurpose.SET_PASSWORD, timedelta(hours=1), person_id=suspended.id
        ),
    }
    for word, purpose in (("sign_in_link", LinkPurpose.SIGN_IN), ("invitation", LinkPurpose.INVITATION)):
        ids[word] = sign_in.make_link(session, purpose, timedelta(hours=1), person_id=viewer.id)
    ids["set_password"] = sign_in.make_link(session, LinkPurpose.SET_PASSWORD, timedelta(hours=1), person_id=viewer.id)
    ids |= _work(session, recordings)
    ids["waiting_app"] = _factors(session, secret_key, viewer, maker)
    session.commit()
    return Filled(ids, people)


def _factors(session: Session, secret_key: str, viewer: Person, maker: Person) -> str:
    """An app of the maker that counts, and one of the viewer that waits for its first code: its id."""
    now = clock.now()
    mine, theirs = (access.load(session, person.id, now) for person in (maker, viewer))
    second_factors.count_from_now(session, mine, second_factors.start_app(session, mine, secret_key, "My phone"))
    recovery_codes.make(session, mine, maker.id)
    return str(second_factors.start_app(session, theirs, secret_key, "").id)


def _work(session: Session, recordings: dict[str, Recording]) -> dict[str, str]:
    """Workers in each state, a stage that has no room, chunks, and an object that is wrong; ids of two runs."""
    now = clock.now()
    for number, (state, facts) in enumerate(
        (
            (WorkerState.WORKING, {"cgroup": False, "disk_free_bytes": 3_000_000_000}),
            (
                WorkerState.DRAINED,
                {
                    "cgroup": True, "disk_free_bytes": 42_000_000_000, "memory_peak_bytes": 700_000_000,
                    "memory_bytes": 300_000_000, "cpu_seconds": 5432.1,
                },
            ),
            (WorkerState.GONE, {}),
        )
    ):  # fmt: skip
        name = f"a-machine-with-a-rather-long-name-in-the-basement-{number}"
        session.add(
            Worker(
                name=name, machine=name[:30], pid=4000 + number, queues=["light", "encode", "transcribe"], state=state,
                heartbeat_at=now, started_at=now - timedelta(hours=5), facts=facts,
            )
        )  # fmt: skip
    running, broken = (
        session.scalars(select(Run).where(Run.recording_id == recordings[name].id)).one()
        for name in ("processing", "failed")
    )
    at_work = next(stage for stage in running.stages if stage.stage == "transcode")
    at_work.worker, at_work.started_at, at_work.attempt = name, now - timedelta(seconds=90), 2
    at_work.cpu_seconds = 171.5
    for chunk in (1, 2):
        running.stages.append(StageRun(stage="transcode", position=2, chunk=chunk, state=StageState.QUEUED))
    waiting = next(stage for stage in running.stages if stage.stage == "stills")
    waiting.state = StageState.QUEUED
    waiting.waits_for = "Waiting: not enough room on the worker's disk: 12 GB needed, 3 GB free."
    failed = next(stage for stage in broken.stages if stage.stage == "transcode")
    failed.error, failed.attempt, failed.failures = "The picture could not be encoded. Try again.", 3, 3
    failed.started_at, failed.finished_at = now - timedelta(minutes=9), now - timedelta(minutes=2)
    session.add(
        FixityFinding(
            key=keys.artefact(recordings["published"].id, running.id, "720p.mp4", 1), kind=FindingKind.ALTERED,
            recording_id=recordings["published"].id, what="rendition 720p",
        )
    )  # fmt: skip
    return {"running": str(running.id), "broken": str(broken.id)}


def _left_alone(world: World) -> None:
    """Three who have not been here for long, and roles that nobody has looked at since."""
    long_ago = clock.now() - timedelta(days=200)
    for name, role, columns in (
        ("Dora Dormant", Role.VIEWER, {"last_signed_in_at": long_ago}),
        ("Nia Never", Role.VIEWER, {}),
        ("Kit Keeper", Role.CUSTODIAN, {}),
    ):
        email = f"{name.split()[0].lower()}@example.org"
        person = world.person(email, role, "NEY", name=name, created_at=long_ago, **columns)
        person.roles[0].created_at = long_ago


def _cases(world: World, session: Session, maker: Person) -> tuple[Case, Case, Case]:
    today = clock.now().date()
    case = world.case(
        "A missed diagnosis and a family that heard of it late",
        summary="A relative complains.\n\nNobody had told them that the scan was read a second time.",
        content_notice="Somebody is angry and uses strong language.",
        review_on=today + timedelta(days=10),
        reviewed_on=today - timedelta(days=300),
        created_by_id=maker.id,
        glossary=["troponin", "Northmoor"],
        identifying_names=["Mr Example"],
        origin=vocabulary.terms_of(session, TermKind.ORIGIN)[0],
    )
    case.terms = [
        *vocabulary.terms_of(session, TermKind.THEME)[:4],
        *vocabulary.terms_of(session, TermKind.PROFESSION)[:2],
    ]
    case.domains = list(session.scalars(select(FrameworkDomain).limit(3)))
    retired = world.case("An old case", status=CaseStatus.RETIRED, retired_at=clock.now(), created_by_id=maker.id)
    bare = world.case(LONG, summary="", review_on=today - timedelta(days=3), created_by_id=maker.id)
    bare.terms = vocabulary.terms_of(session, TermKind.THEME)[:1]
    return case, retired, bare


def _recordings(
    world: World, session: Session, storage: Storage, reel: film.Reel, case: Case, maker: Person
) -> dict[str, Recording]:
    themes = vocabulary.terms_of(session, TermKind.THEME)[:3]
    watchable = {"published", "second", "draft", "withdrawn"}
    wanted = {
        "published": ("Saying sorry: duty of candour", RecordingState.READY, ""),
        "second": (LONG, RecordingState.READY, ""),
        "draft": ("A draft", RecordingState.READY, ""),
        "processing": ("Being processed", RecordingState.PROCESSING, ""),
        "failed": ("One that failed", RecordingState.FAILED, "The picture could not be encoded. Try again."),
        "rejected": ("One that was not accepted", RecordingState.REJECTED, "This file is a picture, not a recording."),
        "withdrawn": ("One that was withdrawn", RecordingState.WITHDRAWN, ""),
        "waiting": ("One that waits for a speech model", RecordingState.READY, ""),
        "captioned": ("One whose captions are made again", RecordingState.READY, ""),
    }
    made = {}
    for name, (title, state, reason) in wanted.items():
        recording = world.recording(
            case,
            title=title,
            state=state,
            reason=reason,
            published=name in ("published", "second", "withdrawn"),
            owner_id=maker.id,
            description="Played by two colleagues.",
            source_name="clip-<b>1</b>.mp4",
            source_size=12_345_678,
        )
        recording.terms = list(themes)
        if name in watchable:
            reel.lend(session, recording)
            film.caption(session, storage, recording, checked=name in ("second", "withdrawn"))
            film.chapter(session, recording)
        made[name] = recording
    film.caption(session, storage, made["second"], URDU, language="ur")
    session.add_all(
        [
            AudioDescription(
                recording_id=made["second"].id,
                status=DescriptionStatus.NOT_NEEDED,
                reason="Two people sit and talk; everything that matters is said.",
                decided_by_id=maker.id,
            ),
            AudioDescription(
                recording_id=made["published"].id,
                status=DescriptionStatus.DESCRIBED,
                described_id=made["draft"].id,
                decided_by_id=maker.id,
            ),
        ]
    )
    _run(session, made["processing"], RunState.RUNNING)
    _run(session, made["failed"], RunState.FAILED)
    _run(session, made["published"], RunState.SUCCEEDED)
    _hearing(
        session, made["waiting"], "ingest", RunState.SUCCEEDED, state=StageState.SKIPPED, outputs={"why": "no-model"}
    )
    _hearing(session, made["captioned"], "recaption", RunState.RUNNING, state=StageState.RUNNING, progress=0.4)
    return made


def _run(session: Session, recording: Recording, state: RunState) -> None:
    run = Run(recording_id=recording.id, workflow="ingest", state=state, reason=recording.reason)
    stages = ["probe", "audio", "transcode", "join", "stills", "transcribe", "download", "finish"]
    halfway = {RunState.RUNNING: StageState.RUNNING, RunState.FAILED: StageState.FAILED}
    for position, stage in enumerate(stages):
        done = state is RunState.SUCCEEDED or position < 2
        now = StageState.SUCCEEDED if done else halfway[state] if position == 2 else StageState.WAITING
        run.stages.append(StageRun(stage=stage, position=position, state=now, progress=1 if done else 0.4))
    session.add(run)


def _hearing(session: Session, recording: Recording, workflow: str, of_run: RunState, **stage: Any) -> None:
    recording.has_audio = True
    run = Run(recording_id=recording.id, workflow=workflow, state=of_run)
    run.stages.append(StageRun(stage="transcribe", position=0, **stage))
    session.add(run)


def _sharing(world: World, recording: Recording, group_id: object, organisation_id: object, viewer: Person) -> None:
    now = clock.now()
    world.grant(recording, area="NEY", reason="For the whole region")
    world.grant(recording, group_id=group_id, ends_at=now + timedelta(days=30))
    world.grant(recording, organisation_id=organisation_id, starts_at=now + timedelta(days=3))
    world.grant(recording, person_id=viewer.id, revoked_at=now)
    world.grant(recording, person_id=viewer.id, starts_at=now - timedelta(days=9), ends_at=now - timedelta(days=1))
    soon = {"ends_at": now + timedelta(days=10), "reason": "Teaching where there is no network"}
    world.grant(recording, area="NEY", right=GrantRight.DOWNLOAD, **soon)
    world.grant(recording, area="ENG", needs_approval=True, reason="A conference")
    world.grant(recording, area="SW", needs_approval=True, refused_at=now, reason="Friends", answer="Ask us in spring.")
    far = world.recording(world.case("A case of the capital", "LON"), title="From another region", area="LON")
    world.grant(far, area="NEY", needs_approval=True, reason="They film the same case next month")
    session = world.session
    session.add(Grant(case_id=recording.case_id, area_id=world.area("NEY").id, ends_at=now + timedelta(days=60)))
    code = AccessCode(recording_id=recording.id, code_hash="0" * 64, expires_at=now + timedelta(days=30))
    answered = {"outcome": RequestOutcome.GRANTED, "decided_at": now}
    session.add_all([code, AccessRequest(recording_id=recording.id, person_id=viewer.id, **answered)])
    asker = world.person("asks@example.org", Role.VIEWER, "LON", name="Asta Asks")
    session.add(AccessRequest(recording_id=recording.id, person_id=asker.id, reason="We teach the same course."))


def _watching(session: Session, recording: Recording, viewer: Person, others: list[Person]) -> None:
    recording.duration_ms = 45_000
    session.add(WatchPosition(person_id=viewer.id, recording_id=recording.id, position_ms=6_500))
    for value, person in enumerate([viewer, *others]):
        scores = [Score(question_id=q.id, value=1 + value % 5) for q in vocabulary.evaluation_questions(session)]
        session.add(
            Evaluation(recording_id=recording.id, person_id=person.id, reflection="I learnt a lot.", scores=scores)
        )


def _material(world: World, session: Session, first: Recording, second: Recording, maker: Person) -> Material:
    world.grant(second, area="NEY")
    material = Material(
        title="An afternoon on candour",
        introduction="For groups of six.\n\nTakes two hours.",
        owner_id=maker.id,
        area_id=world.area("NEY").id,
        published_at=clock.now(),
    )
    clip, note = MaterialItemKind.CLIP, MaterialItemKind.NOTE
    material.items = [
        MaterialItem(position=0, kind=note, text="What would you say?\n\nWrite it down."),
        MaterialItem(position=1, kind=clip, recording_id=first.id, start_ms=1000, end_ms=5000),
        MaterialItem(position=2, kind=clip, recording_id=second.id),
    ]
    material.embed_hosts = [EmbedHost(host="learning.example.org")]
    session.add(material)
    return material
