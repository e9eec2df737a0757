"""Just enough of S3 to make a bucket and to see whether it takes an object: signed requests over `http.client`.

This package may not import boto3. Signing follows AWS Signature Version 4
(https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

from app import clock


@dataclass(frozen=True)
class Answer:
    """Status, S3's error code ("" when none) and the server's own time, where it says."""

    status: int
    code: str
    server_time: datetime | None


@dataclass(frozen=True)
class Probe:
    """One endpoint with its keys."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    seconds: float = 5

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """One signed request to `path` (from the first slash on).

        Raises:
            OSError: nobody answers, or what answers does not speak HTTP.
        """
        address = urlsplit(self.endpoint)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = kind(address.hostname or "", address.port, timeout=self.seconds)
        target = quote(address.path.rstrip("/") + path, safe="/-_.~")
        try:
            connection.request(method, target, body, self._signed(method, address.netloc, target, body))
            response = connection.getresponse()
            text = response.read(65536).decode(errors="replace")
            date = response.headers.get("Date")
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()
        code = text.partition("<Code>")[2].partition("</Code>")[0]
        return Answer(response.status, code, parsedate_to_datetime(date) if date else None)

    def make_bucket(self, bucket: str) -> bool:
        """True when the bucket is there afterwards and ours."""
        answer = self.request("PUT", f"/{bucket}")
        return answer.status == 200 or answer.code == "BucketAlreadyOwnedByYou" or self.has_bucket(bucket)

    def has_bucket(self, bucket: str) -> bool:
        """True when the bucket answers to these keys."""
        return self.request("HEAD", f"/{bucket}").status == 200

    def takes_objects(self, bucket: str) -> bool:
        """True when an object can be put and removed: what `/healthz` says too early."""
        path = f"/{bucket}/.ready"
        return self.request("PUT", path, b"ready").status == 200 and self.request("DELETE", path).status == 204

    def _signed(self, method: str, host: str, target: str, body: bytes) -> dict[str, str]:
        stamp = clock.now().strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256(body).hexdigest()
        headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"{method}\n{target}\n\n{lines}\n{names}\n{digest}"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{self.secret_key}".encode()
        for part in (*scope.split("/"), to_sign):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"Credential={self.access_key}/{scope}"
        return headers | {
            "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={key.hex()}"
        }
