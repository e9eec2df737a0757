"""Uploads: one source file in parts, taken up again at any time until it is complete or cancelled.

The bytes never need to pass through here: a part goes straight to storage at a signed address, or through the proxied
door. Either way its SHA-256 is named before it is sent, and storage refuses other bytes. What has arrived is asked of
storage; our own rows hold only the digests that were named.
"""

from __future__ import annotations

import base64
import binascii
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import IO

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.access import Action, Actor, policy
from app.captions import spoken
from app.db.cases import Case
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState, Upload, UploadPart, UploadState
from app.db.vocabulary import Term
from app.domain import audit, recordings, runs
from app.domain.places import Place, check_may_place, home_of
from app.errors import Conflict, Invalid, NotFound, TooLarge
from app.storage import keys
from app.storage.s3 import Part, Storage

MIB = 1024 * 1024
MIN_PART = 8 * MIB
MOST_PARTS = 10_000
#: How long a signed address for a part may be used to begin sending it, in seconds.
LINK_SECONDS = 600
SOURCE_TYPE = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class File:
    """What the sender says of a file. `last_modified` is in milliseconds since 1970, to know the file again."""

    name: str
    size: int
    last_modified: int | None = None


@dataclass(frozen=True, kw_only=True)
class Details:
    """What a person writes of a new recording."""

    title: str
    themes: Sequence[Term] = ()
    description: str = ""
    recorded_on: date | None = None
    language: str = ""
    place: Place | None = None


def part_size_for(size: int) -> int:
    """Bytes of each part but the last: whole MiB, at least 8, so that there are at most 10,000 parts."""
    return max(MIN_PART, math.ceil(size / MOST_PARTS / MIB) * MIB)


def sizes_of(upload: Upload) -> dict[int, int]:
    """Number of each part to its bytes."""
    count = max(1, math.ceil(upload.size / upload.part_size))
    sizes = dict.fromkeys(range(1, count + 1), upload.part_size)
    sizes[count] = upload.size - upload.part_size * (count - 1)
    return sizes


def check_digest(text: str) -> str:
    """A SHA-256 in base64, as S3 wants it.

    Raises:
        Invalid: it is not one.
    """
    try:
        if len(base64.b64decode(text, validate=True)) == 32:
            return text
    except (binascii.Error, ValueError):
        pass
    sentence = "The SHA-256 of a part must be given in base64"
    raise Invalid(sentence, fields={"sha256": sentence})


# -- beginning -----------------------------------------------------------------------------------------------------------


def _check_file(file: File, limit: int) -> None:
    if not file.name.strip():
        raise Invalid("Select a file", fields={"filename": "Select a file"})
    if file.size <= 0:
        raise Invalid("The selected file is empty", fields={"size": "The selected file is empty"}, code="empty")
    if file.size > limit:
        sentence = f"The selected file must be smaller than {_words(limit)}"
        raise TooLarge(sentence, fields={"size": sentence})


def _words(size: int) -> str:
    for unit, name in ((1024**3, "GB"), (MIB, "MB"), (1024, "kB")):
        if size >= unit:
            return f"{size / unit:.3g}{name}"
    return f"{size} bytes"


def begin(
    session: Session,
    storage: Storage,
    actor: Actor,
    case: Case,
    details: Details,
    file: File,
    *,
    limit: int,
    recording_id: uuid.UUID | None = None,
) -> Upload:
    """Open an upload. It makes the recording too, or gives one whose file was not accepted another file.

    Args:
        case: one to which the actor may add recordings; the caller has checked that.
        limit: most bytes of a file.
        recording_id: a recording that was rejected or failed.

    Raises:
        Invalid, TooLarge: the title, themes, place or file cannot be.
        NotFound, Forbidden: the recording is not theirs to change.
        Conflict: the recording has its file.
    """
    policy.require_capability(actor, Action.RECORDING_CREATE)
    _check_file(file, limit)
    title = recordings.checked_title(details.title)
    if recording_id is None:
        recording = _new_recording(session, actor, case, details, title)
    else:
        recording = policy.require(
            session, actor, Action.RECORDING_EDIT, Recording, recording_id, clock.now(), lock=True
        )
        _take_back(session, storage, recording)
    upload_id = uuid.uuid4()
    key = keys.source(recording.id, upload_id)
    upload = Upload(
        id=upload_id,
        recording=recording,
        created_by_id=actor.person_id,
        key=key,
        storage_upload_id=storage.begin_multipart(key, SOURCE_TYPE),
        filename=recordings.checked_filename(file.name),
        size=file.size,
        last_modified=file.last_modified,
        part_size=part_size_for(file.size),
        state=UploadState.OPEN,
    )
    recording.source_name, recording.source_size = upload.filename, file.size
    session.add(upload)
    session.flush()
    audit.record(session, actor, "upload:begin", "recording", recording.id, upload=str(upload.id), size=file.size)
    return upload


