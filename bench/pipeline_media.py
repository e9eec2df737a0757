"""Processor time of everything made from one recording, against one bare ffmpeg command that makes the same rungs.

    python bench/pipeline_media.py [SOURCE] [--seconds 60] [--runs 3] [--threads 2] [--chunk-seconds 60]

The subject is the production code: probe, chunks, join, sound (measured and encoded), storyboard, poster, plain MP4,
speech samples and index. The reference decodes once, splits to the same rungs with the same settings, and encodes the
sound once, without any correction. Left out: upload, storage, database, captions. Without SOURCE a noisy moving
picture of 1280x720 with a tone is made first. Both count user and system time of the whole process tree.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from app.media import commands, encode, fmp4, join, ladder, playlists
from app.media.probe import Probe, probe


def _cpu(action: Callable[[], object]) -> float:
    """Seconds of processor time that `action` takes, in this process and its children."""

    def used() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    before = used()
    action()
    return used() - before


def _subject(source: Path, scratch: Path, threads: int, chunk_seconds: float) -> dict[str, float]:
    seconds: dict[str, float] = {}
    found: list[Probe] = []

    def step(name: str, action: Callable[[], object]) -> None:
        seconds[name] = seconds.get(name, 0.0) + _cpu(action)

    step("probe", lambda: found.append(probe(source, scratch / "probe", max_duration_seconds=24 * 3600)))
    plan = ladder.plan(found[0], chunk_seconds=chunk_seconds, threads=threads)
    chunks: dict[str, list[Path]] = {}

    def transcode() -> None:
        for chunk in plan.chunks:
            for name, path in encode.transcode_chunk(source, plan, chunk.index, scratch / "work").items():
                chunks.setdefault(name, []).append(path)

    made: dict[str, Path] = {}

    def assemble() -> None:
        for name, parts in chunks.items():
            made[name] = scratch / f"{name}.mp4"
            join.join(parts, made[name])
            with made[name].open("rb") as file:
                playlists.media(fmp4.index(file), lambda part: "segment")

    def copy() -> None:
        if plan.copied:
            made[plan.copied.name] = encode.copy_top(source, plan, scratch / "work")

    sound: list[Path | None] = []
    step("chunks", transcode)
    step("copy", copy)
    step("join and index", assemble)
    step("sound", lambda: sound.append(encode.encode_audio(source, plan, scratch / "work")))
    lowest = made[plan.lowest.name]
    step(
        "stills",
        lambda: (encode.poster(lowest, plan, scratch / "work"), encode.storyboard(lowest, plan, scratch / "work")),
    )
    step("plain file", lambda: encode.mux_mp4(made[plan.plain.name], sound[0], scratch / "work"))
    if sound[0] is not None:
        heard = sound[0]
        step("speech samples", lambda: encode.pcm(heard, scratch / "work"))
    return seconds


def _reference(source: Path, scratch: Path, threads: int) -> float:
    """The bare command: `split`, scale each rung from the full picture, one AAC track."""
    plan = ladder.plan(
        probe(source, scratch / "probe", max_duration_seconds=24 * 3600), chunk_seconds=60, threads=threads
    )
    rungs = plan.rungs
    graph = f"[0:v]fps={plan.rate},split={len(rungs)}" + "".join(f"[s{n}]" for n in range(len(rungs)))
    graph += "".join(f";[s{n}]scale={r.width}:{r.height},format=yuv420p[v{n}]" for n, r in enumerate(rungs))
    argv = [
        commands.ffmpeg_path(),
        "-nostdin",
        "-y",
        "-loglevel",
        "error",
        "-threads",
        str(threads),
        "-i",
        str(source),
        "-filter_complex",
        graph,
    ]
    for n, rung in enumerate(rungs):
        argv += [
            "-map",
            f"[v{n}]",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-crf",
            str(rung.crf),
            "-threads",
            str(threads),
        ]
        argv += [
            "-maxrate",
            f"{rung.maxrate}k",
            "-bufsize",
            f"{2 * rung.maxrate}k",
            "-g",
            str(plan.gop),
            "-keyint_min",
            str(plan.gop),
        ]
        argv += ["-sc_threshold", "0", str(scratch / f"{rung.name}.mp4")]
    if plan.sound:
        argv += [
            "-map",
            f"0:{plan.sound.index}",
            "-c:a",
            "aac",
            "-b:a",
            "128k",
            "-ac",
            "2",
            "-ar",
            "48000",
            str(scratch / "a.mp4"),
        ]
    return _cpu(lambda: subprocess.run(argv, check=True))


def _made_source(folder: Path, seconds: int) -> Path:
    path = folder / "made.mkv"
    picture = f"testsrc2=s=1280x720:r=25:d={seconds},noise=alls=12:allf=t"
    # Long gaps between keyframes, so that the top rung is encoded and not copied.
    argv = [commands.ffmpeg_path(), "-y", "-loglevel", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i"]
    argv += [f"sine=300:d={seconds}", "-c:v", "libx264", "-preset", "veryfast", "-g", "250", "-c:a", "aac", str(path)]
    subprocess.run(argv, check=True)
    return path


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chunk-seconds", type=float, default=60)
    options = parser.parse_args()
    subjects, references = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or _made_source(Path(folder), options.seconds)
        for number in range(options.runs):
            scratch = Path(folder) / str(number)
            (scratch / "reference").mkdir(parents=True)
            subjects.append(_subject(source, scratch / "subject", options.threads, options.chunk_seconds))
            references.append(_reference(source, scratch / "reference", options.threads))
    medians = {name: round(statistics.median(run[name] for run in subjects), 3) for name in subjects[0]}
    subject = statistics.median(sum(run.values()) for run in subjects)
    reference = statistics.median(references)
    for name, value in medians.items():
        print(f"{name:16} {value:8.2f} s")
    print(f"{'all':16} {subject:8.2f} s\n{'bare ffmpeg':16} {reference:8.2f} s")
    print(
        json.dumps(
            {
                "name": "pipeline_media",
                "ratio": round(subject / reference, 3),
                "limit": 1.1,
                "subject": {"cpu_seconds": round(subject, 2), **medians},
                "reference": {"cpu_seconds": round(reference, 2)},
                "runs": options.runs,
            }
        )
    )


if __name__ == "__main__":
    main()
