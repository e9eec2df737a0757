"""What other products would spend on the same clip by their own recipes, against ours, and how good each picture is.

    python bench/peers.py [--seconds 20] [--runs 1] [--threads 2]

The recipes are what each product's documentation and source say it runs by default: how many programs, which heights,
preset, quality and caps, and what is done again for packaging. They are written here as the same ffmpeg would run them.
Ours is everything that `bench/pipeline_media.py` counts. Processor time is of the whole recipe. VMAF is measured over
the heights that a recipe shares with ours (720, 480, 360), each scaled back to the source's size, and their mean is
compared with ours over the same heights. A noisy and a clean clip of 1280x720. About 6 minutes on two cores.

Left out: storage, database and queue, theirs as ours; what a recipe makes besides picture and sound.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bare import cpu, made_source
from pipeline_media import whole

from app.media import commands

HEIGHTS = (720, 480, 360)
WORSE_BY = 0.2  # VMAF that counts as equal
Argv = list[str]


@dataclass(frozen=True)
class Recipe:
    """One product's way. `programs` gives the command lines for a source and an empty folder, in which the picture of
    height H is then called H.mp4."""

    name: str
    what: str
    programs: Callable[[Path, Path], Sequence[Argv]]
    heights: tuple[int, ...]


def _start(source: Path) -> Argv:
    return [commands.ffmpeg_path(), "-y", "-nostdin", "-loglevel", "error", "-i", str(source)]


def _each(
    source: Path, folder: Path, caps: dict[int, int], *options: str, burst: float = 2, sound: str = "128k"
) -> list[Argv]:
    """A program for each height: decode, scale, encode picture and sound. `caps` in kbit/s by height."""
    return [
        [
            *_start(source), "-vf", f"scale=-2:{height}", "-c:v", "libx264", "-pix_fmt", "yuv420p", *options,
            "-maxrate", f"{cap}k", "-bufsize", f"{round(cap * burst)}k", "-c:a", "aac", "-b:a", sound, "-ac", "2",
            str(folder / f"{height}.mp4"),
        ]
        for height, cap in caps.items()
    ]  # fmt: skip


def _program_per_rung(source: Path, folder: Path) -> list[Argv]:
    made: list[Argv] = []
    for height, crf, cap in ((720, 23, 2500), (480, 24, 1000), (360, 25, 600)):
        made += _each(
            source, folder, {height: cap}, "-preset", "veryfast", "-crf", str(crf), "-g", "50", "-sc_threshold", "0"
        )
    return made


def _two_pass_loudness(source: Path, folder: Path) -> list[Argv]:
    measuring = [*_start(source), "-vn", "-af", "loudnorm=I=-16:TP=-1.5:LRA=11:print_format=json", "-f", "null", "-"]
    applying = [*_start(source), "-vn", "-af"]
    applying += ["loudnorm=I=-16:TP=-1.5:LRA=11:measured_I=-21:measured_TP=-18:measured_LRA=0:measured_thresh=-31"]
    graph = "[0:v]split=3[a][b][c];[a]scale=-2:720[v0];[b]scale=-2:480[v1];[c]scale=-2:360[v2]"
    picture = [*_start(source), "-filter_complex", graph]
    for number, (height, crf, cap) in enumerate(((720, 23, 2500), (480, 24, 1000), (360, 25, 600))):
        picture += ["-map", f"[v{number}]", "-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-g", "50"]
        picture += ["-maxrate", f"{cap}k", "-bufsize", f"{2 * cap}k", str(folder / f"{height}.mp4")]
    return [measuring, [*applying, "-ar", "48000", "-c:a", "aac", "-b:a", "128k", str(folder / "sound.mp4")], picture]


def _peertube(source: Path, folder: Path) -> list[Argv]:
    caps = {720: 1850, 480: 820, 360: 460, 240: 250, 144: 120}
    packed = []
    for argv in _each(source, folder, caps, "-preset", "veryfast", "-bf", "16", "-r", "25"):
        height = Path(argv[-1]).stem
        packed.append(
            [*argv[:-1], "-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4",
             "-hls_flags", "single_file", "-hls_segment_filename", str(folder / f"{height}.mp4"), str(folder / f"{height}.m3u8")]
        )  # fmt: skip
    return packed


def _mediacms(source: Path, folder: Path) -> list[Argv]:
    caps = {144: 225, 240: 450, 360: 750, 480: 1500, 720: 3750}
    options = ("-preset", "medium", "-crf", "23", "-profile:v", "main", "-x264-params", "keyint=200:keyint_min=100",
               "-force_key_frames", "expr:gte(t,n_forced*4)")  # fmt: skip
    made = _each(source, folder, caps, *options, burst=1)
    for height in caps:
        made.append(
            [*_start(folder / f"{height}.mp4"), "-c", "copy", "-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod",
             "-hls_segment_filename", str(folder / f"{height}-%d.ts"), str(folder / f"{height}.m3u8")]
        )  # fmt: skip
    return made


def _esup_pod(source: Path, folder: Path) -> list[Argv]:
    options = ("-preset", "slow", "-crf", "20", "-sc_threshold", "0", "-force_key_frames", "expr:gte(t,n_forced*1)")
    caps = {360: 1000, 720: 3000}
    again = folder / "again"
    again.mkdir()
    made = _each(source, folder, caps, *options, burst=1)
    for argv in _each(source, again, caps, *options, burst=1):
        made.append(
            [*argv[:-1], "-f", "hls", "-hls_time", "2", "-hls_flags", "single_file", argv[-1].replace(".mp4", ".m3u8")]
        )
    return [*made, [*_start(source), "-vn", "-c:a", "libmp3lame", "-qscale:a", "2", str(folder / "sound.mp3")]]


def _opencast(source: Path, folder: Path) -> list[Argv]:
    argv = _start(source)
    for height, cap, sound in ((480, 800, "64k"), (720, 1200, "96k")):
        argv += [
            "-vf",
            f"scale=-2:{height}",
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-crf",
            "22",
            "-maxrate",
            f"{cap}k",
        ]
        argv += ["-bufsize", f"{2 * cap}k", "-force_key_frames", "expr:gte(t,n_forced*4)", "-c:a", "aac", "-b:a", sound]
        argv += ["-movflags", "+faststart", str(folder / f"{height}.mp4")]
    return [argv]


RECIPES = (
    Recipe(
        "program per rung", "our rungs and settings, a program and a sound track for each", _program_per_rung, HEIGHTS
    ),
    Recipe("two-pass loudness", "our rungs in one program, the sound by loudnorm twice", _two_pass_loudness, HEIGHTS),
    Recipe("PeerTube", "a program for each of five heights, veryfast, packaged on the way", _peertube, HEIGHTS),
    Recipe("MediaCMS", "a program for each of five heights, medium, then packaged by copying", _mediacms, HEIGHTS),
    Recipe("Esup-Pod", "two heights, slow, once as files and once again for HLS, and an MP3", _esup_pod, (720, 360)),
    Recipe("Opencast", "two heights from one program, medium, files only", _opencast, (720, 480)),
)


def vmaf(made: Path, source: Path) -> float:
    """Mean VMAF of a rendition at the source's size, every third frame."""
    graph = "[0:v]fps=25,scale=1280:720:flags=bicubic[a];[1:v]fps=25[b];[a][b]libvmaf=n_threads=2:n_subsample=3"
    argv = [commands.ffmpeg_path(), "-nostdin", "-hide_banner", "-i", str(made), "-i", str(source), "-lavfi", graph]
    log = subprocess.run([*argv, "-f", "null", "-"], check=True, capture_output=True, text=True).stderr
    found = re.search(r"VMAF score: ([\d.]+)", log)
    if found is None:
        raise RuntimeError("this ffmpeg tells no VMAF")
    return float(found[1])


