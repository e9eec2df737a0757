"""ffmpeg command lines, built from plans. Pure: nothing here runs anything.

Inputs are numbers of inherited file descriptors, outputs are names in the program's own empty folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import ffmpeg
import imageio_ffmpeg

from app.media.av1 import PRESET as AV1_PRESET
from app.media.av1 import SUFFIX as AV1_SUFFIX
from app.media.ladder import Chunk, Plan, Rung
from app.media.loudness import Correction
from app.media.peaks import RATE as SHAPE_RATE
from app.media.probe import DEMUXERS, MAX_PIXELS
from app.media.stills import Storyboard

SAMPLE_RATE = 48_000
AAC_PRIMING = 1024  # samples of silence that ffmpeg's AAC encoder puts first
AUDIO_FRAGMENT_SECONDS = 4
WHISPER_RATE = 16_000

# Seeking a little late moves every frame time a little early, by this part of a frame. Frames that lie exactly between
# two ticks of the output (60 to 30 frames per second) are then rounded alike in every chunk, and those on a tick too.
_TICK_BIAS = Fraction(7, 100)

_FRAGMENTS = (
    "+empty_moov"  # the init part comes first and knows nothing of the samples, so it is the same for all chunks
    "+default_base_moof"  # offsets count from the fragment, so fragments can be moved
    "+skip_trailer"  # no index at the end: its offsets would be wrong after the join
)
_VIDEO_FRAGMENTS = (
    "+frag_keyframe"
    "+negative_cts_offsets"  # first picture at 0 without an edit list, which some players ignore
    "+frag_discont" + _FRAGMENTS  # a chunk keeps its own start time, where the muxer would set it to 0
)


@cache
def ffmpeg_path() -> str:
    """Absolute path of the ffmpeg that all of this is written for."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _program(*, threads: int, progress: bool = False, loglevel: str = "error") -> list[str]:
    """The program and its global options."""
    argv = [ffmpeg_path(), "-hide_banner", "-nostdin", "-nostats", "-loglevel", loglevel]
    # Pinned, because by default there is one a processor: results would depend on the machine.
    argv += ["-filter_complex_threads", str(threads)]
    # By default a source of which more than two thirds are damaged fails at its very end, when all is made.
    argv += ["-max_error_rate", "1"]
    if progress:
        argv += ["-progress", "pipe:1", "-stats_period", "0.5"]
    return argv


def _input(fd: int, demuxer: str, *, threads: int, **options: Any) -> Any:
    """A guarded input: nothing but this descriptor can be opened, whatever the file says."""
    return ffmpeg.input(
        "fd:",
        fd=fd,
        format=demuxer,  # as probed: a second guess could be another one
        protocol_whitelist="fd",
        format_whitelist=",".join(DEMUXERS),  # also for what a container might hold inside
        max_pixels=MAX_PIXELS,  # a decoder refuses larger pictures before it takes memory for them
        threads=threads,
        **options,
    )


# What every output has: no times and versions of the making, and none of the source's tags (place, device, names).
_CLEAN: dict[str, Any] = {
    "flags": "+bitexact",
    "fflags": "+bitexact",
    "map_metadata": -1,
    "map_chapters": -1,
}


def _compile(*outputs: Any, program: list[str]) -> list[str]:
    argv: list[str] = (
        ffmpeg.merge_outputs(*outputs).compile(cmd=program) if len(outputs) > 1 else outputs[0].compile(cmd=program)
    )
    return argv


def rung_file(name: str) -> str:
    """Name of a rung's file in the scratch folder."""
    return f"{name}.mp4"


