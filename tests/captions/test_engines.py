"""The child's command, its lines, and how it goes about a recording."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.captions import audio, child, engines
from app.captions.guards import Heard
from app.captions.words import Word
from app.errors import Misconfigured, Unavailable

ENGLISH = {"type": "language", "language": "en", "probability": None}
WINDOW = {"type": "window", "first": 0, "last": 64_000, "speech_seconds": 2}
DONE = {"type": "done", "engine": "faster-whisper", "model": "m", "seconds": 4}
HELLO = {"type": "word", "start": 0.5, "end": 1.0, "text": "Hello", "probability": 0.9}


def lines(*messages: dict[str, Any]) -> list[str]:
    return [json.dumps(m) for m in messages]


def test_the_command_names_everything_and_no_shell() -> None:
    argv = engines.command("faster-whisper", Path("/m"), "EN", ["amlodipine", "Dr Okafor"], fd=7, threads=2)
    assert argv[:4] == [sys.executable, "-I", "-m", "app.captions.child"]
    assert {"--engine=faster-whisper", "--model=/m", "--fd=7", "--language=en", "--threads=2"} < set(argv)
    assert argv[-1] == "--prompt=amlodipine, Dr Okafor"


def test_a_glossary_term_cannot_become_an_option() -> None:
    assert engines.command("faster-whisper", Path("/m"), "en", ["--fd=1"], fd=7)[-1] == "--prompt=--fd=1"


@pytest.mark.parametrize(("engine", "language"), [("whisper", "en"), ("faster-whisper", "e n"), ("faster-whisper", "")])
def test_an_impossible_setting_is_refused(engine: str, language: str) -> None:
    with pytest.raises(Misconfigured, match="VIGNETTE_CAPTION"):
        engines.command(engine, Path("/m"), language, fd=3)


def test_lines_become_a_transcript() -> None:
    seen: list[float] = []
    listener = engines.Listener(seen.append)
    half, back = ({"type": "progress", "seconds": seconds, "of": 4} for seconds in (2, 1))
    for line in lines(ENGLISH, half, HELLO, back, WINDOW, DONE):
        listener.feed(line)
    transcript = listener.transcript()
    assert transcript.words == (Word(0.5, 1.0, "Hello", 0.9),)
    assert (transcript.language, transcript.seconds, transcript.speech_seconds) == ("en", 4.0, 2.0)
    assert seen == [0.5, 0.5]  # never back
    assert transcript.summary == "1 words found."


def test_silence_is_said_in_words() -> None:
    assert engines.parse(lines(ENGLISH, WINDOW, DONE)).summary == "No speech found."


@pytest.mark.parametrize(
    "output",
    [
        [],
        lines(HELLO),
        lines(DONE),
        lines(ENGLISH, HELLO, DONE),
        lines(ENGLISH, WINDOW, WINDOW, DONE),
        lines(ENGLISH, {**WINDOW, "last": -1}, DONE),
        lines(WINDOW, DONE),
        lines(ENGLISH, WINDOW, DONE, HELLO),
        ["not json"],
        ["[]"],
        ['{"type": "word"}'],
        ['{"type": "word", "start": NaN, "end": 1, "text": "x", "probability": 1}'],
        ['{"type": "shell"}'],
    ],
)
def test_output_that_makes_no_sense_is_no_transcript(output: list[str]) -> None:
    with pytest.raises(Unavailable, match="captions engine"):
        engines.parse(output)


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_output_is_parsed_or_refused(output: list[str]) -> None:
    with pytest.raises(Unavailable):
        engines.parse(output)


def test_an_error_line_is_passed_on() -> None:
    with pytest.raises(Unavailable, match="no model there"):
        engines.parse(lines({"type": "error", "sentence": "no model there"}))


class Repeater:
    """Hears one word in the middle of every block."""

    name = "repeater"

    def detect(self, speech: audio.Samples) -> tuple[str, float]:
        raise AssertionError("nobody asks")

    def hear(self, samples: audio.Samples, *, language: str, prompt: str) -> tuple[float, Iterator[Heard]]:
        middle = len(samples) / audio.RATE / 2
        return 1.0, iter([Heard((Word(middle, middle + 0.2, " word", 0.9),), 0.1, -0.1, 1.0)])


LONG = np.zeros(audio.BLOCK_SECONDS * audio.RATE * 2 + 5 * audio.RATE, dtype=np.int16)


def heard_lines(**more: Any) -> list[dict[str, Any]]:
    emitted: list[dict[str, Any]] = []
    child.transcribe(Repeater(), LONG, emitted.append, language="en", prompt="", **more)
    return emitted


def test_a_long_recording_is_heard_in_blocks_and_its_times_run_on() -> None:
    emitted = heard_lines()
    starts = [m["start"] for m in emitted if m["type"] == "word"]
    windows = [m for m in emitted if m["type"] == "window"]
    assert len(starts) == len(windows) == 3
    assert starts == sorted(starts)
    assert starts[-1] > audio.BLOCK_SECONDS
    assert [m["last"] for m in windows[:-1]] == [m["first"] for m in windows[1:]]
    assert windows[-1]["last"] == len(LONG)
    assert emitted[-2] == {"type": "progress", "seconds": 605.0, "of": 605.0}


def test_a_second_child_goes_on_where_the_first_was_lost() -> None:
    whole = heard_lines()
    cut = next(i for i, m in enumerate(whole) if m["type"] == "window")
    kept: list[engines.Window] = []
    first = engines.Listener(on_window=kept.append)
    for line in lines({**ENGLISH, "probability": 0.9}, *whole[: cut + 2]):
        first.feed(line)
    stored = [engines.Window.from_json(json.loads(json.dumps(window.to_json()))) for window in kept]
    assert stored == kept
    second = engines.Listener(before=stored)
    for line in lines(ENGLISH, *heard_lines(first=stored[-1].last), DONE):
        second.feed(line)
    told = second.transcript()
    assert told == engines.parse(lines({**ENGLISH, "probability": 0.9}, *whole, DONE))
    assert (len(told.words), told.speech_seconds, told.language_probability) == (3, 3.0, 0.9)


class Guesser(Repeater):
    """Is sure of a language to the degree that it is told."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def detect(self, speech: audio.Samples) -> tuple[str, float]:
        assert len(speech)
        return "no", self.probability