@dataclass
class Figures:
    """Of one recipe on one clip."""

    used: list[float] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)

    def mean(self, heights: Sequence[int]) -> float:
        """VMAF over some heights."""
        return statistics.mean(self.scores[height] for height in heights)


def main() -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    found: dict[str, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="vignette-bench-") as name:
        for clip, noisy in (("noisy", True), ("clean", False)):
            source = made_source(Path(name), options.seconds, noisy=noisy)
            figures = found.setdefault(clip, {"Vignette": Figures()} | {recipe.name: Figures() for recipe in RECIPES})
            for number in range(options.runs):
                first = number == 0
                with tempfile.TemporaryDirectory(dir=name) as folder:
                    seconds, made = whole(source, Path(folder), options.threads, 60)
                    figures["Vignette"].used.append(sum(seconds.values()))
                    if first:
                        figures["Vignette"].scores = {h: vmaf(made[f"{h}p"], source) for h in HEIGHTS}
                for recipe in RECIPES:
                    with tempfile.TemporaryDirectory(dir=name) as folder:
                        programs = recipe.programs(source, Path(folder))
                        figures[recipe.name].used.append(cpu(lambda: [subprocess.run(a, check=True) for a in programs]))  # noqa: B023
                        if first:
                            scores = {h: vmaf(Path(folder) / f"{h}.mp4", source) for h in recipe.heights}
                            figures[recipe.name].scores = scores
    report(found, options.runs)


def report(found: dict[str, dict[str, Figures]], runs: int) -> None:
    """A table by clip, and the line. We are ahead of a recipe that spends more for a picture that is not better."""
    behind = []
    ratios: dict[str, dict[str, list[float]]] = {}
    for clip, figures in found.items():
        ours = figures.pop("Vignette")
        own = statistics.median(ours.used)
        print(f"{clip}: Vignette {own:.1f} s, VMAF {', '.join(f'{h}p {ours.scores[h]:.1f}' for h in HEIGHTS)}")
        print(f"  {'recipe':20}{'CPU':>9}{'ours/theirs':>13}{'VMAF':>8}{'ours':>8}")
        for recipe in RECIPES:
            theirs = figures[recipe.name]
            ratio = own / statistics.median(theirs.used)
            score, our_score = theirs.mean(recipe.heights), ours.mean(recipe.heights)
            print(
                f"  {recipe.name:20}{statistics.median(theirs.used):>7.1f} s{ratio:>13.2f}{score:>8.1f}{our_score:>8.1f}"
            )
            ratios.setdefault(recipe.name, {})[clip] = [round(ratio, 3), round(score, 2), round(our_score, 2)]
            if ratio >= 1 or our_score < score - WORSE_BY:
                behind.append(f"{recipe.name}, {clip}")
    for recipe in RECIPES:
        print(f"{recipe.name}: {recipe.what}")
    print(
        json.dumps(
            {
                "name": "peers",
                "not_ahead_of": behind,
                "limit": [],
                "subject": ratios,
                "figures": "[our CPU / theirs, their VMAF, our VMAF over the same heights]",
                "reference": {recipe.name: recipe.what for recipe in RECIPES},
                "runs": runs,
            }
        )
    )
    sys.exit(bool(behind))


if __name__ == "__main__":
    main()
