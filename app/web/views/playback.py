"""The addresses that a player asks for. Each one asks the policy, each time: what is revoked stops at the next segment.

Two ways for bytes: `redirect` answers 302 to an address at S3 that lives for a minute at most; `proxy` passes the bytes
on, for where only this server can be reached; `app.web.doors` chooses.

Every address exists a second time below /embed/, where a frame's own session asks; playlists name their parts relatively,
so both play alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, request

from app.access import Action
from app.db import db
from app.db.recordings import Artefact, ArtefactKind, Recording, RetiredObject
from app.domain import growing, playback, posters, viewings
from app.web import captions_shown, doors, guard, ranges

bp = Blueprint("playback", __name__)

PLAYLIST = "application/vnd.apple.mpegurl"
DASH = "application/dash+xml"
WEBVTT = "text/vtt; charset=utf-8"

View = Callable[..., Any]


def _route(path: str, endpoint: str) -> Callable[[View], View]:
    """An address of a recording, and its twin for embeds. Both are for whoever may view the recording."""

    def decorate(view: View) -> View:
        guarded = guard.on(Action.RECORDING_VIEW, Recording)(view)
        bp.add_url_rule(f"/recordings/<uuid:recording_id>/{path}", endpoint, guarded)
        bp.add_url_rule(f"/embed/recordings/<uuid:recording_id>/{path}", f"embed_{endpoint}", guarded)
        return guarded

    return decorate


@_route("master.m3u8", "master")
def master(recording: Recording) -> Response:
    """The playlist of playlists: with it a viewing begins."""
    viewings.opened(db.session(), guard.actor(), recording)
    return Response(playback.master_playlist(db.session(), recording.id), mimetype=PLAYLIST)


@_route("manifest.mpd", "manifest")
def manifest(recording: Recording) -> Response:
    """The same for players of DASH."""
    viewings.opened(db.session(), guard.actor(), recording)
    return Response(playback.dash_manifest(db.session(), recording.id), mimetype=DASH)


@_route("<name>.m3u8", "media_playlist")
def media_playlist(recording: Recording, name: str) -> Response:
    """The segments of one rendition, or of the sound."""
    return Response(playback.media_playlist(db.session(), recording.id, name), mimetype=PLAYLIST)


@_route("<name>.iframes.m3u8", "iframe_playlist")
def iframe_playlist(recording: Recording, name: str) -> Response:
    """The key frames of one rendition, for fast winding."""
    return Response(playback.iframe_playlist(db.session(), recording.id, name), mimetype=PLAYLIST)


@_route("media/<name>.mp4", "media")
def media(recording: Recording, name: str) -> Response:
    """The bytes of one rendition, or of the sound; `v` is the version that a playlist was written for. While the rendition
    is still being made, those of one chunk (`?chunk=2`).

    One path for both: players compare the paths of segments when a playlist that grew becomes the final one.
    """
    found: Artefact | RetiredObject
    chunk = request.args.get("chunk", "")
    if chunk:
        number = int(chunk) if chunk.isdecimal() and len(chunk) < 6 else -1
        found = growing.piece(db.session(), recording.id, name, number)
    else:
        found = playback.media(db.session(), recording.id, name, request.args.get("v", ""))
    if guard.actor().kind != "person":  # a page of ours sends positions; of frames and tokens the bytes have to tell
        _played(recording)
    return deliver(found)


@_route("video.mp4", "video")
def video(recording: Recording) -> Response:
    """Picture and sound in one small file, for browsers' own players."""
    found = playback.artefact(db.session(), recording.id, ArtefactKind.DOWNLOAD)
    _played(recording)
    return deliver(found)


@_route("captions/<language>.vtt", "captions")
def captions(recording: Recording, language: str) -> Response:
    """The captions in one language. Never redirected: browsers take text tracks from the page's own origin only."""
    text = playback.captions(db.session(), recording.id, language, captions_shown.shown())
    return Response(text, content_type=WEBVTT)


@_route("chapters.vtt", "chapters")
def chapters(recording: Recording) -> Response:
    """The chapters as a text track."""
    return Response(playback.chapters(db.session(), recording.id, recording.duration_ms), content_type=WEBVTT)


@_route("poster.jpg", "poster")
def poster(recording: Recording) -> Response:
    """The still that stands for the recording."""
    return deliver(posters.current(db.session(), recording.id))


@_route("peaks.json", "peaks")
def peaks(recording: Recording) -> Response:
    """The shape of the sound, for editors that draw it."""
    return _whole(playback.artefact(db.session(), recording.id, ArtefactKind.PEAKS), "application/json")


@_route("storyboard.json", "storyboard")
def storyboard(recording: Recording) -> Response:
    """Where on the storyboard which second is."""
    return jsonify(playback.storyboard(db.session(), recording.id, "storyboard.jpg"))


@_route("storyboard.jpg", "storyboard_image")
def storyboard_image(recording: Recording) -> Response:
    """The storyboard's picture."""
    return deliver(playback.artefact(db.session(), recording.id, ArtefactKind.STORYBOARD))


def _played(recording: Recording) -> None:
    """Part of the file was asked for."""
    if request.method != "HEAD":
        viewings.played_part(db.session(), guard.actor(), recording)


# -- bytes -------------------------------------------------------------------------------------------------------------


def deliver(artefact: Artefact | RetiredObject) -> Response:
    """Answer with the bytes of a stored object, or with an address for them."""
    head = request.method == "HEAD"
    # a program that follows a redirect takes its token along, and S3 refuses a signed address with another proof beside
    to_storage = doors.door(guard.core()) == "s3" and not (
        guard.uses_token() and guard.core().settings.delivery == "auto"
    )
    if not head and to_storage:
        return redirect(guard.core().storage.presign_get(artefact.key, media_type=artefact.media_type))  # type: ignore[return-value]
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{artefact.sha256}"'}
    try:
        byte_range = ranges.parse(_range_header(headers["ETag"]), artefact.size)
    except ranges.Unsatisfiable:
        return Response(status=416, headers={**headers, "Content-Range": f"bytes */{artefact.size}"})
    first, last = byte_range or (0, artefact.size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if byte_range is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{artefact.size}"
    key, media_type = artefact.key, artefact.media_type
    body: Any = None  # and not b"", which would set the length to 0
    if not head and last >= first:
        _let_database_go()
        body, _ = guard.core().storage.stream(key, (first, last))
    return Response(
        body, 206 if byte_range is not None else 200, headers, mimetype=media_type, direct_passthrough=not head
    )


def _range_header(etag: str) -> str | None:
    """The Range header, unless If-Range names another state of the object: then the whole is due (RFC 9110 13.1.5)."""
    condition = request.headers.get("If-Range")
    return request.headers.get("Range") if condition is None or condition.strip() == etag else None


def _whole(artefact: Artefact, media_type: str) -> Response:
    key = artefact.key
    _let_database_go()
    return Response(guard.core().storage.get_bytes(key), content_type=media_type)


def _let_database_go() -> None:
    """Give the connection back before waiting for S3: a slow reader must not hold one. What was written down of the
    viewing is kept, however the reading ends."""
    db.session.commit()
    db.session.close()
