"""The real weights where they can be had, and small sounds made here."""

from __future__ import annotations

import json
import shutil
import subprocess
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from app.captions import engines
from app.captions.engines import Transcript

RATE = 16_000
SHARED_SPEECH = Path(__file__).resolve().parents[3] / "shared" / "media" / "speech"

WriteWav = Callable[[NDArray[np.float64]], Path]
Listen = Callable[..., Transcript]
Lines = Callable[..., list[str]]


@pytest.fixture
def write_wav(tmp_path: Path) -> WriteWav:
    """Writes samples from -1 to 1 as 16 kHz mono 16-bit."""

    def write(samples: NDArray[np.float64]) -> Path:
        path = tmp_path / "sound.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        return path

    return write


def decoded(source: Path, target: Path) -> Path:
    """The sound of a media file as an engine hears it."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        source,
        "-vn",
        "-ac",
        "1",
        "-ar",
        str(RATE),
        target,
    ]
    subprocess.run(command, check=True, timeout=60)
    return target


@pytest.fixture
def lines_of(weights: Path, tmp_path: Path) -> Lines:
    """Runs the real child on a WAV file, in an environment of its own, and gives what it writes."""

    def run(wav: Path, glossary: Sequence[str] = (), language: str = "en", **more: Any) -> list[str]:
        engine, threads = more.pop("engine", "faster-whisper"), more.pop("threads", 2)
        with wav.open("rb") as file:
            argv = engines.command(engine, weights, language, glossary, fd=file.fileno(), threads=threads, **more)
            done = subprocess.run(
                argv,
                pass_fds=[file.fileno()],
                env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **engines.environment()},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=400,
            )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture
def listen(lines_of: Lines) -> Listen:
    """As `lines_of`, read into a transcript."""
    return lambda *args, **more: engines.parse(lines_of(*args, **more))


@pytest.fixture
def shared_speech() -> dict[str, str]:
    """Reference texts by file name of the speech samples that lie beside the checkout."""
    manifest = SHARED_SPEECH / "manifest.json"
    if not manifest.is_file():
        pytest.skip("there are no speech samples beside this checkout")
    return {entry["file"]: entry["text"] for entry in json.loads(manifest.read_text())}


@pytest.fixture
def copied_weights(weights: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(weights, tmp_path / "cache" / weights.name))
