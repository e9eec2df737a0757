"""The recording and the cases that ship for a demonstration are what they say they are."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from faster_whisper import WhisperModel

from app.captions import models
from app.captions.wer import word_error_rate
from app.domain import vocabulary

DEMO = Path(vocabulary.__file__).resolve().parent.parent / "demo"
MAX_BYTES = 3_000_000


@pytest.fixture(scope="module")
def sample() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DEMO / "sample.json").read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def film(sample: dict[str, Any]) -> Path:
    path: Path = DEMO / sample["media"]["file"]
    assert path.is_file()
    return path


@pytest.fixture(scope="module")
def sound(film: Path) -> tuple[int, np.ndarray[Any, Any]]:
    """Sample rate, and all samples as mono floats."""
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    return rate, np.concatenate(frames, axis=1).mean(axis=0)


def everything(sample: dict[str, Any]) -> list[dict[str, Any]]:
    return [sample, *sample["cases"]]


def test_the_file_is_small_enough_to_be_committed(film: Path) -> None:
    assert 100_000 < film.stat().st_size <= MAX_BYTES


def test_pictures_are_as_promised_at_a_constant_rate_with_near_keyframes(film: Path, sample: dict[str, Any]) -> None:
    media = sample["media"]
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        base = stream.time_base
        assert base is not None
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (media["width"], media["height"])
        shown = [(p.pts * base, p.is_keyframe) for p in container.demux(stream) if p.pts is not None]
    times = sorted(float(at) for at, _ in shown)
    keys = sorted(float(at) for at, is_key in shown if is_key)
    step = 1 / media["frame_rate"]
    assert {round(b - a, 4) for a, b in itertools.pairwise(times)} == {step}
    assert keys[0] == 0
    assert max(b - a for a, b in itertools.pairwise([*keys, times[-1] + step])) <= 2.0 + 1e-6
    assert 60 <= times[-1] + step <= 90
    assert times[-1] + step == pytest.approx(media["duration"], abs=step)


def test_the_sound_lasts_as_long_as_the_pictures(
    sound: tuple[int, np.ndarray[Any, Any]], sample: dict[str, Any]
) -> None:
    rate, samples = sound
    assert len(samples) / rate == pytest.approx(sample["media"]["duration"], abs=0.1)


def test_somebody_speaks_in_each_turn_and_nobody_between(
    sound: tuple[int, np.ndarray[Any, Any]], sample: dict[str, Any]
) -> None:
    rate, samples = sound
    turns = sample["turns"]

    def level(start: float, end: float) -> float:
        return float(np.sqrt(np.mean(samples[round(start * rate) : round(end * rate)] ** 2)))

    # Ends of words sound on a little after the coder has smeared them: stay 0.1 s clear of the edges of a pause.
    pauses = [(a["end"] + 0.1, b["start"] - 0.1) for a, b in itertools.pairwise(turns)]
    pauses += [(0.0, turns[0]["start"] - 0.1), (turns[-1]["end"] + 0.1, sample["media"]["duration"])]
    quietest = min(level(turn["start"], turn["end"]) for turn in turns)
    loudest_pause = max(level(*pause) for pause in pauses)
    assert quietest > 0.05
    assert loudest_pause < quietest / 20
    assert all(level(turn["start"], turn["start"] + 0.15) > loudest_pause * 3 for turn in turns)


def test_turns_are_in_order_and_inside_the_recording(sample: dict[str, Any]) -> None:
    turns = sample["turns"]
    edges = [edge for turn in turns for edge in (turn["start"], turn["end"])]
    assert edges == sorted(set(edges))
    assert edges[0] >= 4.0
    assert edges[-1] < sample["media"]["duration"]
    assert {turn["speaker"] for turn in turns} == {"Programme director", "Trainee"}
    assert all(turn["text"].strip() == turn["text"] and turn["text"] for turn in turns)


def test_chapters_begin_at_nought_and_never_within_somebodys_words(sample: dict[str, Any]) -> None:
    starts = [chapter["start"] for chapter in sample["chapters"]]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert not [start for start in starts for turn in sample["turns"] if turn["start"] < start < turn["end"]]
    assert all(chapter["title"] for chapter in sample["chapters"])
    assert starts[-1] < sample["media"]["duration"]


def test_every_case_uses_the_vocabulary_that_ships(sample: dict[str, Any]) -> None:
    words = vocabulary.data()
    domains = {(framework["code"], name) for framework in words["frameworks"] for name in framework["domains"]}
    for case in everything(sample):
        assert case["themes"]
        assert set(case["themes"]) <= set(words["themes"])
        assert case["origin"] in words["case_origins"]
        assert case["professions"]
        assert set(case["professions"]) <= set(words["professions"])
        assert set(case["characteristics"]) <= set(words["protected_characteristics"]["terms"])
        assert {(domain["framework"], domain["domain"]) for domain in case["framework_domains"]} <= domains


def test_every_case_says_that_it_is_invented(sample: dict[str, Any]) -> None:
    assert sample["invented"] is True
    assert 6 <= len(sample["cases"]) <= 8
    for case in everything(sample):
        assert case["summary"].startswith("Invented case. ")
        assert "Invented" in case["content_notice"]
        assert 0 < len(case["title"]) <= 200
        # The label, then two to four sentences.
        assert 3 <= case["summary"].count(". ") + 1 <= 5
    titles = [case["title"] for case in everything(sample)]
    assert len(set(titles)) == len(titles)


def test_the_cases_cover_the_themes_and_origins_that_the_programme_named(sample: dict[str, Any]) -> None:
    words = vocabulary.data()
    named = words["themes"][: words["themes_from_brief"]]
    assert {theme for case in everything(sample) for theme in case["themes"]} >= set(named)
    origins = {case["origin"] for case in everything(sample)}
    assert {"complaint", "director feedback", "legal challenge", "new scenario", "network suggestion"} <= origins


def test_no_case_uses_a_term_that_the_guidance_replaces(sample: dict[str, Any]) -> None:
    text = json.dumps(sample, ensure_ascii=False)
    replaced = [term for term in vocabulary.data()["language"]["prefer"] if "(" not in term]
    assert replaced
    assert not [term for term in replaced if term in text]


@pytest.mark.weights
@pytest.mark.slow
def test_whisper_understands_the_voices(film: Path, sample: dict[str, Any]) -> None:
    weights = models.locate("base", models.default_cache())
    if weights is None:
        pytest.skip("the weights of Whisper's base model are not on this machine")
    model = WhisperModel(str(weights), compute_type="int8", cpu_threads=2)
    segments, _ = model.transcribe(str(film), language="en", beam_size=5, vad_filter=True)
    heard = " ".join(segment.text for segment in segments)
    assert word_error_rate(" ".join(turn["text"] for turn in sample["turns"]), heard) < 0.15
