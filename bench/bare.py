"""What the pipeline is measured against: one bare ffmpeg command with the same rungs; and clips made for measuring."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

from app.media import commands, ladder
from app.media.probe import probe


def cpu(action: Callable[[], object]) -> float:
    """Seconds of processor time that `action` takes, in this process and its children."""

    def used() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    before = used()
    action()
    return used() - before


def reference(source: Path, scratch: Path, threads: int) -> float:
    """Seconds of processor time of the bare command: `split`, scale each rung from the full picture, one AAC track.
    A rung that could be copied is encoded too."""
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
    return cpu(lambda: subprocess.run(argv, check=True))


def made_source(
    folder: Path, seconds: int, *, noisy: bool = True, copyable: bool = False, size: str = "1280x720"
) -> Path:
    """A clip at 25 fps with a tone: a moving test picture, with film grain when noisy.

    The top rung of a `copyable` one is taken over as it is; the others have long gaps between keyframes, so that it is
    encoded.
    """
    path = folder / f"made-{'noisy' if noisy else 'clean'}-{'copyable-' if copyable else ''}{size}-{seconds}.mkv"
    picture = f"testsrc2=s={size}:r=25:d={seconds}" + (",noise=alls=12:allf=t" if noisy else "")
    argv = [commands.ffmpeg_path(), "-y", "-loglevel", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i"]
    argv += [f"sine=300:d={seconds}", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
    argv += ["-g", "50", "-maxrate", "2500k", "-bufsize", "2500k"] if copyable else ["-g", "250"]
    subprocess.run([*argv, "-c:a", "aac", str(path)], check=True)
    return path
