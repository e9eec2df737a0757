"""Processor time of the whole pipeline, against one bare ffmpeg command that makes the same rungs.

    python bench/pipeline.py [--seconds 60] [--runs 3] [--threads 2]

The subject is the production worker as a process, on real PostgreSQL and S3 started for the measurement: from the
upload's completion to the end of the run, everything that the worker and its children spend (fetching, hashing, probe,
chunks, joining, sound, stills, plain file, storing, ledger). The reference decodes once, splits to the same rungs with
the same settings and threads, and encodes the sound once. Noisy and clean clips, subject and reference in turn.

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
from dataclasses import fields, replace
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
LIMIT = 1.10


def spent(pid: int) -> float:
    """Seconds of processor time of a process and of its children that have ended (proc(5) stat, fields 14 to 17)."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in stat[11:15]) / TICK


def worker(settings: Settings) -> subprocess.Popen[bytes]:
    """The production worker, without captions."""
    environment = {PREFIX + f.name.upper(): str(getattr(settings, f.name)) for f in fields(settings)}
    return subprocess.Popen(
        [sys.executable, "-m", "workers"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        stdout=subprocess.DEVNULL,
    )


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
        time.sleep(0.5)
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
    figures: dict[str, tuple[list[float], list[float]]] = {}
    objects = 0
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
            child = worker(core.settings)
            try:
                for noisy in (True, False):
                    source = made_source(root, options.seconds, noisy=noisy)
                    subjects, references = figures.setdefault("noisy" if noisy else "clean", ([], []))
                    for number in range(options.runs):
                        scratch = root / f"reference-{noisy}-{number}"
                        (scratch / "out").mkdir(parents=True)
                        used, objects = process(core, source, child.pid)
                        subjects.append(used)
                        references.append(reference(source, scratch / "out", options.threads))
            finally:
                child.terminate()
                child.wait()
    ratios = {name: statistics.median(s) / statistics.median(r) for name, (s, r) in figures.items()}
    print(f"{'clip':8} {'pipeline':>10} {'bare':>10} {'ratio':>8}")
    for name, (subjects, references) in figures.items():
        print(
            f"{name:8} {statistics.median(subjects):8.2f} s {statistics.median(references):8.2f} s {ratios[name]:8.3f}"
        )
    print(
        json.dumps(
            {
                "name": "pipeline",
                "ratio": round(max(ratios.values()), 3),
                "limit": LIMIT,
                "subject": {f"{name}_cpu_seconds": round(statistics.median(s), 2) for name, (s, _) in figures.items()},
                "reference": {
                    f"{name}_cpu_seconds": round(statistics.median(r), 2) for name, (_, r) in figures.items()
                },
                "runs": options.runs,
                "objects_per_recording": objects,
            }
        )
    )


if __name__ == "__main__":
    main()