def chunk(fd: int, plan: Plan, part: Chunk) -> list[str]:
    """One process that decodes a chunk once and encodes it for all rungs that are not copied."""
    start = part.start / plan.fps
    seeking: dict[str, Any] = {}
    if plan.seekable_exactly:
        seeking = {
            "ss": _seconds(Fraction(plan.start_seconds).limit_denominator(1_000_000) + start + _TICK_BIAS / plan.fps),
            "seek_timestamp": 1,  # `ss` is the container's own time, so that all chunks count from the same zero
            # Decode from the keyframe before and keep those frames: the picture that stands at the start of a chunk may
            # be older than the start (a still slide, a variable rate). The fps filter then drops what is not needed.
            "noaccurate_seek": None,
        }
    picture = _input(fd, plan.demuxer, threads=plan.threads, **seeking)[str(plan.video_index)]
    if plan.interlaced:
        picture = picture.filter("bwdif", mode="send_frame", deint="interlaced")
    picture = picture.filter("fps", fps=plan.rate, start_time=0)
    # The last picture stands until the count is full, so a damaged end cannot change the number of frames.
    picture = picture.filter("tpad", stop=-1, stop_mode="clone")
    outputs = []
    rungs = plan.encoded
    for number, rung in enumerate(rungs):
        picture = picture.filter("scale", rung.width, rung.height)
        if number == 0:
            picture = _standard_colours(picture, plan.hdr)
        if number < len(rungs) - 1:
            # Each rung is scaled from the one above: less work than scaling the full picture again and again.
            parts = picture.filter_multi_output("split", 2)
            shown, picture = parts.stream(0), parts.stream(1)
        else:
            shown = picture
        outputs.append(
            shown.output(
                rung_file(rung.name),
                format="mp4",
                **(_av1(plan, rung) if rung.name.endswith(AV1_SUFFIX) else _h264(plan, rung)),
                fps_mode="passthrough",  # the fps filter has set the times; nothing may add or drop frames after it
                output_ts_offset=_seconds(start),
                movflags=_VIDEO_FRAGMENTS,
                **{"frames:v": part.frames},
                **_CLEAN,
            )
        )
    return _compile(*outputs, program=_program(threads=plan.threads, progress=True))


def _h264(plan: Plan, rung: Rung) -> dict[str, Any]:
    return {
        "vcodec": "libx264",
        "preset": "veryfast",
        "crf": rung.crf,
        "maxrate": f"{rung.maxrate}k",
        "bufsize": f"{2 * rung.maxrate}k",
        "g": plan.gop,
        "keyint_min": plan.gop,
        "sc_threshold": 0,  # keyframes only where the plan puts them, in all rungs alike
        "threads": plan.threads,  # pinned: the output depends on it, and a redone chunk must be the same
    }


def _av1(plan: Plan, rung: Rung) -> dict[str, Any]:
    return {
        "vcodec": "libsvtav1",
        "preset": AV1_PRESET,
        "crf": rung.crf,
        "maxrate": f"{rung.maxrate}k",
        "bufsize": f"{2 * rung.maxrate}k",
        "g": plan.gop,
        # scd: keyframes only where the plan puts them; irefresh-type: groups of pictures that stand alone; lp: pinned
        "svtav1-params": f"scd=0:irefresh-type=2:lp={plan.threads}",
    }


def _standard_colours(picture: Any, hdr: str | None) -> Any:
    """8-bit 4:2:0 in television range with square pixels; high dynamic range is mapped to BT.709."""
    if hdr is not None:
        transfer = {"pq": "smpte2084", "hlg": "arib-std-b67"}[hdr]
        # Input colours are named, because phones leave out some of the tags and zscale then finds no way.
        picture = picture.filter("zscale", tin=transfer, pin="bt2020", min="bt2020nc", t="linear", npl=100)
        picture = picture.filter("format", "gbrpf32le").filter("zscale", p="bt709")
        picture = picture.filter("tonemap", tonemap="hable", desat=0)
        picture = picture.filter("zscale", t="bt709", m="bt709", r="tv")
    return picture.filter("format", pix_fmts="yuv420p", color_ranges="tv").filter("setsar", 1)


