"""Processor time of everything made from one recording, against one bare ffmpeg command that makes the same rungs.

    python bench/pipeline_media.py [SOURCE] [--seconds 60] [--runs 3] [--threads 2] [--chunk-seconds 60]

The subject is the production code: probe, chunks, join, sound (measured and encoded), storyboard, poster, plain MP4,
shape of the sound, speech samples and index. The reference decodes once, splits to the same rungs with the same settings, and encodes the
sound once, without any correction. Left out: upload, storage, database, captions. Without SOURCE a noisy moving
picture of 1280x720 with a tone is made first. Both count user and system time of the whole process tree.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from bare import cpu, made_source, reference

from app.media import encode, fmp4, join, ladder, playlists
from app.media.probe import Probe, probe


def whole(source: Path, scratch: Path, threads: int, chunk_seconds: float) -> tuple[dict[str, float], dict[str, Path]]:
    """Make everything. Returns processor seconds by step, and the renditions by rung."""
    seconds: dict[str, float] = {}
    found: list[Probe] = []

    def step(name: str, action: Callable[[], object]) -> None:
        seconds[name] = seconds.get(name, 0.0) + cpu(action)

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
        lambda: (
            encode.make_posters(lowest, lowest, plan, scratch / "work"),
            encode.storyboard(lowest, plan, scratch / "work"),
        ),
    )
    step("plain file", lambda: encode.mux_mp4(made[plan.plain.name], sound[0], scratch / "work"))
    if sound[0] is not None:
        heard = sound[0]
        step("shape of the sound", lambda: encode.peaks(heard, scratch / "work"))
        step("speech samples", lambda: encode.pcm(heard, scratch / "work"))
    return seconds, made


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
        source = options.source or made_source(Path(folder), options.seconds)
        for number in range(options.runs):
            scratch = Path(folder) / str(number)
            (scratch / "reference").mkdir(parents=True)
            subjects.append(whole(source, scratch / "subject", options.threads, options.chunk_seconds)[0])
            references.append(reference(source, scratch / "reference", options.threads))
    medians = {name: round(statistics.median(run[name] for run in subjects), 3) for name in subjects[0]}
    subject = statistics.median(sum(run.values()) for run in subjects)
    bare = statistics.median(references)
    for name, value in medians.items():
        print(f"{name:16} {value:8.2f} s")
    print(f"{'all':16} {subject:8.2f} s\n{'bare ffmpeg':16} {bare:8.2f} s")
    print(
        json.dumps(
            {
                "name": "pipeline_media",
                "ratio": round(subject / bare, 3),
                "limit": 1.1,
                "subject": {"cpu_seconds": round(subject, 2), **medians},
                "reference": {"cpu_seconds": round(bare, 2)},
                "runs": options.runs,
            }
        )
    )


if __name__ == "__main__":
    main()
