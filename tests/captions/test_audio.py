"""The sound is read from a descriptor, checked, and cut in quiet places."""

from __future__ import annotations

import itertools
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.captions import audio
from app.errors import Invalid


def wav(data: bytes, *, rate: int = 16_000, channels: int = 1, bits: int = 16, size: int | None = None) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # an odd chunk, padded
    return (
        b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + form + extra
        + b"data" + struct.pack("<I", len(data) if size is None else size) + data
    )  # fmt: skip


def opened(path: Path, content: bytes) -> audio.Samples:
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        return audio.open_wav(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF])
def test_samples_are_read_whatever_size_a_stream_writer_left(tmp_path: Path, size: int | None) -> None:
    samples = opened(tmp_path / "a.wav", wav(struct.pack("<4h", 0, 1, -1, 32767), size=size))
    assert samples.tolist() == [0, 1, -1, 32767]
    assert audio.as_floats(samples)[3] == pytest.approx(0.99997, abs=1e-5)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"x" * 100, wav(b"", rate=44_100), wav(b"", channels=2), wav(b"", bits=24), wav(b"")[:-8]],
)
def test_another_sound_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Invalid, match="sound"):
        opened(tmp_path / "a.wav", content)


def test_a_pipe_is_refused() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(Invalid, match="regular file"):
            audio.open_wav(reader)
    finally:
        os.close(reader)
        os.close(writer)


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, 40 * audio.RATE), seconds=st.integers(1, 9))
def test_blocks_cover_everything_once(length: int, seconds: int) -> None:
    bounds = list(audio.blocks(np.zeros(length, dtype=np.int16), seconds=seconds))
    assert bounds[0][0] == 0
    assert bounds[-1][1] == length
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bounds))
    assert all(last - first <= seconds * audio.RATE for first, last in bounds)
    assert all(last > first for first, last in bounds) or length == 0


def test_a_block_ends_in_the_pause_and_not_in_a_word() -> None:
    loud = np.full(20 * audio.RATE, 9_000, dtype=np.int16)
    loud[8 * audio.RATE : 9 * audio.RATE] = 0
    first, last = next(audio.blocks(loud, seconds=10))
    assert first == 0
    assert 8 * audio.RATE < last < 9 * audio.RATE
