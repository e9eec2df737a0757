"""Short test media, made once a session by ffmpeg's own sources."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from app.media import commands

Make = Callable[..., Path]

# Every frame is a flat grey whose level tells its number: 37 and 200 have no common factor.
NUMBERED = "nullsrc=s={size}:r={rate}:d={seconds},geq=lum='20+mod(N*37,200)':cb=128:cr=128"


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(
        [commands.ffmpeg_path(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)],
        check=True,
        timeout=60,
    )


def numbered(size: str = "128x96", rate: str = "25", seconds: float = 5) -> list[str]:
    return ["-f", "lavfi", "-i", NUMBERED.format(size=size, rate=rate, seconds=seconds)]


def tone(seconds: float = 5, volume: float = 0.5) -> list[str]:
    return ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}:sample_rate=48000,volume={volume}"]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`make("a.mp4", *ffmpeg_arguments)`: the file, made the first time that it is asked for.

    One folder for each set of arguments: two tests once meant different files by one name, and which of them there
    was hung on their order.
    """
    folder = tmp_path_factory.mktemp("media")

    def make_(name: str, *arguments: str | Path) -> Path:
        wanted = hashlib.sha256("\0".join(map(str, arguments)).encode()).hexdigest()[:16]
        path = folder / wanted / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            ffmpeg(*arguments, path)
        return path

    return make_


@pytest.fixture(scope="session")
def talk(make: Make) -> Path:
    """5 s at 29.97 frames/s, H.264 with B-frames and keyframes 70 frames apart, and a tone."""
    return make(
        "talk.mp4",
        *numbered(rate="30000/1001", seconds=5),
        *tone(),
        *("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "70", "-crf", "12", "-c:a", "aac"),
    )
