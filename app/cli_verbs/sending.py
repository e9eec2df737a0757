"""Sending a file to a Vignette server over its API: parts in parallel, each with its SHA-256, taken up again."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from app.errors import Invalid, Unavailable

AT_ONCE = 3
TRIES = 6
DIRECT_TRIES = 2  # then parts go through the app: storage may be out of reach from here
LONGEST_PAUSE = 10.0
POLL_SECONDS = 1.0
PASSING = frozenset({408, 429, 500, 502, 503, 504})
MOVING = ("uploading", "processing")

Say = Callable[[str], None]


class Refused(Invalid):
    """The server understood and said no. `status` is HTTP's."""

    code = "refused"

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Job:
    """What is to be sent, and of what it is."""

    file: Path
    case_id: str
    title: str


class Sender:
    """A server and a token.

    Raises (all methods):
        Refused: the server said no; the sentence is its own.
        Unavailable: it does not answer, after several tries.
    """

    def __init__(self, url: str, token: str, say: Say) -> None:
        self.base = url.rstrip("/")
        self.say = say
        self.pool = urllib3.PoolManager(
            maxsize=AT_ONCE + 1, retries=False, timeout=urllib3.Timeout(connect=10, read=120)
        )
        self.headers = {"Authorization": f"Bearer {token}"}
        self._direct = True
        self._silent = 0
        self._lock = threading.Lock()

    # -- asking --------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One JSON call; a POST carries a key, so that sending it again does nothing twice."""
        headers = dict(self.headers)
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode() if body is not None else None
        answer = self._insist(lambda: self.pool.request(method, f"{self.base}/api/v1{path}", data, headers=headers))
        return json.loads(answer.data) if answer.data else None

    def _insist(self, request: Callable[[], urllib3.BaseHTTPResponse]) -> urllib3.BaseHTTPResponse:
        """Try until it works, as long as trying again can help."""
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(random.uniform(0.2, min(LONGEST_PAUSE, 0.5 * 2**attempt)))  # noqa: S311 - spreads load
            try:
                answer = request()
            except urllib3.exceptions.HTTPError as error:
                reason = type(error).__name__
                continue
            if answer.status < 300:
                return answer
            if answer.status not in PASSING:
                raise Refused(_sentence(answer), answer.status)
            reason = f"status {answer.status}"
        raise Unavailable(
            f"{self.base} does not answer ({reason}). Run the same command again to go on where it stopped."
        )

    # -- sending -------------------------------------------------------------------------------------------------

    def send(self, job: Job) -> str:
        """Send a file, going on with an unfinished upload of the same file; returns the recording's id."""
        upload = self._open(job)
        stored = {part["number"] for part in upload["parts"]}
        size, part_size = upload["size"], upload["part_size"]
        count = max(1, -(-size // part_size))
        todo = [number for number in range(1, count + 1) if number not in stored]
        if stored:
            self.say(f"Going on: {len(stored)} of {count} parts are there already.")
        self._direct = upload["door"] == "s3"
        done = len(stored)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            futures = [threads.submit(self._part, job.file, upload, number) for number in todo]
            try:
                for future in futures:
                    future.result()
                    done += 1
                    self.say(f"Sent {done} of {count} parts.")
            except BaseException:
                threads.shutdown(wait=True, cancel_futures=True)
                raise
        self.call("POST", f"/uploads/{upload['id']}/complete", {})
        return str(upload["recording"])

    def _open(self, job: Job) -> dict[str, Any]:
        status = job.file.stat()
        known = {"filename": job.file.name, "size": status.st_size, "last_modified": status.st_mtime_ns // 1_000_000}
        for upload in self.call("GET", "/uploads?state=open")["items"]:
            if all(upload[name] == value for name, value in {**known, "title": job.title, "case": job.case_id}.items()):
                found: dict[str, Any] = upload
                return found
        opened: dict[str, Any] = self.call("POST", "/uploads", {"case_id": job.case_id, "title": job.title, **known})
        return opened

    def _part(self, file: Path, upload: dict[str, Any], number: int) -> None:
        with file.open("rb") as source:
            source.seek((number - 1) * upload["part_size"])
            body = source.read(upload["part_size"])
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()

        def proxied() -> urllib3.BaseHTTPResponse:
            headers = {**self.headers, "X-Part-Sha256": digest, "Content-Type": "application/octet-stream"}
            address = f"{self.base}/api/v1/uploads/{upload['id']}/parts/{number}"
            return self.pool.request("PUT", address, body, headers=headers)

        def direct() -> urllib3.BaseHTTPResponse:
            if not self._direct:
                return proxied()
            wanted = {"parts": [{"number": number, "sha256": digest}]}
            part = self.call("POST", f"/uploads/{upload['id']}/parts", wanted)["parts"][0]
            try:
                return self.pool.request("PUT", part["url"], body, headers=part["headers"])
            except urllib3.exceptions.HTTPError:
                self._note_silence()
                raise

        self._insist(direct)

    def _note_silence(self) -> None:
        with self._lock:
            self._silent += 1
            if self._silent == DIRECT_TRIES:
                self._direct = False
                self.say("Storage is out of reach from here: sending through the server.")

    # -- waiting -------------------------------------------------------------------------------------------------

    def wait(self, recording_id: str) -> dict[str, Any]:
        """Wait until the recording is no longer being processed; returns it."""
        told = ""
        while True:
            recording: dict[str, Any] = self.call("GET", f"/recordings/{recording_id}")
            if recording["state"] not in MOVING:
                return recording
            now = f"{round(recording['progress'] * 100)} %" + "".join(
                f", {stage['label'].lower()}" for stage in recording.get("stages", []) if stage["state"] == "running"
            )
            if now != told:
                self.say(f"Processing: {now}")
                told = now
            time.sleep(POLL_SECONDS)


def _sentence(answer: urllib3.BaseHTTPResponse) -> str:
    if answer.status == 401:
        return "The token is wrong, has ended, or its person may not sign in."
    try:
        found = json.loads(answer.data)["detail"]
    except (ValueError, KeyError, TypeError):
        found = ""
    return str(found) or f"The server refused this (status {answer.status})."
