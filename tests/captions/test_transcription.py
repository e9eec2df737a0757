"""The real engine on real sound: words where people speak, none where nobody does."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.captions import cues, webvtt
from app.captions.wer import word_error_rate
from tests.captions.conftest import RATE, SHARED_SPEECH, Listen, WriteWav, decoded

pytestmark = pytest.mark.weights

SAMPLE = Path(__file__).resolve().parents[2] / "app" / "demo" / "sample.mp4"
SECONDS = np.arange(8 * RATE) / RATE


def noise() -> NDArray[np.float64]:
    return np.random.default_rng(1).normal(0, 0.2, len(SECONDS))


def tone() -> NDArray[np.float64]:
    return 0.4 * np.sin(2 * np.pi * 440 * SECONDS)


def music() -> NDArray[np.float64]:
    """A melody over a bass, two notes a second, each dying away."""
    steps = np.floor(SECONDS * 2) % 8
    melody = np.sin(2 * np.pi * 220 * 2 ** (steps * 2 / 12) * SECONDS)
    bass = np.sin(2 * np.pi * 110 * 2 ** (np.floor(SECONDS) % 4 * 3 / 12) * SECONDS)
    return 0.25 * (melody + 0.6 * bass) * (0.5 + 0.5 * np.exp(-4 * (SECONDS % 0.5)))


def wind() -> NDArray[np.float64]:
    return np.convolve(noise(), np.ones(60) / 12, mode="same") * (0.6 + 0.4 * np.sin(2 * np.pi * 0.7 * SECONDS))


@pytest.mark.parametrize("sound", [lambda: np.zeros(len(SECONDS)), noise, tone, music, wind, lambda: np.zeros(0)])
def test_no_words_where_nobody_speaks(sound, write_wav: WriteWav, listen: Listen) -> None:  # type: ignore[no-untyped-def]
    transcript = listen(write_wav(sound()), ["amlodipine", "speaking up"])
    assert transcript.words == ()
    assert transcript.summary == "No speech found."
    assert cues.build_cues(transcript.words, duration=transcript.seconds) == []


@pytest.mark.slow
def test_the_sample_recording_is_understood(listen: Listen, tmp_path: Path) -> None:
    if not SAMPLE.is_file():
        pytest.skip("the sample recording is not part of this checkout")
    known = json.loads(SAMPLE.with_suffix(".json").read_text())
    transcript = listen(decoded(SAMPLE, tmp_path / "sample.wav"), known["glossary"])
    # Synthetic voices are harder than people: this guards against a broken engine, not against a poor one.
    said = " ".join(turn["text"] for turn in known["turns"])
    assert word_error_rate(said, " ".join(w.text for w in transcript.words)) < 0.25
    assert all(before.start <= after.start for before, after in itertools.pairwise(transcript.words))
    assert transcript.words[0].start == pytest.approx(known["turns"][0]["start"], abs=1.0)
    assert transcript.words[-1].end == pytest.approx(known["turns"][-1]["end"], abs=1.5)
    built = cues.build_cues(transcript.words, duration=transcript.seconds)
    assert [b for b in cues.lint(built, duration=transcript.seconds) if not b.warning] == []
    assert webvtt.parse(webvtt.write(built, language="en")).language == "en"


def test_a_short_speech_is_heard_word_for_word_and_always_so(
    listen: Listen, shared_speech: dict[str, str], tmp_path: Path
) -> None:
    wav = decoded(SHARED_SPEECH / "jfk.flac", tmp_path / "jfk.wav")
    transcript = listen(wav)
    assert word_error_rate(shared_speech["jfk.flac"], " ".join(w.text for w in transcript.words)) <= 0.05
    assert transcript.speech_seconds > 9
    assert all(0 <= w.start <= w.end <= 11.1 for w in transcript.words)
    assert listen(wav) == transcript
