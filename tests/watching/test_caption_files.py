"""Captions brought and taken as files, by page, API and command line; a second language; who may take words away."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.captions import files
from app.cli import main
from app.db.audit import AuditEvent
from app.db.captions import CaptionKind, CaptionOrigin, CaptionTrack
from app.db.grants import GrantRight
from app.domain import caption_versions
from app.settings import Settings
from tests.support.world import Browser
from tests.watching import film
from tests.watching.conftest import Scene

SRT = b"1\n00:00:00,500 --> 00:00:02,000\n<i>Good</i> day.\n\n2\n00:00:01,500 --> 00:59:00,000\nDOCTOR: <script>x()</script>\n"


def posted(browser: Browser, path: str, data: bytes, name: str, language: str = "en") -> Any:
    return browser.post(path, {"file": (io.BytesIO(data), name), "language": language})


def track_of(session: Session, scene: Scene, language: str = "en") -> CaptionTrack:
    session.expire_all()
    return caption_versions.track(session, scene.recording.id, language)


def test_a_file_becomes_the_version_to_work_on_and_not_what_viewers_see(
    app: Flask, session: Session, scene: Scene
) -> None:
    maker, path = Browser(app, scene.maker), f"{scene.path}/captions/import"
    page = posted(maker, path, SRT, "../evil.srt")
    assert page.status_code == 200
    assert "2 captions are now version 2 of the English captions" in page.text
    assert "Line 6: This caption begins while another is still shown." in page.text
    assert "1 caption ends after the recording does." in page.text
    track = track_of(session, scene)
    assert (track.current_version, track.published_version) == (2, 1)
    version = caption_versions.version(session, track, 2)
    assert (version.origin, version.created_by_id, version.note) == (
        CaptionOrigin.IMPORTED, scene.maker.id, "Imported from SubRip",
    )  # fmt: skip
    cues = caption_versions.cues_of(session, track, 2)
    assert [(cue.text, cue.speaker, cue.checked) for cue in cues] == [
        ("Good day.", None, False),
        ("x()", "DOCTOR", False),
    ]
    viewer = Browser(app, scene.viewer)
    assert "Good day." not in viewer.get(f"{scene.path}/captions/en.vtt").text
    assert "Good day." not in viewer.get(f"{scene.path}/transcript").text
    assert viewer.get("/api/v1/search?q=day").json["hits"] == []
    assert viewer.get(path).status_code == 403
    assert posted(viewer, path, SRT, "a.srt").status_code == 403


@pytest.mark.parametrize(
    ("data", "name", "language", "sentence"),
    [
        (b"", "a.srt", "en", "Select a caption file"),
        (b"1\n00:00:05,000 --> 00:00:01,000\nx\n", "a.srt", "en", "The caption at line 2 ends before it begins."),
        (SRT, "a.srt", "tlh", "Select a language from the list"),
        (b"MZ", "a.exe", "en", "The file must be WebVTT (.vtt)"),
        (b"PK\x03\x04", "a.docx", "en", "This is not a Word document (.docx)."),
    ],
    ids=["empty", "reversed", "language", "program", "archive"],
)
def test_what_cannot_be_read_is_said_beside_its_field_and_kept_nowhere(
    app: Flask, session: Session, scene: Scene, data: bytes, name: str, language: str, sentence: str
) -> None:
    page = posted(Browser(app, scene.maker), f"{scene.path}/captions/import", data, name, language)
    assert page.status_code == 400
    assert sentence in page.text
    assert "<title>Error: " in page.text
    assert track_of(session, scene).current_version == 1


def token(scene: Scene, *scopes: str) -> dict[str, str]:
    found = scene.world.token(scene.maker, *scopes)
    scene.world.session.commit()
    return {"Authorization": f"Bearer {found}"}


def test_the_api_takes_large_files_and_tells_what_was_left_out(app: Flask, session: Session, scene: Scene) -> None:
    headers, client = token(scene, "upload"), app.test_client()
    path = f"/api/v1/recordings/{scene.recording.id}/captions"
    filler = "NOTE " + "x" * 100 + "\n\n"
    vtt = f"WEBVTT\n\n{filler * 12_000}00:01.000 --> 00:02.000 line:0\n<v Ann>Bore da\n".encode()
    assert len(vtt) > 1024 * 1024
    answer = client.post(f"{path}/cy/import?filename=a.vtt", data=vtt, headers=headers)
    assert answer.status_code == 201
    assert answer.json == {
        "language": "cy",
        "version": 1,
        "cues": 1,
        "remarks": [{"place": 24_003, "sentence": "The position of this caption was left out."}],
    }
    assert track_of(session, scene, "cy").kind is CaptionKind.TRANSLATION
    assert (
        client.post(f"{path}/cy/import?filename=a.vtt", data=b"x" * (4 << 20) + b"y", headers=headers).status_code
        == 413
    )
    refused = client.post(f"{path}/xx/import?filename=a.vtt", data=b"WEBVTT", headers=headers)
    assert (refused.status_code, refused.json["errors"]) == (400, {"language": "Select a language from the list"})
    assert (
        client.post(f"{path}/cy/import", data=b"words", headers=headers).json["detail"].startswith("The file must be")
    )


def test_a_second_language_is_begun_as_a_copy(app: Flask, session: Session, scene: Scene) -> None:
    maker = Browser(app, scene.maker)
    answer = maker.post(f"{scene.path}/captions/translate", {"language": "ur"})
    assert answer.location == f"{scene.path}/captions/ur"
    track = track_of(session, scene, "ur")
    assert (track.kind, track.published_version) == (CaptionKind.TRANSLATION, None)
    cues = caption_versions.cues_of(session, track, 1)
    assert [cue.text for cue in cues] == [words.replace("\n", " ") for _, _, _, words in film.CUES]
    assert not any(cue.checked for cue in cues)
    again = maker.post(f"{scene.path}/captions/translate", {"language": "ur"})
    assert again.status_code == 400 and "There are captions in Urdu already." in again.text
    path = f"/api/v1/recordings/{scene.recording.id}/captions/ur/translate"
    assert maker.send("POST", path).status_code == 409
    viewer = Browser(app, scene.viewer)
    assert "captions/ur.vtt" not in viewer.get(scene.path).text
    track.published_version, track.published_at = 1, clock.now()
    session.commit()
    page = viewer.get(scene.path).text
    assert f'src="{scene.path}/captions/ur.vtt" srclang="ur" label="اردو (Urdu)"' in page
    assert page.index("captions/en.vtt") < page.index("captions/ur.vtt"), "what is spoken comes first"
    assert f'href="{scene.path}/transcript?language=ur" lang="ur"' in page


def test_words_leave_only_as_a_download_that_is_written_down(app: Flask, session: Session, scene: Scene) -> None:
    scene.recording.title = 'Sorry\r\nX-Evil: 1"; filename="a.exe'
    session.commit()
    maker, viewer = Browser(app, scene.maker), Browser(app, scene.viewer)
    path = f"/api/v1/recordings/{scene.recording.id}/captions/en"
    assert viewer.get(f"{path}.srt?reason=x").status_code == 403
    refused = maker.get(f"{path}.srt")
    assert (refused.status_code, refused.json["errors"]) == (400, {"reason": "Say why you download it"})
    spoken = [words.replace("\n", " ") for _, _, _, words in film.CUES]
    for kind, found in files.FORMATS.items():
        answer = maker.get(f"{path}.{kind}?reason=For+a+workshop")
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"] == (
            f'attachment; filename="sorry-x-evil-1-filename-a-exe.en.{kind}"'
        )
        assert answer.content_type == found.media_type
        if found.timed:
            read = files.read(answer.data, f"a.{kind}", speakers={"Doctor", "Patient", "Mother"})
            assert [cue.text for cue in read.cues] == spoken
    assert maker.get(f"{path}.exe?reason=x").status_code == 404
    assert maker.get(f"{path.replace('/en', '/fr')}.srt?reason=x").status_code == 404
    events = session.scalars(select(AuditEvent).where(AuditEvent.action == "recording:download")).all()
    assert [event.detail["part"] for event in events] == [f"captions-en.{kind}" for kind in files.FORMATS]
    assert {event.reason for event in events} == {"For a workshop"}


def test_what_is_worked_on_is_taken_only_by_those_who_may_edit(app: Flask, session: Session, scene: Scene) -> None:
    maker, viewer = Browser(app, scene.maker), Browser(app, scene.viewer)
    posted(maker, f"{scene.path}/captions/import", SRT, "a.srt")
    grants = {"right": GrantRight.DOWNLOAD, "reason": "No network", "ends_at": clock.now().replace(year=2099)}
    scene.world.grant(scene.recording, area="NEY", **grants)
    session.commit()
    path = f"/api/v1/recordings/{scene.recording.id}/captions/en.txt"
    assert "Good day." not in viewer.get(path).text
    assert viewer.get(f"{path}?version=current").status_code == 403
    assert maker.get(f"{path}?version=current&reason=x").text.startswith("Good day.")
    assert maker.get(f"{path}?version=newest&reason=x").status_code == 400
    assert "as they are being worked on" in maker.get(f"{scene.path}/download").text
    assert "as they are being worked on" not in viewer.get(f"{scene.path}/download").text
    sent = {"part": "draft-en", "format": "txt"}
    assert viewer.post(f"{scene.path}/download", sent).status_code == 400
    given = viewer.post(f"{scene.path}/download", {"part": "transcript-en", "format": "docx"})
    assert given.data.startswith(b"PK") and given.headers["Content-Disposition"].endswith('.transcript.en.docx"')
    refused = viewer.post(f"{scene.path}/download", {"part": "transcript-en", "format": "srt"})
    assert refused.status_code == 400 and "This comes as plain text or Word" in refused.text
    text = viewer.post(f"{scene.path}/download", {"part": "transcript-en"}).text
    assert "Confidential. This case is real" in text and "Downloaded by Vera Viewer on" in text


def test_the_command_line_brings_and_writes_files(
    settings: Settings, session: Session, scene: Scene, tmp_path: Path
) -> None:
    names = ("database_url", "secret_key", "s3_endpoint", "s3_access_key", "s3_secret_key", "s3_bucket", "data")
    runner = CliRunner(env={f"VIGNETTE_{name.upper()}": str(getattr(settings, name)) for name in names})
    out, id = tmp_path / "out.docx", str(scene.recording.id)
    wrote = runner.invoke(main, ["captions", "export", id, "--format", "docx", "--out", str(out), "--json"])
    assert wrote.exit_code == 0, wrote.stderr
    assert json.loads(wrote.stdout.splitlines()[-1])["file"] == str(out)
    read = runner.invoke(main, ["captions", "import", id, str(out), "--json"])
    assert json.loads(read.stdout.splitlines()[-1]) == {
        "recording": id, "language": "en", "version": 2, "cues": len(film.CUES), "remarks": [],
    }  # fmt: skip
    track = track_of(session, scene)
    assert caption_versions.cues_of(session, track, 1) == caption_versions.cues_of(session, track, 2)
    failed = runner.invoke(main, ["captions", "export", id, "--language", "fr"])
    assert failed.exit_code == 1 and "There are no captions in 'fr'" in failed.stderr