def test_a_language_is_believed_only_of_speech_and_where_the_engine_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    speech = np.ones(audio.RATE * 10, dtype=np.int16)
    monkeypatch.setattr(child, "first_speech", lambda samples, seconds: samples)
    assert child.detect(Guesser(0.9), speech, "en") == ("no", 0.9)
    assert child.detect(Guesser(0.5), speech, "cy") == ("cy", None)
    assert child.detect(Guesser(0.9), speech[: audio.RATE], "en") == ("en", None)


def test_silence_is_never_asked_for_its_language() -> None:
    assert child.detect(Guesser(0.9), LONG[: audio.RATE * 20], "en") == ("en", None)


def test_auto_is_a_language_to_ask_for_and_not_to_fall_back_on() -> None:
    assert "--language=auto" in engines.command("faster-whisper", Path("/m"), "auto", fd=3)
    with pytest.raises(Misconfigured, match="VIGNETTE_CAPTION_LANGUAGE"):
        engines.command("faster-whisper", Path("/m"), "auto", fd=3, otherwise="auto")
    with pytest.raises(Misconfigured, match="VIGNETTE_CAPTION_DEVICE"):
        engines.command("faster-whisper", Path("/m"), "en", fd=3, device="tpu")


def test_the_child_reports_a_wrong_sound_and_a_missing_model(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(b"RIFF....WAVEdata\0\0\0\0")
    with path.open("rb") as file:
        argv = engines.command("faster-whisper", tmp_path / "none", "en", fd=file.fileno())
        done = subprocess.run(argv, pass_fds=[file.fileno()], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1
    with pytest.raises(Unavailable, match="no format"):
        engines.parse(done.stdout.splitlines())


def test_the_engine_wants_a_model_folder(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="folder"):
        child.load("faster-whisper", tmp_path / "none", 1, "cpu")
    with pytest.raises(Misconfigured, match="cannot be loaded"):
        child.load("faster-whisper", tmp_path, 1, "cpu")
