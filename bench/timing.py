"""Whether a clock tells a recording that one may not see from one that does not exist.

    python bench/timing.py [--tries N]

The application answers in this process, over PostgreSQL and S3 of its own. Somebody of another region asks for addresses
of a recording, case and material that they may not see, and for the same addresses with ids that nothing has, in turns.
Wanted: medians within 5 ms of each other for every address. Left out: the network, which only adds noise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from access_world import Size, build
from sqlalchemy import select

from app import access, clock
from app.access import Action, policy
from app.cli import bring_up_to_date, open_storage
from app.db import db
from app.db.materials import Material, MaterialItem, MaterialItemKind
from app.db.people import Person, Role, RoleAssignment
from app.db.places import Area
from app.db.recordings import Recording
from app.domain import sign_in
from app.embedded.instance import running
from app.settings import Settings
from app.web import create_app

LIMIT_MS = 5.0
ADDRESSES = {
    "recording page": "/recordings/{recording}",
    "playlist": "/recordings/{recording}/master.m3u8",
    "media": "/recordings/{recording}/media/480p.mp4",
    "captions": "/recordings/{recording}/captions/en.vtt",
    "poster": "/recordings/{recording}/poster.jpg",
    "manage": "/recordings/{recording}/manage",
    "share": "/recordings/{recording}/share",
    "API": "/api/v1/recordings/{recording}",
    "API grants": "/api/v1/recordings/{recording}/grants",
    "case": "/cases/{case}",
    "API case": "/api/v1/cases/{case}",
    "material": "/materials/{material}",
}


def prepare(settings: Settings) -> tuple[Any, dict[str, uuid.UUID]]:
    """A browser of somebody in one region, and a recording, case and material of which they may know nothing."""
    app = create_app(settings)
    with app.app_context():
        session = db.session()
        area = session.scalars(select(Area).where(Area.code == "SW")).one()
        person = Person(email="elsewhere@example.org", name="Elsewhere")
        session.add(person)
        session.flush()
        session.add(RoleAssignment(person_id=person.id, role=Role.VIEWER, area_id=area.id))
        session.flush()
        actor, now = access.load(session, person.id, clock.now()), clock.now()
        open_cases = policy.visible(actor, Action.CASE_VIEW, now).subquery()
        recording = session.scalars(
            select(Recording)
            .where(
                ~policy.where(actor, Action.RECORDING_VIEW, now),
                Recording.published_at.is_not(None),
                Recording.case_id.not_in(select(open_cases.c.id)),
            )
            .limit(1)
        ).one()
        material = Material(title="Hidden", area_id=recording.area_id, organisation_id=recording.organisation_id)
        material.published_at = now
        material.items = [MaterialItem(position=0, kind=MaterialItemKind.CLIP, recording_id=recording.id)]
        session.add(material)
        session.flush()
        _, token = sign_in.open_session(session, person.id, "bench", timedelta(hours=1), proved=True)
        hidden = {"recording": recording.id, "case": recording.case_id, "material": material.id}
        session.commit()
    client = app.test_client()
    client.set_cookie(app.session_interface.cookie, token)  # type: ignore[attr-defined]
    return client, hidden


def milliseconds(client: Any, path: str) -> float:
    """One request, which must be answered as if there were nothing."""
    begun = time.perf_counter()
    answer = client.get(path)
    taken = (time.perf_counter() - begun) * 1000
    assert answer.status_code == 404, (path, answer.status)
    return taken


def main() -> None:
    """Measure, print a table, and last one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=200)
    tries = parser.parse_args().tries
    found: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="vignette-bench-") as folder:
        Path(folder).chmod(0o711)
        with running(Settings(data=Path(folder) / "data", log_level="ERROR")) as settings:
            bring_up_to_date(settings)
            open_storage(settings)
            build(settings.owner_libpq_url, Size(people=5_000, recordings=1_000, grants=5_000))
            client, hidden = prepare(settings)
            for name, address in ADDRESSES.items():
                times: dict[bool, list[float]] = {True: [], False: []}
                for number in range(tries + 5):
                    for there in (True, False) if number % 2 else (False, True):
                        ids = hidden if there else {kind: uuid.uuid4() for kind in hidden}
                        taken = milliseconds(client, address.format(**ids))
                        if number >= 5:  # the first ones warm up
                            times[there].append(taken)
                found[name] = (statistics.median(times[True]), statistics.median(times[False]))
    print(f"{'':20}{'hidden':>10}{'nothing':>10}{'apart':>10}   (medians of {tries}, ms)")
    for name, (there, nothing) in found.items():
        print(f"{name:20}{there:>10.2f}{nothing:>10.2f}{there - nothing:>10.2f}")
    worst = max(abs(there - nothing) for there, nothing in found.values())
    print(
        json.dumps(
            {
                "name": "timing",
                "worst_ms": round(worst, 2),
                "limit": LIMIT_MS,
                "subject": {name: round(pair[0], 2) for name, pair in found.items()},
                "reference": {name: round(pair[1], 2) for name, pair in found.items()},
                "runs": tries,
            }
        )
    )
    sys.exit(worst > LIMIT_MS)


if __name__ == "__main__":
    main()
