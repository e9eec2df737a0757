"""Chunks look as good as one encode of the whole."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from app.media import commands
from tests.media.conftest import Make
from tests.media.test_encode import planned, renditions

LOST = 0.2


def vmaf(made: Path, source: Path) -> tuple[float, int]:
    """Mean VMAF against the source, and over how many frames."""
    graph = "[0:v]settb=1/25,setpts=N[a];[1:v]settb=1/25,setpts=N[b];[a][b]libvmaf=n_threads=2"
    argv = [commands.ffmpeg_path(), "-hide_banner", "-nostdin", "-i", str(made), "-i", str(source), "-lavfi", graph]
    log = subprocess.run([*argv, "-f", "null", "-"], check=True, capture_output=True, text=True, timeout=120).stderr
    score = re.search(r"VMAF score: ([\d.]+)", log)
    frames = re.findall(r"frame=\s*(\d+)", log)
    assert score and frames, log[-2000:]
    return float(score[1]), int(frames[-1])


@pytest.mark.parametrize("grain", ["", ",noise=alls=12:allf=t"], ids=["clean", "noisy"])
def test_chunks_lose_no_quality_against_the_whole(grain: str, make: Make, tmp_path: Path) -> None:
    picture = f"testsrc2=s=640x360:r=25:d=6{grain}"
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p", "-g", "250")
    source = make("sharp.mkv", "-f", "lavfi", "-i", picture, *coding)
    found = {}
    for seconds in (2, 1000):
        plan = planned(source, tmp_path, seconds)
        assert len(plan.chunks) == (3 if seconds == 2 else 1)
        found[seconds], frames = vmaf(renditions(source, plan, tmp_path)[plan.lowest.name], source)
        assert frames == plan.total_frames == 150
    assert found[2] >= found[1000] - LOST
    assert found[1000] > 60, "the score means something"