def copy_top(fd: int, plan: Plan) -> list[str]:
    """The source's own picture in the same fragmented form, cut at its own keyframes."""
    rung = plan.copied
    if rung is None:
        raise ValueError("the plan copies nothing")
    source = _input(fd, plan.demuxer, threads=1)
    output = source[str(plan.video_index)].output(
        rung_file(rung.name), format="mp4", vcodec="copy", movflags=_VIDEO_FRAGMENTS, **_CLEAN
    )
    return _compile(output, program=_program(threads=1, progress=True))


def measure_sound(fd: int, plan: Plan, seconds: float | None = None) -> list[str]:
    """Integrated loudness (EBU R 128) and the level of each side, written to the log at the end; of the first `seconds`
    only, where they are given."""
    sound = _sound_input(fd, plan, seconds)
    sound = sound.filter("aformat", channel_layouts="stereo")
    sound = sound.filter("ebur128", framelog="quiet")
    sound = sound.filter("astats", measure_perchannel="RMS_level", measure_overall="none")
    return _compile(sound.output("-", format="null"), program=_program(threads=1, loglevel="info"))


def encode_sound(fd: int, plan: Plan, correction: Correction, name: str, seconds: float | None = None) -> list[str]:
    """AAC in fragmented MP4, at its second: silence before sound that starts late, no delay from the encoder; the first
    `seconds` only, where they are given."""
    sound = _sound_input(fd, plan, seconds)
    # first_pts: begin at time 0 with silence; async: fill the holes of a call that dropped out, so nothing moves.
    sound = sound.filter("aresample", SAMPLE_RATE, first_pts=0, **{"async": 1})
    sound = sound.filter("aformat", channel_layouts="stereo")
    if correction.side is not None:
        # By way of mono: channelmap can also name one input twice, but then both outputs share memory, and filters that
        # work in place change it twice (20 dB became 40).
        sound = sound.filter("channelmap", map=str(correction.side), channel_layout="mono")
        sound = sound.filter("aformat", channel_layouts="stereo")
    if correction.gain_db:
        sound = sound.filter("volume", f"{correction.gain_db:.2f}dB")
        # level: it must limit only, not raise what it limited; latency: take back the delay of looking ahead.
        sound = sound.filter("alimiter", limit=0.84, attack=5, release=50, level=0, latency=1)
    # The encoder puts this much silence first. Taking as much from the start sets every sound on its second also in
    # players that ignore edit lists.
    sound = sound.filter("atrim", start_sample=AAC_PRIMING).filter("asetpts", "PTS-STARTPTS")
    output = sound.output(
        name,
        format="mp4",
        acodec="aac",
        audio_bitrate="128k",
        movflags=_FRAGMENTS,
        frag_duration=AUDIO_FRAGMENT_SECONDS * 1_000_000,
        **_CLEAN,
    )
    return _compile(output, program=_program(threads=1, progress=True))


def _sound_input(fd: int, plan: Plan, seconds: float | None) -> Any:
    if plan.sound is None:
        raise ValueError("the plan has no sound")
    options = {} if seconds is None else {"t": f"{seconds:.3f}"}
    return _input(fd, plan.demuxer, threads=1, **options)[str(plan.sound.index)]


def waves(fd: int, name: str) -> list[str]:
    """A picture of the sound, as JPEG: what stands for a recording that has no picture."""
    sound = _input(fd, "mov", threads=1).audio.filter("aformat", channel_layouts="mono")
    # NHS blue on the page's grey; a square root, so that quiet speech shows too
    sound = sound.filter("showwavespic", s="1280x720", colors="0x005eb8", scale="sqrt")
    ground = ffmpeg.input("color=c=0xf0f4f5:s=1280x720", f="lavfi")
    picture = ffmpeg.overlay(ground.video, sound, format="auto")
    return _compile(_jpeg(picture, name, quality=4), program=_program(threads=1))


def pcm(fd: int, name: str) -> list[str]:
    """Mono sound at 16 kHz as WAV, made from the audio rendition, so its times are the times that are played."""
    sound = _input(fd, "mov", threads=1).audio
    output = sound.output(name, format="wav", acodec="pcm_s16le", ac=1, ar=WHISPER_RATE, **_CLEAN)
    return _compile(output, program=_program(threads=1))


