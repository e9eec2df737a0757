"""The one place that binds code to the stages that `app.pipeline.workflows` declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from workers.context import Result, StageContext
from workers.stages import av1, download, peaks, picture, poster, probe, sound, stills, tidying, transcribe

StageCode = Callable[[StageContext], Result]
#: (workflow, stage) -> code.
Registry = Mapping[tuple[str, str], StageCode]

STAGES: Registry = {
    ("ingest", "probe"): probe.run,
    ("ingest", "first_sound"): sound.first,
    ("ingest", "audio"): sound.run,
    ("ingest", "copy"): picture.copy,
    ("ingest", "transcode"): picture.transcode,
    ("ingest", "join"): picture.join,
    ("ingest", "join_others"): picture.join_others,
    ("ingest", "stills"): stills.run,
    ("ingest", "waves"): stills.waves,
    ("ingest", "transcribe"): transcribe.run,
    ("ingest", "download"): download.run,
    ("ingest", "poster"): poster.run,
    ("ingest", "peaks"): peaks.run,
    ("ingest", "finish"): tidying.finish,
    ("av1", "plan"): av1.plan,
    ("av1", "transcode"): av1.transcode,
    ("av1", "join"): av1.join,
    ("av1", "finish"): tidying.after_captions,
    ("recaption", "transcribe"): transcribe.run,
    ("recaption", "finish"): tidying.after_captions,
    ("erase", "erase"): tidying.erase,
    ("poster", "choose"): poster.choose,
}
