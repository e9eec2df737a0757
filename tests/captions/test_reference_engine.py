"""openai-whisper with the real weights, where PyTorch is: in this environment, or in the one that the bench makes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from app.captions import engines
from app.captions.wer import normalised, word_error_rate
from tests.captions.conftest import RATE, SHARED_SPEECH, Lines, WriteWav, decoded

pytestmark = [pytest.mark.weights, pytest.mark.slow]

_MADE = Path(__file__).resolve().parents[2] / ".cache" / "reference"


def interpreter() -> dict[str, str]:
    """What makes the child run where openai-whisper is."""
    if all(importlib.util.find_spec(name) for name in ("torch", "whisper")):
        return {}
    if (_MADE / "ready").exists():
        return {"python": str(_MADE / "bin" / "python")}
    pytest.skip("openai-whisper is not installed: pip install '.[openai-whisper]', or python bench/reference_engine.py")


def test_the_reference_engine_hears_the_same_words_at_the_same_times_and_nothing_in_noise(
    lines_of: Lines, write_wav: WriteWav, shared_speech: dict[str, str], tmp_path: Path
) -> None:
    """Noise, then a speech, then noise; and it is asked which language that is."""
    where = interpreter()
    speech = np.frombuffer(decoded(SHARED_SPEECH / "jfk.flac", tmp_path / "jfk.wav").read_bytes()[44:], "<i2") / 32768
    noise = np.random.default_rng(1).normal(0, 0.02, 4 * RATE)
    wav = write_wav(np.concatenate([noise, speech, noise]))
    lines = lines_of(wav, language="auto", engine="openai-whisper", threads=1, **where)
    reference = engines.parse(lines)
    assert json.loads(lines[0])["language"] == "en"
    assert (reference.engine, reference.language) == ("openai-whisper", "en")
    assert word_error_rate(shared_speech["jfk.flac"], " ".join(word.text for word in reference.words)) <= 0.05
    assert all(3.9 <= word.start <= word.end <= 15.2 for word in reference.words)
    ours = engines.parse(lines_of(wav))
    assert [normalised(word.text) for word in ours.words] == [normalised(word.text) for word in reference.words]
    apart = sorted(abs(a.start - b.start) for a, b in zip(ours.words, reference.words, strict=True))
    assert apart[len(apart) // 2] <= 0.15, "two engines with the same weights agree on when a word is said"
