"""Uploads over the API: parts in any order through both doors, taken up again, completed once, cancelled without a trace."""

from __future__ import annotations

import math
import urllib.request
import uuid
from urllib.error import HTTPError

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db.audit import AuditEvent
from app.db.materials import Material, MaterialItem, MaterialItemKind
from app.db.people import Role
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState, Upload
from app.db.runs import Run, RunState
from app.domain import uploads
from app.storage import keys
from app.storage.s3 import Storage
from tests.ingest.support import MIB, Api, Makers, makers, sha

TWO_PARTS = bytes(range(256)) * (9 * MIB // 256)
FIRST, SECOND = TWO_PARTS[: 8 * MIB], TWO_PARTS[8 * MIB :]


@pytest.fixture
def there(app: Flask, session: Session) -> Makers:
    return makers(session)


@pytest.fixture
def api(app: Flask, session: Session, there: Makers) -> Api:
    token = there.world.token(there.person, "upload")
    session.commit()
    return Api(app, token)


def objects(storage: Storage, recording_id: str) -> list[str]:
    return [key for key, _ in storage.objects(keys.recording_prefix(uuid.UUID(recording_id)))]


def test_parts_out_of_order_through_the_proxied_door(
    api: Api, there: Makers, session: Session, storage: Storage
) -> None:
    upload = api.upload(there.case, TWO_PARTS, last_modified=1_700_000_000_000)
    assert upload["part_size"] == 8 * MIB
    assert upload["parts"] == []
    assert upload["state"] == "open"
    assert api.part(upload, 2, SECOND).json == {"number": 2, "size": MIB}
    again = api.call("GET", f"/uploads/{upload['id']}").json
    assert again["parts"] == [{"number": 2, "size": MIB}]
    assert again["last_modified"] == 1_700_000_000_000
    early = api.call("POST", f"/uploads/{upload['id']}/complete", {})
    assert early.status_code == 409
    assert "these parts again: 1." in early.json["detail"]
    assert api.part(upload, 1, FIRST).status_code == 200
    done = api.call("POST", f"/uploads/{upload['id']}/complete", {})
    assert (done.status_code, done.json["state"]) == (200, "processing")
    assert done.json["recording"] == upload["recording"]
    twice = api.call("POST", f"/uploads/{upload['id']}/complete", {})
    assert (twice.status_code, twice.json) == (200, done.json)
    source = session.scalars(select(Artefact).where(Artefact.kind == ArtefactKind.SOURCE)).one()
    assert storage.get_bytes(source.key) == TWO_PARTS
    recording = session.get_one(Recording, uuid.UUID(upload["recording"]))
    assert recording.state is RecordingState.PROCESSING
    assert {term.id for term in recording.terms} == {term.id for term in there.case.terms}
    assert session.scalar(select(func.count()).select_from(Run)) == 1
    acts = set(session.scalars(select(AuditEvent.action)))
    assert {"recording:create", "upload:begin", "upload:complete"} <= acts


def put(url: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, data=body, method="PUT", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_parts_straight_to_storage(api: Api, there: Makers, session: Session, storage: Storage) -> None:
    upload = api.upload(there.case, TWO_PARTS)
    assert upload["door"] == "s3", "tests reach storage on loopback, and so does this host"
    wanted = {"parts": [{"number": 1, "sha256": sha(FIRST)}, {"number": 2, "sha256": sha(SECOND)}]}
    signed = api.call("POST", f"/uploads/{upload['id']}/parts", wanted).json
    assert signed["expires_in"] == uploads.LINK_SECONDS
    one, two = signed["parts"]
    assert put(one["url"], FIRST[:-1] + b"!", one["headers"]) in (400, 403), "storage refuses other bytes"
    assert put(one["url"], FIRST, {"x-amz-checksum-sha256": sha(b"other")}) in (400, 403)
    assert api.call("GET", f"/uploads/{upload['id']}").json["parts"] == []
    assert put(one["url"], FIRST, one["headers"]) == 200
    assert put(two["url"], SECOND, two["headers"]) == 200
    assert api.call("POST", f"/uploads/{upload['id']}/complete", {}).status_code == 200
    source = session.scalars(select(Artefact).where(Artefact.kind == ArtefactKind.SOURCE)).one()
    assert storage.size(source.key) == len(TWO_PARTS)


def test_a_browser_of_our_origin_may_send_to_storage(api: Api, there: Makers, storage: Storage) -> None:
    storage.allow_browser("https://vignette.example")
    upload = api.upload(there.case, b"abc")
    wanted = {"parts": [{"number": 1, "sha256": sha(b"abc")}]}
    part = api.call("POST", f"/uploads/{upload['id']}/parts", wanted).json["parts"][0]
    preflight = urllib.request.Request(
        part["url"],
        method="OPTIONS",
        headers={
            "Origin": "https://vignette.example",
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "x-amz-checksum-sha256",
        },
    )
    with urllib.request.urlopen(preflight, timeout=10) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://vignette.example"
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"]


def test_wrong_digest_is_refused_and_nothing_is_stored(api: Api, there: Makers) -> None:
    upload = api.upload(there.case, TWO_PARTS)
    refused = api.part(upload, 2, SECOND, digest=sha(b"something else"))
    assert refused.status_code == 400
    assert refused.json["code"] == "digest-mismatch"
    assert api.call("GET", f"/uploads/{upload['id']}").json["parts"] == []


@pytest.mark.parametrize(
    ("number", "body", "digest"),
    [(2, SECOND + b"x", ""), (3, b"x", ""), (0, b"x", ""), (2, SECOND, "not base64"), (2, SECOND, "AAAA")],
)
def test_parts_that_cannot_be(api: Api, there: Makers, number: int, body: bytes, digest: str) -> None:
    upload = api.upload(there.case, TWO_PARTS)
    answer = api.part(upload, number, body, digest)
    assert answer.status_code in (400, 413)
    assert answer.content_type == "application/problem+json"
    assert api.call("GET", f"/uploads/{upload['id']}").json["parts"] == []


def test_servers_that_end_bodies_by_themselves(api: Api, there: Makers) -> None:
    """As granian does: the stream then knows its most, and complains when it is read past that."""
    upload = api.upload(there.case, TWO_PARTS)
    headers = {"X-Part-Sha256": sha(FIRST), "Content-Type": "application/octet-stream"}
    answer = api.call(
        "PUT", f"/uploads/{upload['id']}/parts/1", data=FIRST, headers=headers,
        environ_overrides={"wsgi.input_terminated": True},
    )  # fmt: skip
    assert answer.status_code == 200


def test_other_bodies_keep_their_limit(api: Api, there: Makers) -> None:
    answer = api.call("POST", "/uploads", data=b"x" * (2 * MIB), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_cancel_leaves_nothing(api: Api, there: Makers, session: Session, storage: Storage) -> None:
    upload = api.upload(there.case, TWO_PARTS)
    api.part(upload, 1, FIRST)
    assert api.call("DELETE", f"/uploads/{upload['id']}").status_code == 204
    assert objects(storage, upload["recording"]) == []
    prefix = keys.recording_prefix(uuid.UUID(upload["recording"]))
    left = storage._client.list_multipart_uploads(Bucket=storage.bucket, Prefix=prefix)
    assert left.get("Uploads", []) == []
    assert session.get(Recording, uuid.UUID(upload["recording"])) is None
    assert session.get(Upload, uuid.UUID(upload["id"])) is None
    assert api.call("GET", f"/uploads/{upload['id']}").status_code == 404
    assert api.call("GET", "/uploads?state=open").json == {"items": []}


def test_cancelling_another_file_keeps_the_recording(
    api: Api, there: Makers, session: Session, storage: Storage
) -> None:
    """Materials may speak of it, and its history is its own; only what the new upload brought goes."""
    first = api.upload(there.case, b"abc")
    api.part(first, 1, b"abc")
    assert api.call("POST", f"/uploads/{first['id']}/complete", {}).status_code == 200
    recording = session.get_one(Recording, uuid.UUID(first["recording"]))
    session.execute(update(Run).where(Run.recording_id == recording.id).values(state=RunState.FAILED))
    recording.state = RecordingState.FAILED
    material = Material(title="A session", items=[
        MaterialItem(position=0, kind=MaterialItemKind.CLIP, recording_id=recording.id)
    ])  # fmt: skip
    session.add(material)
    session.commit()
    body = {"case_id": str(there.case.id), "title": "Again", "filename": "b.mp4", "size": 3, "last_modified": 1}
    again = api.call("POST", "/uploads", {**body, "recording_id": str(recording.id)})
    assert again.status_code == 201, again.text
    assert api.call("DELETE", f"/uploads/{again.json['id']}").status_code == 204
    session.expire_all()
    assert session.get_one(Recording, recording.id).state is RecordingState.FAILED
    assert objects(storage, first["recording"]) == []
    assert api.call("GET", "/uploads?state=open").json == {"items": []}


def test_a_completed_upload_is_not_cancelled(api: Api, there: Makers) -> None:
    upload = api.upload(there.case, b"abc")
    api.part(upload, 1, b"abc")
    assert api.call("POST", f"/uploads/{upload['id']}/complete", {}).status_code == 200
    assert api.call("DELETE", f"/uploads/{upload['id']}").status_code == 409
    assert api.part(upload, 1, b"abc").status_code == 409


def test_only_who_opened_it_goes_on(app: Flask, api: Api, there: Makers, session: Session) -> None:
    upload = api.upload(there.case, b"abc")
    other = there.world.person("other@example.org", Role.FACILITATOR, "NEY")
    stranger = Api(app, there.world.token(other, "all"))
    session.commit()
    random = f"/uploads/{uuid.uuid4()}"
    for method, tail, body in (
        ("GET", "", None),
        ("POST", "/parts", {"parts": [{"number": 1, "sha256": sha(b"abc")}]}),
        ("POST", "/complete", {}),
        ("DELETE", "", None),
    ):
        theirs = stranger.call(method, f"/uploads/{upload['id']}{tail}", body)
        nobodys = stranger.call(method, f"{random}{tail}", body)
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.data == nobodys.data
    assert stranger.part(upload, 1, b"abc").status_code == 404
    assert stranger.call("GET", "/uploads").json == {"items": []}
    assert len(api.call("GET", "/uploads").json["items"]) == 1


def test_what_is_refused_at_the_start(app: Flask, api: Api, there: Makers, session: Session) -> None:
    good = {"case_id": str(there.case.id), "title": "T", "filename": "a.mp4", "size": 3}
    limit = app.extensions["vignette"].settings.max_upload_bytes
    for change, field in (
        ({"size": 0}, "size"),
        ({"size": limit + 1}, "size"),
        ({"size": "3"}, "size"),
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"filename": ""}, "filename"),
        ({"case_id": "x"}, "case_id"),
        ({"themes": ["no such theme"]}, "theme"),
        ({"recorded_on": "31 March"}, "recorded_on"),
    ):
        answer = api.call("POST", "/uploads", {**good, **change})
        assert answer.status_code in (400, 413), change
        assert field in answer.json["errors"], (change, answer.json)
    assert api.call("POST", "/uploads", {**good, "case_id": str(uuid.uuid4())}).status_code == 404
    elsewhere = there.world.case("Elsewhere", "SW")
    session.commit()
    assert api.call("POST", "/uploads", {**good, "case_id": str(elsewhere.id)}).status_code == 404
    assert api.call("POST", "/uploads", data=b"[1]", headers={"Content-Type": "application/json"}).status_code == 400
    assert session.scalar(select(func.count()).select_from(Recording)) == 0


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "a/b\\c.mp4",
        '"><script>alert(1)</script>.mp4',
        "CON",
        ".mp4",
        "x" * 900,
        "evil\u202e4pm.exe",
        "a\nb\tc",
    ],
)
def test_hostile_file_names_are_only_words(api: Api, there: Makers, session: Session, name: str) -> None:
    upload = api.upload(there.case, b"abc", filename=name)
    row = session.get_one(Upload, uuid.UUID(upload["id"]))
    assert row.key == keys.source(row.recording_id, row.id)
    assert not any(ord(c) < 32 or c == "\u202e" for c in row.filename)
    assert len(row.filename) <= 400


def test_another_file_for_a_rejected_recording(api: Api, there: Makers, session: Session) -> None:
    recording = there.world.recording(
        there.case, state=RecordingState.REJECTED, owner_id=there.person.id, reason="No video", title="Mine"
    )
    session.commit()
    upload = api.upload(there.case, b"abc", recording_id=str(recording.id))
    assert upload["recording"] == str(recording.id)
    session.expire_all()
    assert recording.state is RecordingState.UPLOADING
    assert recording.reason == ""
    wanted = {
        "case_id": str(there.case.id),
        "title": "T",
        "filename": "a",
        "size": 3,
        "recording_id": str(recording.id),
    }
    assert api.call("POST", "/uploads", wanted).status_code == 409


@given(st.integers(min_value=1, max_value=5 * 1024**4))
def test_parts_cover_every_size(size: int) -> None:
    part = uploads.part_size_for(size)
    assert part >= 8 * MIB
    assert part % MIB == 0
    assert math.ceil(size / part) <= 10_000
    sizes = uploads.sizes_of(Upload(size=size, part_size=part))
    assert sum(sizes.values()) == size
    assert list(sizes) == list(range(1, len(sizes) + 1))
    assert all(0 < value <= part for value in sizes.values())
