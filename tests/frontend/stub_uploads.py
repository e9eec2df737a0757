"""A stand-in for the upload API and for S3, on one origin, that can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import Counter
from typing import Any

from flask import Flask, Response, jsonify, render_template, request

PART = 64 * 1024


class Stub:
    """State of one test: uploads by id, and what to do wrong. `fail[n]` is how often storage answers part n with
    `fail_status`; all but `free_parts` parts wait until `hold` is set."""

    def __init__(self) -> None:
        self.uploads: dict[str, dict[str, Any]] = {}
        self.fail: Counter[int] = Counter()
        self.fail_status = 500
        self.refuse: dict[str, Any] | None = None
        self.puts: list[tuple[str, int]] = []
        self.completed: list[bytes] = []
        self.cancelled: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        self.free_parts = 0
        self.lock = threading.Lock()

    def shape(self, upload: dict[str, Any]) -> dict[str, Any]:
        """What the API tells of an upload."""
        parts = [{"number": n, "size": len(body)} for n, body in sorted(upload["parts"].items())]
        return {
            "id": upload["id"],
            "recording": "rec-1",
            "state": "uploading",
            "part_size": PART,
            "parts": parts,
            "door": "s3",
            "links": {"page": "/page/flash"},
        }

    def store(self, door: str, upload_id: str, number: int, sha256: str) -> tuple[str, int]:
        """Take one part, checking its hash, unless told to misbehave."""
        body = request.get_data()
        with self.lock:
            self.free_parts -= 1
            must_wait = self.free_parts < 0
        if must_wait:
            self.hold.wait(20)
        with self.lock:
            self.puts.append((door, number))
            if self.fail[number] > 0:
                self.fail[number] -= 1
                return "<Error/>", self.fail_status
            if base64.b64encode(hashlib.sha256(body).digest()).decode() != sha256:
                return "<Error>BadDigest</Error>", 400
            self.uploads[upload_id]["parts"][number] = body
        return "", 200


def problem(status: int, detail: str, errors: dict[str, str] | None = None) -> Response:
    """An application/problem+json answer."""
    answer = jsonify({"title": detail, "status": status, "detail": detail, "errors": errors or {}})
    answer.status_code = status
    answer.content_type = "application/problem+json"
    return answer


def add_stub_uploads(app: Flask) -> Stub:
    """Register page, API and storage; gives the state that tests steer."""
    stub = Stub()

    @app.get("/upload")
    def upload_page() -> str:
        unfinished = [
            {k: u[k] for k in ("id", "filename", "size", "last_modified")}
            | {"sent": sum(map(len, u["parts"].values()))}
            for u in stub.uploads.values()
            if u["id"] not in stub.cancelled
        ]
        return render_template("upload.html", unfinished=unfinished)

    @app.post("/api/v1/uploads")
    def create() -> Any:
        assert request.headers["X-CSRF-Token"] == "token-for-tests"
        if stub.refuse:
            return problem(**stub.refuse)
        upload_id = f"u{len(stub.uploads) + 1}"
        stub.uploads[upload_id] = {**request.get_json(), "id": upload_id, "parts": {}}
        return jsonify(stub.shape(stub.uploads[upload_id])), 201

    @app.get("/api/v1/uploads/<upload_id>")
    def show(upload_id: str) -> Any:
        return jsonify(stub.shape(stub.uploads[upload_id]))

    @app.post("/api/v1/uploads/<upload_id>/parts")
    def sign(upload_id: str) -> Any:
        parts = [
            {
                "number": p["number"],
                "url": f"/s3/{upload_id}/{p['number']}",
                "headers": {"x-amz-checksum-sha256": p["sha256"]},
            }
            for p in request.get_json()["parts"]
        ]
        return jsonify({"parts": parts, "expires_in": 60})

    @app.put("/s3/<upload_id>/<int:number>")
    def direct(upload_id: str, number: int) -> Any:
        return stub.store("s3", upload_id, number, request.headers["x-amz-checksum-sha256"])

    @app.put("/api/v1/uploads/<upload_id>/parts/<int:number>")
    def proxied(upload_id: str, number: int) -> Any:
        assert request.headers["X-CSRF-Token"] == "token-for-tests"
        return stub.store("proxy", upload_id, number, request.headers["X-Part-Sha256"])

    @app.post("/api/v1/uploads/<upload_id>/complete")
    def complete(upload_id: str) -> Any:
        upload = stub.uploads[upload_id]
        stub.completed.append(b"".join(body for _, body in sorted(upload["parts"].items())))
        return jsonify({"recording": "rec-1", "state": "processing", "links": {"self": "/", "page": "/page/flash"}})

    @app.delete("/api/v1/uploads/<upload_id>")
    def cancel(upload_id: str) -> tuple[str, int]:
        stub.cancelled.append(upload_id)
        return "", 204

    return stub
