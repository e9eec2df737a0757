"""Whether wall time grows with a recording's length and not faster.

    python bench/growth.py [--minutes 5,15,30,60] [--size 160x120] [--chunk-seconds 60]

Small pictures at 5 frames a second, so that an hour of them takes minutes: what could grow faster than the length (the
ledger's rows, lists of chunks, joining, stills, the index) grows with the length and not with the picture. One free
worker. Told is the slope between neighbouring lengths against the mean slope, and the exponent of a power law fitted to all lengths
after the constant part (the shortest run's overhead) is left in: 1 is linear. About 6 minutes with nothing else
running; `--minutes 30,60,120` measures up to two hours.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

from crew import crew

from app.media import commands

LIMIT = 1.1


def film(folder: Path, minutes: int, size: str) -> Path:
    """A moving picture of that length with a quiet tone; ten seconds are made and then repeated by copying."""
    part, path = folder / "part.mkv", folder / f"{minutes}.mkv"
    base = [commands.ffmpeg_path(), "-y", "-nostdin", "-loglevel", "error"]
    if not part.exists():
        made = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=5:d=10", "-f", "lavfi", "-i", "sine=300:d=10"]
        made += ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "pcm_s16le"]
        subprocess.run([*base, *made, str(part)], check=True)
    subprocess.run(
        [
            *base,
            "-stream_loop",
            str(minutes * 6 - 1),
            "-i",
            str(part),
            "-c:v",
            "copy",
            "-c:a",
            "aac",
            "-ac",
            "1",
            str(path),
        ],
        check=True,
    )
    return path


def exponent(lengths: list[int], walls: list[float]) -> float:
    """Of the power law that fits best: the slope of a straight line through the logarithms."""
    xs, ys = [math.log(n) for n in lengths], [math.log(s) for s in walls]
    return statistics.linear_regression(xs, ys).slope


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", default="5,15,30,60")
    parser.add_argument("--size", default="160x120")
    parser.add_argument("--chunk-seconds", type=int, default=60)
    options = parser.parse_args()
    lengths = sorted(int(number) for number in options.minutes.split(","))
    walls: list[float] = []
    with crew(worker_encode=1, worker_light=1, chunk_seconds=options.chunk_seconds) as found:
        films = [film(found.folder, minutes, options.size) for minutes in lengths]
        with found.at_work([None]):
            for minutes, source in zip(lengths, films, strict=True):
                walls.append(found.process(source))
                print(f"{minutes:5} min {walls[-1]:8.1f} s {walls[-1] / minutes:8.3f} s per minute", flush=True)
    slopes = [(b - a) / (y - x) for x, y, a, b in zip(lengths, lengths[1:], walls, walls[1:], strict=False)]
    power = exponent(lengths, walls)
    steepening = slopes[-1] / slopes[0] if slopes and slopes[0] > 0 else math.inf
    print(f"exponent {power:.3f}; seconds per further minute: {', '.join(f'{slope:.3f}' for slope in slopes)}")
    print(
        json.dumps(
            {
                "name": "growth",
                "exponent": round(power, 3),
                "limit": LIMIT,
                "subject": {
                    f"{minutes}_minutes_wall_seconds": round(w, 2) for minutes, w in zip(lengths, walls, strict=True)
                },
                "reference": {"seconds_per_further_minute": [round(slope, 4) for slope in slopes]},
                "last_slope_over_first": round(steepening, 3),
                "runs": 1,
            }
        )
    )
    sys.exit(power > LIMIT)


if __name__ == "__main__":
    main()
