"""The same rungs a second time in AV1, which says as much in fewer bytes. Data in, data out.

Encoding takes several times as long as H.264, so it comes later and behind everything else; players that cannot decode it
find the H.264 rungs in the same playlist.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from app.media.ladder import Plan, Rung, chunks

#: Part of every fingerprint, like `ladder.VERSION`.
VERSION = "av1-1"
SUFFIX = "-av1"
PRESET = 8  # of SVT-AV1; measured by bench/av1.py

_CRF_STEP = 13  # over the rung's x264 factor: the same VMAF within noise, see docs/decisions/0013
_RATE = Fraction(7, 10)  # of the rung's cap


def plan(source: Plan, *, chunk_seconds: float) -> Plan:
    """How the rungs of a plan are made in AV1, the copied one too. Keyframes lie on the same grid."""
    parts = source.chunks or chunks(
        source.total_frames, source.gop, source.fps, chunk_seconds if source.seekable_exactly else None
    )
    rungs = tuple(_rung(rung) for rung in source.rungs)
    return replace(source, version=f"{source.version}+{VERSION}", rungs=rungs, chunks=parts, sounds=())


def one(source: Plan, rung: Rung) -> Plan:
    """The part of a plan that makes one rung: encoders of several at once take more memory than they save work."""
    return replace(source, rungs=(rung,))


def _rung(rung: Rung) -> Rung:
    return replace(
        rung, name=f"{rung.name}{SUFFIX}", crf=rung.crf + _CRF_STEP, maxrate=int(rung.maxrate * _RATE), copied=False
    )