def _new_recording(session: Session, actor: Actor, case: Case, details: Details, title: str) -> Recording:
    place = details.place if details.place is not None else home_of(session, actor)
    if details.place is not None:
        check_may_place(session, actor, place)
    recording = Recording(
        case_id=case.id,
        title=title,
        description=details.description.strip(),
        recorded_on=details.recorded_on,
        spoken_language=spoken.checked(details.language),
        state=RecordingState.UPLOADING,
        owner_id=actor.person_id,
        terms=list(details.themes) if details.themes else recordings.themes_from_case(case),
        **place.columns(),
    )
    session.add(recording)
    session.flush()
    audit.record(session, actor, "recording:create", "recording", recording.id, case=str(case.id))
    return recording


def _take_back(session: Session, storage: Storage, recording: Recording) -> None:
    """Make room for another file of a recording that came to nothing."""
    if recording.state not in (RecordingState.REJECTED, RecordingState.FAILED):
        raise Conflict("This recording has its file already.")
    storage.delete_prefix(keys.recording_prefix(recording.id))
    session.execute(delete(Artefact).where(Artefact.recording_id == recording.id))
    recording.state, recording.reason, recording.reason_code = RecordingState.UPLOADING, "", ""
    recording.watchable_at = None


# -- going on ------------------------------------------------------------------------------------------------------------


def require(session: Session, actor: Actor, upload_id: uuid.UUID, *, lock: bool = False) -> Upload:
    """The upload, for the person who opened it while they may still change the recording.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    query = (
        select(Upload)
        .join(Recording, Recording.id == Upload.recording_id)
        .where(
            Upload.id == upload_id,
            Upload.created_by_id == actor.person_id,
            policy.where(actor, Action.RECORDING_EDIT, clock.now()),
        )
        .options(joinedload(Upload.recording))
    )
    upload = session.scalar(query.with_for_update(of=Upload) if lock else query)
    if upload is None:
        raise NotFound
    return upload


def unfinished(session: Session, actor: Actor, limit: int = 50) -> list[Upload]:
    """The actor's own open uploads, newest first."""
    query = (
        select(Upload)
        .join(Recording, Recording.id == Upload.recording_id)
        .where(
            Upload.created_by_id == actor.person_id,
            Upload.state == UploadState.OPEN,
            policy.where(actor, Action.RECORDING_EDIT, clock.now()),
        )
        .options(joinedload(Upload.recording).joinedload(Recording.case))
        .order_by(Upload.created_at.desc(), Upload.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def stored_parts(storage: Storage, upload: Upload) -> list[Part]:
    """The parts that storage holds and that have the size they must have; none once the upload has ended."""
    if upload.state is not UploadState.OPEN:
        return []
    sizes = sizes_of(upload)
    try:
        return [
            part for part in storage.parts(upload.key, upload.storage_upload_id) if sizes.get(part.number) == part.size
        ]
    except NotFound:
        return []


def check_open(upload: Upload) -> None:
    """Stop unless parts may still come.

    Raises:
        Conflict: it is complete or cancelled.
    """
    if upload.state is not UploadState.OPEN:
        raise Conflict("This upload has ended.")


def check_number(upload: Upload, number: int) -> int:
    """The bytes that the part of this number must have.

    Raises:
        Invalid: the file has no such part.
    """
    size = sizes_of(upload).get(number)
    if size is None:
        sentence = f"There is no part {number}; they are numbered from 1 to {len(sizes_of(upload))}"
        raise Invalid(sentence, fields={"number": sentence})
    return size


def name_digests(session: Session, upload: Upload, digests: Mapping[int, str]) -> None:
    """Note the SHA-256 with which parts are about to be sent.

    Raises:
        Conflict: the upload has ended.
        Invalid: a part that the file does not have, or something that is no digest.
    """
    check_open(upload)
    rows = []
    for number, digest in digests.items():
        check_number(upload, number)
        rows.append({"upload_id": upload.id, "number": number, "sha256": check_digest(digest)})
    if rows:
        statement = insert(UploadPart).values(rows)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[UploadPart.upload_id, UploadPart.number], set_={"sha256": statement.excluded.sha256}
            )
        )