def peaks(fd: int, name: str) -> list[str]:
    """Few samples of eight bits, mono, made from the audio rendition, from which the shape of the sound is drawn."""
    sound = _input(fd, "mov", threads=1).audio
    output = sound.output(name, format="s8", acodec="pcm_s8", ac=1, ar=SHAPE_RATE, **_CLEAN)
    return _compile(output, program=_program(threads=1))


def measure_keyframes(fd: int, every_seconds: float) -> list[str]:
    """Light and sharpness of a rendition's keyframes, at most one in so many seconds, written to standard output."""
    picture = _keyframes(fd)
    picture = picture.filter("select", f"isnan(prev_selected_t)+gte(t-prev_selected_t,{every_seconds:.3f})")
    picture = picture.filter("signalstats").filter("blurdetect").filter("metadata", mode="print", file="-")
    return _compile(picture.output("-", format="null"), program=_program(threads=1))


def stills(fds: Sequence[int], wanted: Sequence[tuple[float, str, int | None]]) -> list[str]:
    """The keyframe at or before each second of a rendition, as JPEG: (second, name of the file, greatest width or None).
    Each needs a descriptor of its own."""
    outputs = []
    for fd, (second, name, width) in zip(fds, wanted, strict=True):
        # A little later, so that rounding does not lead to the keyframe before; and none is thrown away for being early.
        picture = _keyframes(fd, ss=f"{second + 0.01:.6f}", noaccurate_seek=None)
        if width is not None:
            picture = picture.filter("scale", f"min({width},iw)", -2)
        outputs.append(_jpeg(picture, name, quality=3 if width is None else 5))
    return _compile(*outputs, program=_program(threads=1))


def still_at(fd: int, second: float, name: str) -> list[str]:
    """The frame that stands at a second of a rendition, as JPEG."""
    picture = _input(fd, "mov", threads=1, ss=f"{second:.6f}").video
    return _compile(_jpeg(picture, name, quality=3), program=_program(threads=1))


def storyboard(fd: int, board: Storyboard, name: str) -> list[str]:
    """The sprite of `board`, from the keyframes of the lowest rendition."""
    # round=up: a tile shows the last keyframe at or before its time, never one to come.
    picture = _keyframes(fd).filter("fps", fps=str(1 / board.interval_seconds), start_time=0, round="up")
    picture = picture.filter("tpad", stop=-1, stop_mode="clone")
    picture = picture.filter("scale", board.tile_width, board.tile_height)
    picture = picture.filter("tile", f"{board.columns}x{board.rows}", nb_frames=board.tiles)
    return _compile(_jpeg(picture, name, quality=5), program=_program(threads=1))


def _keyframes(fd: int, **options: Any) -> Any:
    # skip_frame: the decoder throws away all but keyframes, which costs next to nothing.
    return _input(fd, "mov", threads=1, skip_frame="nokey", **options).video


def _jpeg(picture: Any, name: str, *, quality: int) -> Any:
    # strict -1: JPEG in television range is outside the letter of the standard; format: full range, as browsers expect.
    picture = picture.filter("format", pix_fmts="yuvj420p")
    return picture.output(name, format="image2", vcodec="mjpeg", update=1, **{"frames:v": 1, "q:v": quality}, **_CLEAN)


def mux_mp4(video_fd: int | None, audio_fd: int | None, name: str) -> list[str]:
    """One ordinary MP4 by stream copy, its index first so that it plays while it loads."""
    streams = [] if video_fd is None else [_input(video_fd, "mov", threads=1).video]
    if audio_fd is not None:
        streams.append(_input(audio_fd, "mov", threads=1).audio)
    output = ffmpeg.output(*streams, name, format="mp4", c="copy", movflags="+faststart", **_CLEAN)
    return _compile(output, program=_program(threads=1))


def _seconds(value: Fraction) -> str:
    """Seconds with the microseconds that ffmpeg keeps."""
    return f"{float(value):.6f}"
