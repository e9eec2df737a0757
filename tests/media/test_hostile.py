"""Files that are made to harm read nothing but themselves, cost little, and are told why they are refused."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import RejectedMedia
from app.media import commands, encode, ladder, sandbox, sniff
from app.media.join import join
from app.media.probe import probe
from tests.media import hostile
from tests.media.hostile import FILES, MARK, TEXTS, Trap, Workshop, peak_memory

MOST_BYTES = 1_500_000_000
#: One of each kind that FFmpeg has a reader for.
READABLE = ("m3u8-file", "m3u8-http", "m3u8-key", "m3u8-data", "mpd", "mpd-http", "ffconcat", "concat", "session", "imf",
            "ass", "idx")  # fmt: skip


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    made = Trap(tmp_path_factory.mktemp("trap"))
    yield made
    made.close()


def processed(source: Path, scratch: Path) -> str:
    """All that workers do with an upload, but the captions. Returns "ready", the code of the refusal, or "failed" where
    one of the steps after the probe did."""
    try:
        found = probe(source, scratch / "probe", max_duration_seconds=3600)
    except RejectedMedia as error:
        assert str(error).endswith(".")
        return error.code
    plan = ladder.plan(found, chunk_seconds=60, threads=1)
    try:
        made: dict[str, Path] = {}
        for chunk in plan.chunks:
            for name, path in encode.transcode_chunk(source, plan, chunk.index, scratch / "work").items():
                made[name] = scratch / f"{name}.mp4"
                join([path], made[name])
        if plan.copied:
            made[plan.copied.name] = encode.copy_top(source, plan, scratch / "work")
        sound = encode.encode_audio(source, plan, scratch / "work")
        encode.make_posters(made[plan.lowest.name], made[plan.plain.name], plan, scratch / "work")
        encode.storyboard(made[plan.lowest.name], plan, scratch / "work")
        encode.mux_mp4(made[plan.plain.name], sound, scratch / "work")
    except sandbox.SandboxError:
        return "failed"
    return "ready"


def kept(scratch: Path) -> bytes:
    """Everything that was made."""
    return b"".join(path.read_bytes() for path in scratch.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_refused_before_any_program_sees_them(name: str, trap: Trap, tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.write_bytes(hostile.text(name, trap))
    with pytest.raises(RejectedMedia) as caught:
        sniff.check(source)
    assert caught.value.code == TEXTS[name][0]


def test_texts_that_got_past_the_first_look_would_still_read_nothing(
    trap: Trap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sniff, "check", lambda source: source.stat().st_size)
    for name in READABLE:
        source = tmp_path / name
        source.write_bytes(hostile.text(name, trap))
        assert processed(source, tmp_path / f"{name}-work") == "undecodable", name
        assert trap.touched() == [], name


@pytest.mark.parametrize("name", FILES)
def test_files_read_only_themselves_and_take_little(name: str, trap: Trap, tmp_path: Path) -> None:
    (tmp_path / "workshop").mkdir()
    source = tmp_path / "upload"
    source.write_bytes(FILES[name][1](Workshop(tmp_path / "workshop"), trap))
    trap.touched()  # making it may have read what is attached
    with peak_memory() as peaks:
        code = processed(source, tmp_path / "work")
    assert code in FILES[name][0]
    assert trap.touched() == []
    assert MARK not in kept(tmp_path / "work")
    assert max(peaks, default=0) < MOST_BYTES


@pytest.mark.parametrize("name", ["m3u8", "m3u8-http", "ffconcat"])
def test_the_trap_notices_what_an_unguarded_program_does(name: str, trap: Trap, tmp_path: Path) -> None:
    """Else the tests above would prove nothing."""
    source = tmp_path / "upload"
    source.write_bytes(hostile.text(name, trap))
    argv = [
        commands.ffmpeg_path(),
        "-loglevel",
        "quiet",
        "-nostdin",
        "-protocol_whitelist",
        "file,http,tcp,crypto,data",
    ]
    if name == "ffconcat":
        argv += ["-safe", "0"]
    else:
        argv += ["-f", "hls", "-allowed_extensions", "ALL", "-extension_picky", "0"]
    subprocess.run([*argv, "-i", str(source), "-f", "null", "-"], check=False, timeout=120)
    assert trap.touched()
