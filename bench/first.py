"""How soon a recording can be watched after its upload, and how long one chunk takes.

    python bench/first.py [--seconds 180] [--copyable-minutes 5,30] [--chunk-seconds 60] [--runs 3]

A clip of 1280x720 that is encoded must be watchable within the time that one chunk takes in the same worker, times
`--allow` for what comes before and after it. One whose top rung is copied must be watchable within 10 s, however long it
is. Wall time from the upload's completion to the moment that the recording may be watched, medians, one free worker.
About 7 minutes on two cores with nothing else running.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from bare import made_source
from crew import Crew, crew
from sqlalchemy import select

from app.db.runs import StageRun
from app.media import commands

COPIED_LIMIT = 10.0


def longer(part: Path, minutes: int) -> Path:
    """The same film again and again, by copying."""
    path = part.with_name(f"copyable-{minutes}.mkv")
    seconds = int(part.stem.rpartition("-")[2])
    argv = [
        commands.ffmpeg_path(),
        "-y",
        "-nostdin",
        "-loglevel",
        "error",
        "-stream_loop",
        str(minutes * 60 // seconds - 1),
    ]
    subprocess.run([*argv, "-i", str(part), "-c", "copy", str(path)], check=True)
    return path


def chunk_seconds(found: Crew) -> float:
    """Median wall seconds of the chunks of all runs so far."""
    query = select(StageRun.started_at, StageRun.finished_at).where(
        StageRun.stage == "transcode", StageRun.state == "succeeded"
    )
    with found.core.session() as session:
        return statistics.median(
            (end - start).total_seconds() for start, end in session.execute(query) if start and end
        )


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--copyable-minutes", default="5,30")
    parser.add_argument("--chunk-seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--allow", type=float, default=1.0, help="how many chunks' time the first picture may take")
    options = parser.parse_args()
    encoded: list[float] = []
    copied: dict[str, list[float]] = {}
    with crew(worker_encode=1, worker_light=2, chunk_seconds=options.chunk_seconds) as found:
        source = made_source(found.folder, options.seconds)
        part = made_source(found.folder, 20, copyable=True, size="640x360")
        films = {minutes: longer(part, int(minutes)) for minutes in options.copyable_minutes.split(",")}
        with found.at_work([None]):
            for _ in range(options.runs):
                for minutes, film in films.items():
                    copied.setdefault(minutes, []).append(
                        found.process(film, until=lambda r: r.watchable_at is not None)
                    )
                encoded.append(found.process(source, until=lambda r: r.watchable_at is not None))
            one = chunk_seconds(found)
    first = statistics.median(encoded)
    medians = {minutes: statistics.median(walls) for minutes, walls in copied.items()}
    print(f"encoded, {options.seconds} s: watchable after {first:.1f} s; one chunk takes {one:.1f} s")
    for minutes, wall in medians.items():
        print(f"copied, {minutes} min: watchable after {wall:.1f} s")
    worst = max(medians.values())
    print(
        json.dumps(
            {
                "name": "first",
                "ratio": round(first / one, 3),
                "limit": options.allow,
                "copied_seconds": round(worst, 2),
                "copied_limit": COPIED_LIMIT,
                "subject": {"encoded_watchable_seconds": round(first, 2)}
                | {f"copied_{minutes}_minutes_watchable_seconds": round(w, 2) for minutes, w in medians.items()},
                "reference": {"chunk_wall_seconds": round(one, 2)},
                "runs": options.runs,
            }
        )
    )
    sys.exit(first > one * options.allow or worst > COPIED_LIMIT)


if __name__ == "__main__":
    main()
