"""The one place that binds code to the stages that `app.pipeline.workflows` declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from workers.context import Result, StageContext
from workers.stages import download, picture, probe, sound, stills, tidying, transcribe

StageCode = Callable[[StageContext], Result]
#: (workflow, stage) -> code.
Registry = Mapping[tuple[str, str], StageCode]

STAGES: Registry = {
    ("ingest", "probe"): probe.run,
    ("ingest", "audio"): sound.run,
    ("ingest", "copy"): picture.copy,
    ("ingest", "transcode"): picture.transcode,
    ("ingest", "join"): picture.join,
    ("ingest", "join_others"): picture.join_others,
    ("ingest", "stills"): stills.run,
    ("ingest", "transcribe"): transcribe.run,
    ("ingest", "download"): download.run,
    ("ingest", "finish"): tidying.finish,
    ("recaption", "transcribe"): transcribe.run,
    ("recaption", "finish"): tidying.finish,
    ("erase", "erase"): tidying.erase,
}
