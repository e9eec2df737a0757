"""What a second worker brings: wall time of one recording with two workers, against one.

    python bench/workers.py [--seconds 120] [--chunk-seconds 15] [--runs 3]

Each worker is pinned to a core of its own and encodes one chunk at a time with one thread; the one worker of the
reference is pinned to the first of them. Wall time from the upload's completion until the recording is ready, one and
two workers in turn, medians. The services use both cores as they need. On two cores about 7 minutes with nothing else
running; any other work on the machine spoils the figure.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

from bare import made_source
from crew import crew

LIMIT = 0.55


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--chunk-seconds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        parser.error("this needs two cores")
    walls: dict[int, list[float]] = {1: [], 2: []}
    with crew(worker_encode=1, worker_light=1, chunk_seconds=options.chunk_seconds) as found:
        source = made_source(found.folder, options.seconds)
        for number in range(options.runs):
            for count in (1, 2) if number % 2 else (2, 1):
                with found.at_work(cores[:count]):
                    walls[count].append(found.process(source))
    one, two = statistics.median(walls[1]), statistics.median(walls[2])
    print(f"one worker {one:.1f} s, two workers {two:.1f} s, ratio {two / one:.3f}")
    print(
        json.dumps(
            {
                "name": "workers",
                "ratio": round(two / one, 3),
                "limit": LIMIT,
                "subject": {"two_workers_wall_seconds": round(two, 2)},
                "reference": {"one_worker_wall_seconds": round(one, 2)},
                "runs": options.runs,
                "clip_seconds": options.seconds,
                "chunk_seconds": options.chunk_seconds,
            }
        )
    )
    sys.exit(two / one > LIMIT)


if __name__ == "__main__":
    main()
