"""The store, on the real S3."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from app.errors import NotFound, Unavailable
from app.storage import keys, s3
from app.storage.s3 import Storage, to_base64


@pytest.fixture
def key() -> str:
    return keys.source(uuid.uuid4(), uuid.uuid4())


def test_small_and_large_objects_come_back_as_they_went(
    storage: Storage, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 1024 * 1024)
    for size in (0, 1, 5 * 1024 * 1024, 12 * 1024 * 1024 + 7):
        body = bytes(range(256)) * (size // 256) + bytes(size % 256)
        path = tmp_path / "sent"
        path.write_bytes(body)
        stored = storage.put_file(key, path, "video/mp4")
        assert (stored.size, stored.sha256) == (size, hashlib.sha256(body).hexdigest())
        assert storage.fetch(key, tmp_path / "got") == stored.sha256
        assert storage.size(key) == size
    blocks, length = storage.stream(key, (10, 20))
    assert (b"".join(blocks), length) == (body[10:21], 11)


def test_wrong_bytes_are_refused(storage: Storage, key: str) -> None:
    upload = storage.begin_multipart(key, "video/mp4")
    named = to_base64(hashlib.sha256(b"what was promised").hexdigest())
    with pytest.raises(Unavailable):
        storage.put_part(key, upload, 1, b"something else!!!", named)
    assert storage.parts(key, upload) == []
    storage.abort_multipart(key, upload)
    storage.abort_multipart(key, upload)
    with pytest.raises(NotFound):
        storage.size(key)


def test_a_prefix_goes_whole_and_only_a_recordings(storage: Storage) -> None:
    recording = uuid.uuid4()
    for name in ("a", "b"):
        storage.put_bytes(keys.artefact(recording, uuid.uuid4(), name, 1), b"x", "text/plain")
    storage.begin_multipart(keys.source(recording, uuid.uuid4()), "video/mp4")
    assert storage.delete_prefix(keys.recording_prefix(recording)) == 2
    assert list(storage.objects(keys.recording_prefix(recording))) == []
    with pytest.raises(ValueError, match="more than one recording"):
        storage.delete_prefix("recordings/")


def test_a_line_that_breaks_in_the_middle_is_told(
    storage: Storage, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.put_bytes(key, b"x" * 1000, "video/mp4")

    class Broken:
        def iter_chunks(self, _size: int) -> Iterator[bytes]:
            yield b"x"
            raise ProtocolError("the line broke")

    def answer(_operation: str, **_arguments: Any) -> Any:
        return {"Body": Broken(), "ContentLength": 1000}

    monkeypatch.setattr(storage, "_call", answer)
    with pytest.raises(Unavailable):
        storage.fetch(key, tmp_path / "got")
