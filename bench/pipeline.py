"""Processor time of the whole pipeline, against one bare ffmpeg command that makes the same rungs.

    python bench/pipeline.py [--seconds 60] [--runs 3] [--threads 2]

The subject is the production worker as a process, on real PostgreSQL and S3 started for the measurement: from the
upload's completion to the end of the run, everything that the worker and its children spend (fetching, hashing, probe,
chunks, joining, sound, stills, plain file, storing, ledger). The reference decodes once, splits to the same rungs with
the same settings and threads, and encodes the sound once. Noisy and clean clips, also such whose top rung the pipeline
copies, which the reference encodes all the same; subject and reference in turn. About 7 minutes on two cores.

Left out: captions (the engine is "none"; `bench/captions.py` measures them), and what PostgreSQL and S3 spend.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path

from bare import made_source, reference

from app.cli import bring_up_to_date, open_storage
from app.core import Core, build_core
from app.db.cases import Case
from app.db.recordings import Artefact, ArtefactKind, Recording, RecordingState
from app.domain import runs
from app.embedded.instance import running
from app.settings import PREFIX, Settings
from app.storage import keys

TICK = os.sysconf("SC_CLK_TCK")
LIMIT, COPIED_LIMIT = 1.05, 0.56


def spent(pid: int) -> float:
    """Seconds of processor time of a process and of its children that have ended (proc(5) stat, fields 14 to 17)."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in stat[11:15]) / TICK


def worker(settings: Settings) -> subprocess.Popen[bytes]:
    """The production worker, without captions."""
    environment = {PREFIX + f.name.upper(): str(getattr(settings, f.name)) for f in fields(settings)}
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "workers"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        stdout=subprocess.DEVNULL,
    )


@dataclass
class Clip:
    """One clip's figures: processor and wall seconds of each run."""

    name: str
    noisy: bool
    copied: bool
    used: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    bare_used: list[float] = field(default_factory=list)
    bare_wall: list[float] = field(default_factory=list)
    objects: int = 0

    @property
    def ratio(self) -> float:
        """Processor time, pipeline over bare command."""
        return statistics.median(self.used) / statistics.median(self.bare_used)


CLIPS = (("noisy", True, False), ("clean", False, False), ("noisy, copied", True, True), ("clean, copied", False, True))


def process(core: Core, source: Path, pid: int) -> tuple[float, int]:
    """Processor seconds from the upload's completion to the end of the run, and how many objects the recording has."""
    with core.session() as session:
        case = Case(title="Measured", invented=True)
        session.add(case)
        recording = Recording(id=uuid.uuid4(), case=case, title="Measured", state=RecordingState.UPLOADING)
        session.add(recording)
        session.flush()
        stored = core.storage.put_file(keys.source(recording.id, uuid.uuid4()), source, "application/octet-stream")
        session.add(
            Artefact(
                recording_id=recording.id, kind=ArtefactKind.SOURCE, key=stored.key,
                media_type="application/octet-stream", size=stored.size, sha256="",
            )
        )  # fmt: skip
        before = spent(pid)
        runs.start(session, recording)
        recording_id = recording.id
    while True:
        with core.session() as session:
            state = session.get_one(Recording, recording_id).state
        if state is not RecordingState.PROCESSING:
            break
        time.sleep(0.1)
    if state is not RecordingState.READY:
        raise RuntimeError(f"the recording ended as {state.value}")
    return spent(pid) - before, len(list(core.storage.objects(keys.recording_prefix(recording_id))))


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    clips = [Clip(*given) for given in CLIPS]
    with tempfile.TemporaryDirectory(prefix="vignette-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        base = Settings(
            data=root / "data", caption_engine="none", encode_threads=options.threads, worker_light=1, log_level="ERROR"
        )
        with running(base, lambda _: None) as settings:
            bring_up_to_date(settings)
            open_storage(settings)
            core = build_core(replace(settings, data=root / "work"))
            sources = [made_source(root, options.seconds, noisy=clip.noisy, copyable=clip.copied) for clip in clips]
            child = worker(core.settings)
            try:
                for number in range(options.runs):
                    for clip, source in zip(clips, sources, strict=True):
                        both = [
                            partial(ours, clip, core, source, child.pid),
                            partial(bare, clip, source, root, options),
                        ]
                        for measure in both if number % 2 else reversed(both):
                            measure()
            finally:
                child.terminate()
                child.wait()
    report(clips, options)


def ours(clip: Clip, core: Core, source: Path, pid: int) -> None:
    """One run of the pipeline."""
    began = time.monotonic()
    used, clip.objects = process(core, source, pid)
    clip.used.append(used)
    clip.wall.append(time.monotonic() - began)


def bare(clip: Clip, source: Path, root: Path, options: argparse.Namespace) -> None:
    """One run of the bare command."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        (Path(folder) / "out").mkdir()
        began = time.monotonic()
        clip.bare_used.append(reference(source, Path(folder) / "out", options.threads))
        clip.bare_wall.append(time.monotonic() - began)


def report(clips: list[Clip], options: argparse.Namespace) -> None:
    """The table and the line."""
    print(f"{'clip':15} {'pipeline':>10} {'bare':>10} {'ratio':>8} {'wall':>10} {'bare wall':>10}")
    for clip in clips:
        used, bare_used, wall, bare_wall = (
            statistics.median(times) for times in (clip.used, clip.bare_used, clip.wall, clip.bare_wall)
        )
        print(f"{clip.name:15} {used:8.2f} s {bare_used:8.2f} s {clip.ratio:8.3f} {wall:8.2f} s {bare_wall:8.2f} s")
    worst, copied = (max(clip.ratio for clip in clips if clip.copied is kind) for kind in (False, True))
    print(
        json.dumps(
            {
                "name": "pipeline",
                "ratio": round(worst, 3),
                "limit": LIMIT,
                "copied_ratio": round(copied, 3),
                "copied_limit": COPIED_LIMIT,
                "subject": {c.name: [round(statistics.median(t), 2) for t in (c.used, c.wall)] for c in clips},
                "reference": {
                    c.name: [round(statistics.median(t), 2) for t in (c.bare_used, c.bare_wall)] for c in clips
                },
                "figures": "[processor seconds, wall seconds]",
                "runs": options.runs,
                "clip_seconds": options.seconds,
                "objects_per_recording": [clip.objects for clip in clips],
            }
        )
    )
    sys.exit(worst > LIMIT or copied > COPIED_LIMIT)


if __name__ == "__main__":
    main()
