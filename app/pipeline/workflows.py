"""The workflows, as data. Code is bound to the stages' names in `workers.registry`.

Facts that the plan of INGEST states: `source` (SHA-256 of the upload), `plan` and `sound` (SHA-256 of how the picture and
the sound are to be made), `captions` (engine, model and language), `audio`, `long_audio`, `heard_only`, `copy`,
`encode`, `others`, `grows` (true or false; the last one says that chunks can be watched before they are joined), `chunks` (a
count). The picture does not read `sound`: another choice of sound encodes no picture again.
"""

from __future__ import annotations

from app.pipeline.spec import URGENT, Stage, Workflow

_HOUR = 3600

INGEST = Workflow(
    "ingest",
    planner="probe",
    stages=(
        Stage(name="probe", label="Checking the file", retries=2, timeout_seconds=_HOUR, weight=2),
        # of a long recording, some minutes of sound are there at once, so that nobody waits for the whole of it
        Stage(
            name="first_sound", label="Preparing the first minutes of the sound", needs=("probe",), queue="encode",
            optional=True, when="long_audio", reads=("source", "sound"), weight=0.2, priority=URGENT - 1,
        ),
        Stage(
            name="audio", label="Preparing the sound", needs=("probe", "first_sound"), makes=("audio",), queue="encode",
            timeout_seconds=2 * _HOUR, when="audio", reads=("source", "sound"), weight=3, priority=1,
        ),
        # the copied top rung needs no encoding, so a recording that allows it can be watched within seconds
        Stage(
            name="copy", label="Keeping the original picture", needs=("probe",), makes=("rendition",),
            timeout_seconds=2 * _HOUR, when="copy", reads=("source", "plan"), weight=2,
        ),
        Stage(
            name="transcode", label="Converting the picture", needs=("probe",), queue="encode",
            timeout_seconds=2 * _HOUR, per_chunk=True, when="encode", reads=("source", "plan"), weight=70,
            urgent_chunks=3,
        ),
        # the small rung first: it is what makes the recording watchable
        Stage(
            name="join", label="Putting the picture together", needs=("transcode",), makes=("rendition",),
            timeout_seconds=_HOUR, when="encode", reads=("source", "plan"), weight=1,
        ),
        Stage(
            name="join_others", label="Adding the sharper pictures", needs=("transcode", "join"), makes=("rendition",),
            timeout_seconds=2 * _HOUR, when="others", reads=("source", "plan"), weight=2,
        ),
        Stage(
            name="stills", label="Making the preview pictures", needs=("copy", "join", "join_others"), makes=("storyboard",),
            timeout_seconds=_HOUR, optional=True, reads=("source", "plan"), weight=2,
        ),
        Stage(
            name="waves", label="Drawing the sound", needs=("audio",), makes=("poster",),
            timeout_seconds=_HOUR, optional=True, when="heard_only", reads=("source", "sound"), weight=1,
        ),
        Stage(
            name="transcribe", label="Making the captions", needs=("audio",), makes=("words",), queue="transcribe",
            timeout_seconds=12 * _HOUR, version=2, optional=True, when="audio",
            reads=("source", "sound", "captions"), weight=20,
        ),
        Stage(
            name="download", label="Making the file for download", needs=("audio", "copy", "join"),
            makes=("download",), timeout_seconds=_HOUR, reads=("source", "plan"), weight=1,
        ),
        Stage(
            name="poster", label="Choosing the poster", needs=("copy", "join", "join_others"), makes=("poster",),
            timeout_seconds=_HOUR, optional=True, reads=("source", "plan"), weight=1,
        ),
        Stage(
            name="peaks", label="Measuring the sound", needs=("audio",), makes=("peaks",),
            timeout_seconds=_HOUR, optional=True, when="audio", reads=("source", "sound"), weight=1,
        ),
        Stage(
            name="finish", label="Tidying up",
            needs=("join_others", "stills", "waves", "transcribe", "download", "poster", "peaks"),
            retries=20, weight=0.5,
        ),
    ),
)  # fmt: skip

#: Makes the captions again from the sound that is kept: after a glossary, a language or a model has changed, or for a
#: recording that waited for a model. Nobody waits at a screen for it, so everything else goes first.
RECAPTION = Workflow(
    "recaption",
    priority=-10,
    stages=(
        Stage(
            name="transcribe", label="Making the captions", makes=("words",), queue="transcribe",
            timeout_seconds=12 * _HOUR, optional=True, weight=20,
        ),
        Stage(name="finish", label="Tidying up", needs=("transcribe",), retries=20, weight=0.5),
    ),
)  # fmt: skip

#: Removes every object of a recording: what is left of a file that was rejected.
ERASE = Workflow("erase", stages=(Stage(name="erase", label="Removing the file", retries=20),))

#: Makes the still that a person chose.
POSTER = Workflow(
    "poster",
    stages=(Stage(name="choose", label="Making the poster", makes=("poster",), timeout_seconds=600),),
)

#: The pictures a second time, in AV1. Facts are those of INGEST.
AV1 = Workflow(
    "av1",
    planner="plan",
    stages=(
        Stage(name="plan", label="Planning the smaller files", weight=1),
        Stage(
            name="transcode", label="Converting the picture to AV1", needs=("plan",), queue="encode",
            timeout_seconds=6 * _HOUR, per_chunk=True, reads=("source", "plan"), weight=90,
        ),
        Stage(
            name="join", label="Putting the smaller files together", needs=("transcode",), makes=("rendition",),
            timeout_seconds=2 * _HOUR, reads=("source", "plan"), weight=3,
        ),
        Stage(name="finish", label="Tidying up", needs=("join",), retries=20, weight=1),
    ),
)  # fmt: skip

#: Workflows that do not read the uploaded file.
WITHOUT_SOURCE = frozenset({ERASE.name, POSTER.name})

WORKFLOWS: dict[str, Workflow] = {workflow.name: workflow for workflow in (INGEST, RECAPTION, ERASE, POSTER, AV1)}
