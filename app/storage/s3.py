"""Object storage: S3 through boto3 and nothing else.

Every write names its SHA-256 among the signed headers, so the store refuses bytes that were changed on the way.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from app.errors import NotFound, Unavailable
from app.settings import Settings

#: Bytes of a part when the server itself uploads a large object.
PART_BYTES = 16 * 1024 * 1024
READ_BYTES = 256 * 1024


@dataclass(frozen=True)
class Stored:
    """What was stored: size in bytes, SHA-256 in hexadecimal."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """A part of a multipart upload that the store holds; `etag` as the store gave it."""

    number: int
    size: int
    etag: str


def to_base64(hexadecimal: str) -> str:
    """A hexadecimal digest as S3 wants it."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _client(settings: Settings, endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"max_attempts": 4, "mode": "standard"},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=32,
            # checksums are named where they are wanted; the default CRC trailers are not understood by every S3
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


class Storage:
    """One bucket. Methods raise `NotFound` for a missing object and `Unavailable` when the store does not answer."""

    def __init__(self, settings: Settings) -> None:
        self.bucket = settings.s3_bucket
        self.link_seconds = settings.link_seconds
        self._client = _client(settings, settings.s3_endpoint)
        public = settings.s3_public_endpoint or settings.s3_endpoint
        #: signs addresses as browsers reach the store; the host is part of the signature
        self._signer = self._client if public == settings.s3_endpoint else _client(settings, public)
        self.public_endpoint = public

    # -- whole objects ------------------------------------------------------------------------------------------------

    def put_bytes(self, key: str, body: bytes, media_type: str) -> Stored:
        """Store a small object in one request."""
        digest = hashlib.sha256(body).hexdigest()
        self._call(
            "put_object", Key=key, Body=body, ContentType=media_type, ContentLength=len(body),
            ChecksumSHA256=to_base64(digest),
        )  # fmt: skip
        return Stored(key, len(body), digest)

    def put_file(self, key: str, path: Path, media_type: str) -> Stored:
        """Store a file of any size: one request up to `PART_BYTES`, parts above; a failed upload leaves nothing."""
        size = path.stat().st_size
        if size <= PART_BYTES:
            return self.put_bytes(key, path.read_bytes(), media_type)
        upload_id = self.begin_multipart(key, media_type)
        whole = hashlib.sha256()
        parts: list[tuple[int, str, str]] = []
        try:
            with path.open("rb") as file:
                number = 0
                while body := file.read(PART_BYTES):
                    number += 1
                    whole.update(body)
                    digest = to_base64(hashlib.sha256(body).hexdigest())
                    parts.append((number, self.put_part(key, upload_id, number, body, digest), digest))
            self.complete_multipart(key, upload_id, parts)
        except BaseException:
            self.abort_multipart(key, upload_id)
            raise
        return Stored(key, size, whole.hexdigest())

    def get_bytes(self, key: str) -> bytes:
        """A small object whole."""
        body: bytes = self._call("get_object", Key=key)["Body"].read()
        return body

    def fetch(self, key: str, path: Path) -> str:
        """An object into a file, in bounded memory. Returns its SHA-256 in hexadecimal."""
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for block in self.stream(key)[0]:
                digest.update(block)
                file.write(block)
        return digest.hexdigest()

    def stream(self, key: str, byte_range: tuple[int, int] | None = None) -> tuple[Iterator[bytes], int]:
        """Blocks of an object, or of the bytes from first to last inclusive; and how many bytes will come."""
        extra = {} if byte_range is None else {"Range": f"bytes={byte_range[0]}-{byte_range[1]}"}
        answer = self._call("get_object", Key=key, **extra)
        return self._blocks(answer["Body"], key), int(answer["ContentLength"])

    def _blocks(self, body: Any, key: str) -> Iterator[bytes]:
        """A body in blocks; a line that breaks in its middle is a store that does not answer."""
        try:
            yield from body.iter_chunks(READ_BYTES)
        except (BotoCoreError, OSError, HTTPError) as error:
            raise Unavailable(f"Storage stopped answering while it sent {key}.") from error

    def size(self, key: str) -> int:
        """Size in bytes."""
        return int(self._call("head_object", Key=key)["ContentLength"])

    def modified(self, key: str) -> datetime:
        """When an object was stored."""
        moment: datetime = self._call("head_object", Key=key)["LastModified"]
        return moment

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""
        self._call("delete_object", Key=key)

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object and unfinished upload under a prefix. Returns how many objects went."""
        if len(prefix) < len("recordings/") + 36:
            raise ValueError("a prefix this short would remove more than one recording")
        for upload in self._call("list_multipart_uploads", Prefix=prefix).get("Uploads", []):
            self.abort_multipart(upload["Key"], upload["UploadId"])
        gone = 0
        for key, _ in self.objects(prefix):
            self.delete(key)
            gone += 1
        return gone

    def objects(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Key and size of every object under a prefix."""
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **token)
            for item in page.get("Contents", []):
                yield item["Key"], int(item["Size"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    # -- multipart ----------------------------------------------------------------------------------------------------

    def begin_multipart(self, key: str, media_type: str) -> str:
        """Open a multipart upload; returns the store's id of it."""
        answer = self._call("create_multipart_upload", Key=key, ContentType=media_type, ChecksumAlgorithm="SHA256")
        return str(answer["UploadId"])

    def put_part(
        self, key: str, upload_id: str, number: int, body: bytes | IO[bytes], sha256: str, size: int | None = None
    ) -> str:
        """Send one part whose base64 SHA-256 is named; returns its etag. Wrong bytes are refused by the store."""
        length = len(body) if isinstance(body, bytes) else size
        answer = self._call(
            "upload_part", Key=key, UploadId=upload_id, PartNumber=number, Body=body, ContentLength=length,
            ChecksumSHA256=sha256,
        )  # fmt: skip
        return str(answer["ETag"])

    def parts(self, key: str, upload_id: str) -> list[Part]:
        """The parts that the store holds, by number."""
        found: list[Part] = []
        marker: dict[str, int] = {}
        while True:
            page = self._call("list_parts", Key=key, UploadId=upload_id, **marker)
            found += [Part(p["PartNumber"], p["Size"], p["ETag"]) for p in page.get("Parts", [])]
            if not page.get("IsTruncated"):
                return sorted(found, key=lambda part: part.number)
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def complete_multipart(self, key: str, upload_id: str, parts: list[tuple[int, str, str]]) -> None:
        """Make the object of its parts: (number, etag, base64 SHA-256) each."""
        self._call(
            "complete_multipart_upload",
            Key=key,
            UploadId=upload_id,
            MultipartUpload={
                "Parts": [{"PartNumber": n, "ETag": etag, "ChecksumSHA256": digest} for n, etag, digest in parts]
            },
        )

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop a multipart upload and its parts; one that is gone already is no error."""
        try:
            self._call("abort_multipart_upload", Key=key, UploadId=upload_id)
        except NotFound:
            return

    # -- addresses for browsers ---------------------------------------------------------------------------------------

    def presign_get(self, key: str, *, media_type: str = "", disposition: str = "") -> str:
        """An address that reads one object for at most `link_seconds`; `disposition` is its Content-Disposition."""
        params: dict[str, Any] = {"Bucket": self.bucket, "Key": key, "ResponseCacheControl": "private, no-store"}
        if media_type:
            params["ResponseContentType"] = media_type
        if disposition:
            params["ResponseContentDisposition"] = disposition
        url: str = self._signer.generate_presigned_url("get_object", Params=params, ExpiresIn=self.link_seconds)
        return url

    def presign_part(self, key: str, upload_id: str, number: int, sha256: str, *, seconds: int) -> str:
        """An address to PUT one part at, with the header `x-amz-checksum-sha256: sha256` among the signed ones."""
        url: str = self._signer.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "UploadId": upload_id,
                "PartNumber": number,
                "ChecksumSHA256": sha256,
            },
            ExpiresIn=seconds,
        )
        return url

    # -- upkeep -------------------------------------------------------------------------------------------------------

    def ensure_bucket(self) -> None:
        """Make the bucket when it is missing."""
        try:
            self._call("head_bucket")
        except NotFound:
            self._call("create_bucket")

    def allow_browser(self, origin: str) -> None:
        """Let pages of `origin` send parts and read segments straight from the store."""
        self._call(
            "put_bucket_cors",
            CORSConfiguration={
                "CORSRules": [
                    {
                        "AllowedOrigins": [origin],
                        "AllowedMethods": ["GET", "HEAD", "PUT"],
                        "AllowedHeaders": ["range", "content-type", "x-amz-checksum-sha256"],
                        "ExposeHeaders": ["ETag", "Content-Range", "Accept-Ranges", "Content-Length"],
                        "MaxAgeSeconds": 600,
                    }
                ]
            },
        )

    def check(self) -> None:
        """A real round trip, for readiness.

        Raises:
            Unavailable: the store does not answer, or does not know the bucket.
        """
        try:
            self._call("head_bucket")
        except NotFound:
            raise Unavailable(f"The bucket {self.bucket} does not exist.") from None

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self.bucket, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in ("NoSuchKey", "NoSuchUpload", "NoSuchBucket", "NotFound", "404"):
                raise NotFound from error
            raise Unavailable(f"Storage refused {operation} ({code or status}).") from error
        except BotoCoreError as error:
            raise Unavailable(f"Storage does not answer ({operation}).") from error
