"""Bytes, VMAF and processor time of the AV1 rungs, against the H.264 rungs of the same recording.

    python bench/av1.py [SOURCE] [--seconds 20] [--runs 1] [--threads 2] [--chunk-seconds 60]

Subject and reference are the production code: the plan, chunks encoded in the sandbox, joined. Both encode every rung; one
that would be copied is encoded too. VMAF (libvmaf's default model, every third frame) compares each rendition with the
source at that rung's size. Bytes and VMAF are the same in every run; time is the median. `ratio` is bytes of AV1 over bytes
of H.264, all rungs together, and `vmaf_lost` the most that a rung loses. Without SOURCE a noisy moving picture of 1280x720 is
made, which is hard for any encoder: measure real recordings. Left out: sound, storage, database.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bare import cpu, made_source

from app.media import av1, commands, encode, join, ladder
from app.media.ladder import Plan, Rung
from app.media.probe import probe

Make = Callable[[Path, Plan, Path], dict[str, Path]]
LIMIT = 0.75
MOST_VMAF_LOST = 0.5


def renditions(source: Path, plan: Plan, folder: Path) -> dict[str, Path]:
    """Every rung of the plan as one file, made rung by rung as the AV1 workflow does."""
    made = {}
    for rung in plan.encoded:
        parts = [
            encode.transcode_chunk(source, av1.one(plan, rung), part.index, folder / "work")[rung.name]
            for part in plan.chunks
        ]
        made[rung.name] = folder / f"{rung.name}.mp4"
        join.join(parts, made[rung.name])
    return made


def together(source: Path, plan: Plan, folder: Path) -> dict[str, Path]:
    """Every rung of the plan as one file, all rungs of a chunk at once, as for H.264."""
    chunks: dict[str, list[Path]] = {}
    for part in plan.chunks:
        for name, file in encode.transcode_chunk(source, plan, part.index, folder / "work").items():
            chunks.setdefault(name, []).append(file)
    made = {name: folder / f"{name}.mp4" for name in chunks}
    for name, parts in chunks.items():
        join.join(parts, made[name])
    return made


def vmaf(source: Path, file: Path, plan: Plan, rung: Rung) -> float:
    """How near a rendition comes to its source."""
    graph = (
        f"[1:v]fps={plan.rate}:start_time=0,scale={rung.width}:{rung.height},format=yuv420p,settb=AVTB[r];"
        "[0:v]settb=AVTB[d];[d][r]libvmaf=n_threads=2:n_subsample=3"
    )
    argv = [commands.ffmpeg_path(), "-hide_banner", "-nostdin", "-i", str(file), "-i", str(source)]
    done = subprocess.run([*argv, "-lavfi", graph, "-f", "null", "-"], check=True, capture_output=True, text=True)
    found = re.search(r"VMAF score: ([\d.]+)", done.stderr)
    if found is None:
        raise RuntimeError("libvmaf said nothing")
    return float(found[1])


def _measured(make: Make, source: Path, plan: Plan, folder: Path) -> tuple[dict[str, Path], float]:
    """What `make` makes, and the processor time that it takes."""
    made: dict[str, Path] = {}
    return made, cpu(lambda: made.update(make(source, plan, folder)))


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chunk-seconds", type=float, default=60)
    options = parser.parse_args()
    times: tuple[list[float], list[float]] = ([], [])
    rows = []
    with tempfile.TemporaryDirectory(prefix="vignette-bench-") as name:
        root = Path(name)
        source = options.source or made_source(root, options.seconds, noisy=True)
        found = probe(source, root / "probe", max_duration_seconds=24 * 3600)
        whole = ladder.plan(found, chunk_seconds=options.chunk_seconds, threads=options.threads)
        smaller = av1.plan(whole, chunk_seconds=options.chunk_seconds)
        rungs = tuple(replace(rung, copied=False) for rung in whole.rungs)
        usual = replace(whole, rungs=rungs, chunks=smaller.chunks)
        for number in range(options.runs):
            files: list[dict[str, Path]] = []
            for plan, make, spent in ((smaller, renditions, times[0]), (usual, together, times[1])):
                folder = root / f"{len(files)}-{number}"
                folder.mkdir()
                made, seconds_spent = _measured(make, source, plan, folder)
                files.append(made)
                spent.append(seconds_spent)
        for rung, small in zip(usual.rungs, smaller.rungs, strict=True):
            ours, theirs = files[0][small.name], files[1][rung.name]
            scores = vmaf(source, ours, smaller, small), vmaf(source, theirs, usual, rung)
            rows.append((rung.name, ours.stat().st_size, theirs.stat().st_size, *scores))
    print(f"{'rung':8} {'AV1':>12} {'H.264':>12} {'ratio':>7} {'VMAF AV1':>9} {'VMAF H.264':>11}")
    for rung_name, ours_size, theirs_size, score, other in rows:
        print(
            f"{rung_name:8} {ours_size:10} B {theirs_size:10} B {ours_size / theirs_size:7.3f} {score:9.2f} {other:11.2f}"
        )
    seconds = [statistics.median(spent) for spent in times]
    print(f"processor time {seconds[0]:.1f} s, H.264 {seconds[1]:.1f} s: {seconds[0] / seconds[1]:.2f} times")
    sums = [sum(row[column] for row in rows) for column in (1, 2)]
    result = {
        "name": "av1",
        "ratio": round(sums[0] / sums[1], 3),
        "limit": LIMIT,
        "vmaf_lost": round(max(row[4] - row[3] for row in rows), 2),
        "vmaf_limit": MOST_VMAF_LOST,
        "subject": {"bytes": sums[0], "cpu_seconds": round(seconds[0], 2)},
        "reference": {"bytes": sums[1], "cpu_seconds": round(seconds[1], 2)},
        "runs": options.runs,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
