"""The real engine on real sound: words where people speak, none where nobody does."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.captions import cues, engines, webvtt
from app.captions.wer import word_error_rate
from tests.captions.conftest import RATE, SHARED_SPEECH, Lines, Listen, WriteWav, decoded

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


def pink() -> NDArray[np.float64]:
    """Noise that falls by 3 dB an octave, as rain and ventilation do."""
    spectrum = np.fft.rfft(noise())
    sound = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), len(SECONDS))
    return 0.3 * sound / np.abs(sound).max()


def gusts() -> NDArray[np.float64]:
    """Wind over a microphone: a rumble that overloads it again and again."""
    rumble = np.cumsum(noise())
    rumble -= np.convolve(rumble, np.ones(4000) / 4000, mode="same")
    strength = np.clip(np.sin(2 * np.pi * 0.3 * SECONDS) + 0.3 * np.sin(2 * np.pi * 1.1 * SECONDS), 0, None)
    return np.clip(rumble / np.abs(rumble).max() * 3, -1, 1) * strength


def ward() -> NDArray[np.float64]:
    """A monitor that beeps over mains hum and a fan."""
    beep = 0.3 * np.sin(2 * np.pi * 960 * SECONDS) * ((SECONDS % 1.2) < 0.12)
    return beep + 0.05 * np.sin(2 * np.pi * 50 * SECONDS) + 0.2 * pink()


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


def test_nothing_that_is_not_speech_is_heard_or_taken_for_a_language(write_wav: WriteWav, listen: Listen) -> None:
    """One recording of all of it, in which the engine is also asked which language it is."""
    pause = np.zeros(RATE)
    sounds = [pink(), pause, gusts(), pause, ward(), pause, music()[::-1], 0.02 * noise(), wind() * 0.1, tone() * 0.05]
    transcript = listen(write_wav(np.concatenate(sounds)), ["amlodipine"], "auto")
    assert transcript.words == ()
    assert (transcript.language, transcript.language_probability) == ("en", None)


def test_what_a_lost_child_left_is_gone_on_with(lines_of: Lines, shared_speech: dict[str, str], tmp_path: Path) -> None:
    """The language is found out too, and each window is heard once: the second child hears what the first had not."""
    wav = decoded(SHARED_SPEECH / "jfk.flac", tmp_path / "jfk.wav")
    whole = lines_of(wav, language="auto", window_seconds=7)
    windows: list[engines.Window] = []
    first = engines.Listener(on_window=windows.append)
    for line in whole:
        first.feed(line)
        if windows:
            break
    second = engines.Listener(before=windows)
    rest = lines_of(wav, language=windows[0].language, window_seconds=7, first=windows[0].last)
    for line in rest:
        second.feed(line)
    transcript = second.transcript()
    assert transcript.language == "en"
    assert transcript.language_probability is not None
    assert transcript.language_probability > 0.8
    assert min(json.loads(line)["start"] for line in rest if '"word"' in line) >= windows[0].last / RATE - 0.5
    assert transcript.words == engines.parse(whole).words
    said = shared_speech["jfk.flac"]
    assert word_error_rate(said, " ".join(word.text for word in transcript.words)) < 0.12
