"""Whether answers tell by their time who has an account: interleaved tries for known, unknown, suspended and bare addresses.

    python bench/enumeration.py [--tries N]

Four doors are tried: signing in with a wrong password, asking for a link to sign in, asking for a new password, and opening
an invitation (that of a suspended person against one that nobody has). Each try is a whole request with a form token, answered
by the production application in this process; the order of the addresses is shuffled in every round, so that a busy machine
slows all of them; the processor time beside it hardly feels the others at all. What limits rates is emptied between rounds. Left out: the network and the web server, which only add noise.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import delete

from app import clock
from app.access import SYSTEM
from app.cli import bring_up_to_date, build, open_storage
from app.db.mails import Mail
from app.db.people import Person, Role
from app.db.sign_in import LinkPurpose, LoginFailure
from app.domain import people, sign_in
from app.domain.places import Place
from app.embedded.instance import running
from app.settings import Settings
from app.web import create_app

LIMIT_MS = 10.0
EMAILS = {
    "known": "known@example.org",
    "unknown": "unknown@example.org",
    "suspended": "suspended@example.org",
    "no password": "bare@example.org",
}
PASSWORD = "three random words"


def prepare(settings: Settings) -> dict[str, str]:
    """The people, and the secrets of the invitations."""
    bring_up_to_date(settings)
    open_storage(settings)
    with build(settings).session() as session:
        made: dict[str, Person] = {}
        for name, email in EMAILS.items():
            if name != "unknown":
                word = None if name == "no password" else PASSWORD
                made[name] = people.add(session, SYSTEM, email=email, role=Role.VIEWER, place=Place(), password=word)
        made["suspended"].suspended_at = clock.now()
        secret = sign_in.make_link(session, LinkPurpose.INVITATION, timedelta(days=1), person_id=made["suspended"].id)
    return {"suspended": secret, "unknown": "x" * len(secret)}


def token_of(client: FlaskClient) -> str:
    """The form token of a visitor."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
    if found is None:
        raise RuntimeError("the sign-in page has no form token")
    return found[1]


def measure(settings: Settings, tries: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Median milliseconds of each door and address: waited for, and worked by this process."""
    invitations = prepare(settings)
    app = create_app(settings)
    core = app.extensions["vignette"]
    client = app.test_client()
    token = token_of(client)
    jobs: list[tuple[str, str, str, dict[str, str]]] = []
    for name, email in EMAILS.items():
        jobs.append(("sign in", name, "/sign-in", {"email": email, "password": "a wrong password"}))
        jobs.append(("link", name, "/sign-in/link", {"email": email}))
        jobs.append(("new password", name, "/forgotten-password", {"email": email}))
    jobs += [("invitation", name, f"/invitation/{secret}", {"how": "link"}) for name, secret in invitations.items()]
    times: dict[str, dict[str, list[tuple[float, float]]]] = {}
    statuses: dict[str, set[int]] = {}
    shuffle = random.Random(1)
    for round_ in range(tries + 5):
        with core.session() as session:
            session.execute(delete(LoginFailure))
            session.execute(delete(Mail))
        shuffle.shuffle(jobs)
        for door, name, path, form in jobs:
            begun, worked = time.perf_counter(), time.process_time()
            answer = client.post(path, data={"csrf_token": token, **form})
            took = ((time.perf_counter() - begun) * 1000, (time.process_time() - worked) * 1000)
            statuses.setdefault(door, set()).add(answer.status_code)
            if door == "sign in":  # after five of one network address all would have to wait
                with core.session() as session:
                    session.execute(delete(LoginFailure))
            if round_ >= 5:
                times.setdefault(door, {}).setdefault(name, []).append(took)
    if any(len(found) != 1 for found in statuses.values()):
        raise RuntimeError(f"the answers differ already by status: {statuses}")
    return {door: {name: _medians(all_) for name, all_ in by.items()} for door, by in times.items()}


def _medians(tries: list[tuple[float, float]]) -> tuple[float, float]:
    walls, works = zip(*tries, strict=True)
    return round(statistics.median(walls), 2), round(statistics.median(works), 2)


def main() -> None:
    """Measure, print a table, and last one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=200)
    tries = parser.parse_args().tries
    with tempfile.TemporaryDirectory(prefix="vignette-bench-") as folder:
        Path(folder).chmod(0o711)
        with running(Settings(data=Path(folder) / "data")) as settings:
            mailing = replace(settings, smtp_url="smtp://127.0.0.1:9", mail_from="bench@example.org", log_level="ERROR")
            found = measure(mailing, tries)
    worst = 0.0
    print(f"{'door':14}{'address':14}{'median ms':>11}{'difference':>12}{'of it CPU ms':>14}")
    for door, by in found.items():
        middle = by["unknown"][0]
        for name, (waited, worked) in sorted(by.items()):
            worst = max(worst, abs(waited - middle))
            print(f"{door:14}{name:14}{waited:>11.2f}{waited - middle:>+12.2f}{worked:>14.2f}")
    print(
        json.dumps(
            {"name": "enumeration", "worst_ms": round(worst, 2), "limit": LIMIT_MS, "subject": found, "runs": tries}
        )
    )
    sys.exit(worst > LIMIT_MS)


if __name__ == "__main__":
    main()
