"""Several tracks of sound, the first minutes of one, surround, and recordings that are only heard."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from app.media import encode, ladder
from app.media.probe import probe
from tests.media.conftest import Make, numbered, tone
from tests.media.test_encode import X264, pictures, planned, renditions, samples


def test_every_track_that_was_chosen_can_be_made(make: Make, tmp_path: Path) -> None:
    low, high = (("-f", "lavfi", "-i", f"sine={frequency}:d=3") for frequency in (300, 3000))
    source = make(
        "languages.mkv", *numbered(seconds=3), *low, *high, "-map", "0", "-map", "1", "-map", "2", *X264,
        *("-c:a", "flac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=wel"),
    )  # fmt: skip
    found = probe(source, tmp_path / "probe", max_duration_seconds=60)
    plan = ladder.plan(found, chunk_seconds=60, threads=1, sounds=[2, 1])
    assert [sound.language for sound in plan.sounds] == ["wel", "eng"]
    for track, frequency in zip(plan.sounds, (3000, 300), strict=True):
        sound = encode.encode_audio(source, plan.only(track), tmp_path / str(track.index))
        assert sound is not None
        assert int(np.argmax(np.abs(np.fft.rfft(samples(sound)[0][48000:96000])))) == pytest.approx(frequency, abs=5)


def test_the_first_minutes_of_the_sound_are_those_of_the_whole(make: Make, tmp_path: Path) -> None:
    source = make("even.mkv", *numbered(seconds=9), *tone(9), *X264, "-c:a", "flac")
    plan = planned(source, tmp_path)
    whole, first = (encode.encode_audio(source, plan, tmp_path / "work", seconds=s) for s in (None, 5.0))
    assert whole is not None and first is not None
    heard, beginning = samples(whole)[0], samples(first)[0]
    assert len(beginning) == pytest.approx(5 * 48000, abs=2048)
    assert np.max(np.abs(heard[9600:200_000] - beginning[9600:200_000])) < 0.05


def test_surround_keeps_what_is_said_in_the_middle(make: Make, tmp_path: Path) -> None:
    centre = "aevalsrc=exprs=0|0|0.3*sin(2*PI*500*t)|0|0|0:c=5.1:d=3:s=48000"
    source = make("surround.mkv", *numbered(seconds=3), "-f", "lavfi", "-i", centre, *X264, "-c:a", "flac")
    plan = planned(source, tmp_path)
    assert plan.sound is not None and plan.sound.channels == 6
    sound = encode.encode_audio(source, plan, tmp_path / "work")
    assert sound is not None
    for side in samples(sound):
        assert int(np.argmax(np.abs(np.fft.rfft(side[48000:96000])))) == pytest.approx(500, abs=5)


def test_a_recording_that_is_only_heard(make: Make, tmp_path: Path) -> None:
    source = make("voice.mp3", *tone(5))
    plan = planned(source, tmp_path)
    assert plan.duration_seconds == pytest.approx(5, abs=0.15)
    sound = encode.encode_audio(source, plan, tmp_path / "work")
    assert sound is not None
    picture = encode.waves(sound, tmp_path / "work")
    with av.open(str(picture)) as container:
        shown = next(container.decode(video=0))
    assert (shown.width, shown.height) == (1280, 720)
    assert np.ptp(shown.reformat(format="gray").to_ndarray()) > 100, "the sound is to be seen on its ground"
    plain = encode.mux_mp4(None, sound, tmp_path / "work")
    with av.open(str(plain)) as container:
        assert [stream.type for stream in container.streams] == ["audio"]


def test_no_sound(make: Make, tmp_path: Path) -> None:
    source = make("mute.mp4", *numbered(seconds=3), *X264)
    plan = planned(source, tmp_path)
    assert plan.sound is None
    assert encode.encode_audio(source, plan, tmp_path / "work") is None
    made = renditions(source, plan, tmp_path)
    assert encode.mux_mp4(made[plan.plain.name], None, tmp_path / "work").stat().st_size > 1000


def test_sound_that_outlasts_the_picture_is_kept(make: Make, tmp_path: Path) -> None:
    source = make(
        "outlasts.mp4", *numbered(seconds=2), *tone(5), *X264, "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac"
    )
    plan = planned(source, tmp_path, copy=True)
    assert plan.copied is None
    assert plan.duration_seconds == pytest.approx(5, abs=0.1)
    times, _ = pictures(renditions(source, plan, tmp_path)[plan.lowest.name])
    assert len(times) == plan.total_frames
