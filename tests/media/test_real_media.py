"""Real recordings, where the folder with them lies beside the checkout: from probe to playlist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.errors import RejectedMedia
from app.media import encode, fmp4, join, ladder, playlists
from app.media.probe import probe

FOLDER = Path(__file__).parents[2].parent / "shared" / "media" / "video"
FILES = sorted(path for path in FOLDER.glob("*") if path.suffix != ".json") if FOLDER.is_dir() else []
SECONDS = 6.0  # only the beginning of long ones is encoded

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FILES, reason="no folder with real media here")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_from_probe_to_playlist(path: Path, tmp_path: Path) -> None:
    found = probe(path, tmp_path / "probe", max_duration_seconds=3600)
    expected = {item["file"]: item for item in json.loads((FOLDER / "manifest.json").read_text())}[path.name]
    assert found.duration_seconds == pytest.approx(expected["duration"], abs=0.6)
    plan = ladder.plan(found, chunk_seconds=4, threads=2)
    wanted = [chunk for chunk in plan.chunks if chunk.start / plan.fps < SECONDS]
    parts: dict[str, list[Path]] = {}
    for chunk in wanted:
        for name, made in encode.transcode_chunk(path, plan, chunk.index, tmp_path / "work").items():
            parts.setdefault(name, []).append(made)
    files = {}
    for name, chunks in parts.items():
        files[name] = tmp_path / f"{name}.mp4"
        join.join(chunks, files[name])
    if plan.copied:
        files[plan.copied.name] = encode.copy_top(path, plan, tmp_path / "work")
    sound = encode.encode_audio(path, plan, tmp_path / "work")
    assert (sound is None) == (not found.audio)
    frames = sum(chunk.frames for chunk in wanted)
    for name, file in files.items():
        with file.open("rb") as opened:
            index = fmp4.index(opened)
        count = sum(part.samples for part in index.fragments)
        assert count == (found.video.frames if plan.copied and plan.copied.name == name else frames)
        assert playlists.media(index, lambda part: "x").endswith("#EXT-X-ENDLIST\n")
    sprite, board = encode.storyboard(files[plan.lowest.name], plan, tmp_path / "work")
    assert sprite.stat().st_size > 500 and board.tiles >= 1
    assert encode.mux_mp4(files[plan.plain.name], sound, tmp_path / "work").stat().st_size > 1000


def test_its_list_of_files_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(RejectedMedia) as caught:
        probe(FOLDER / "manifest.json", tmp_path, max_duration_seconds=60)
    assert caught.value.code == "not-a-video"