def sign(session: Session, storage: Storage, upload: Upload, digests: Mapping[int, str]) -> dict[int, str]:
    """Addresses to PUT parts at, good for `LINK_SECONDS`; each takes only the bytes whose digest was named.

    Raises:
        Conflict, Invalid: as `name_digests`.
    """
    name_digests(session, upload, digests)
    return {
        number: storage.presign_part(upload.key, upload.storage_upload_id, number, digest, seconds=LINK_SECONDS)
        for number, digest in digests.items()
    }


def store_part(
    session: Session, storage: Storage, upload: Upload, number: int, body: IO[bytes], sha256: str, size: int
) -> None:
    """Pass one part on to storage. `body` must be seekable; the caller has compared it with its digest.

    Raises:
        Conflict, Invalid: as `name_digests`.
    """
    name_digests(session, upload, {number: sha256})
    storage.put_part(upload.key, upload.storage_upload_id, number, body, sha256, size)


# -- ending --------------------------------------------------------------------------------------------------------------


def complete(session: Session, storage: Storage, actor: Actor, upload: Upload) -> Recording:
    """Make the object of its parts and send the recording on its way; both or neither. Doing it twice is doing it once.

    The upload must be locked. Storage may have been done when an earlier try ended before its commit: the object that
    is there then counts.

    Raises:
        Conflict: it was cancelled, or parts are missing; the sentence says which.
    """
    if upload.state is UploadState.COMPLETED:
        return upload.recording
    check_open(upload)
    try:
        held = {part.number: part for part in storage.parts(upload.key, upload.storage_upload_id)}
    except NotFound:
        _check_object(storage, upload)
    else:
        storage.complete_multipart(upload.key, upload.storage_upload_id, _all_parts(session, upload, held))
        _check_object(storage, upload)
    recording = upload.recording
    session.add(
        Artefact(
            recording_id=recording.id,
            kind=ArtefactKind.SOURCE,
            key=upload.key,
            media_type=SOURCE_TYPE,
            size=upload.size,
            sha256="",  # of the whole file: known when it is first read
        )
    )
    upload.state = UploadState.COMPLETED
    session.execute(delete(UploadPart).where(UploadPart.upload_id == upload.id))
    runs.start(session, recording, requested_by_id=actor.person_id)
    audit.record(session, actor, "upload:complete", "recording", recording.id, upload=str(upload.id))
    return recording


def _all_parts(session: Session, upload: Upload, held: Mapping[int, Part]) -> list[tuple[int, str, str]]:
    named = {
        row.number: row.sha256
        for row in session.execute(
            select(UploadPart.number, UploadPart.sha256).where(UploadPart.upload_id == upload.id)
        )
    }
    sizes = sizes_of(upload)
    wanting = [n for n, size in sizes.items() if n not in held or n not in named or held[n].size != size]
    if wanting:
        some = ", ".join(str(number) for number in wanting[:10]) + (" and more" if len(wanting) > 10 else "")
        raise Conflict(f"Not all of the file has arrived. Send these parts again: {some}.", code="parts-missing")
    return [(number, held[number].etag, named[number]) for number in sizes]


def _check_object(storage: Storage, upload: Upload) -> None:
    try:
        size = storage.size(upload.key)
    except NotFound:
        size = -1
    if size != upload.size:
        raise Conflict("What has arrived cannot be put together. Cancel this upload and begin again.")


def cancel(session: Session, storage: Storage, actor: Actor, upload: Upload) -> None:
    """Give an upload up: parts, objects and the recording that was to come of it are gone. A recording that had a file
    before stays, without one, since materials and scores may speak of it.

    The upload must be locked.

    Raises:
        Conflict: it is complete.
    """
    check_open(upload)
    storage.abort_multipart(upload.key, upload.storage_upload_id)
    recording = upload.recording
    audit.record(session, actor, "upload:cancel", "recording", recording.id, upload=str(upload.id))
    earlier = select(Upload.id).where(Upload.recording_id == recording.id, Upload.state == UploadState.COMPLETED)
    if session.scalar(earlier.limit(1)) is None:
        recordings.erase(session, storage, recording)
        return
    upload.state = UploadState.CANCELLED
    session.execute(delete(UploadPart).where(UploadPart.upload_id == upload.id))
    recording.state, recording.reason_code = RecordingState.FAILED, "cancelled"
    recording.reason = "The upload of another file was cancelled. Upload a file to go on."
