"""AV1 as it comes out of the encoder, and its place in the plan."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.media import av1, encode, fmp4, join, ladder
from app.media.probe import probe
from tests.media.conftest import Make, numbered


@pytest.fixture(scope="module")
def made(make: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[ladder.Plan, list[Path]]:
    """A plan in AV1 and its two chunks."""
    folder = tmp_path_factory.mktemp("av1")
    film = make("numbered.mkv", *numbered("192x144", "10", 4), "-c:v", "ffv1")
    source = ladder.plan(probe(film, folder / "probe", max_duration_seconds=60), chunk_seconds=2, threads=1)
    plan = av1.plan(source, chunk_seconds=2)
    name = plan.rungs[0].name
    return plan, [encode.transcode_chunk(film, plan, part.index, folder)[name] for part in plan.chunks]


def test_chunks_join_and_every_frame_is_in_its_place(made: tuple[ladder.Plan, list[Path]], tmp_path: Path) -> None:
    _, parts = made
    assert len(parts) == 2
    join.join(parts, tmp_path / "whole.mp4")
    with (tmp_path / "whole.mp4").open("rb") as file:
        index = fmp4.index(file)
    assert index.codecs == "av01.0.00M.08"
    assert [fragment.samples for fragment in index.fragments] == [20, 20]
    with av.open(str(tmp_path / "whole.mp4")) as container:
        frames = [(f.pts * f.time_base, f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    assert [round(float(time), 3) for time, _ in frames] == [n / 10 for n in range(40)]
    levels = [(20 + n * 37 % 200 - 16) * 255 / 219 for n in range(40)]
    assert [level for _, level in frames] == pytest.approx(levels, abs=9)


def test_the_plan_covers_every_rung_the_copied_one_too(made: tuple[ladder.Plan, list[Path]]) -> None:
    rungs = (ladder.Rung("720p", 1280, 720, 23, 2500, copied=True),)
    source = replace(made[0], rungs=rungs, chunks=(), rate="25", gop=50, total_frames=260, seekable_exactly=True)
    plan = av1.plan(source, chunk_seconds=4)
    assert [(rung.name, rung.copied) for rung in plan.encoded] == [("720p-av1", False)]
    assert plan.encoded[0].maxrate < 2500
    assert [(part.start, part.frames) for part in plan.chunks] == [(0, 100), (100, 100), (200, 60)]
    assert (plan.gop, plan.total_frames, plan.sound) == (50, 260, None)
    assert [len(av1.one(plan, rung).encoded) for rung in plan.rungs] == [1]


@given(place=st.integers(0, 900), value=st.integers(0, 255))
def test_a_damaged_head_is_a_value_error(made: tuple[ladder.Plan, list[Path]], place: int, value: int) -> None:
    data = bytearray(made[1][0].read_bytes())
    data[place] = value
    try:
        fmp4.index(io.BytesIO(bytes(data)))
    except ValueError:
        return
