"""The workflows, as data. Code is bound to the stages' names in `workers.registry`.

Facts that the plan of INGEST states: `source` (SHA-256 of the upload), `plan` (SHA-256 of how it is to be encoded),
`captions` (engine, model and language), `audio`, `copy`, `encode`, `others` (true or false), `chunks` (a count).
"""

from __future__ import annotations

from app.pipeline.spec import Stage, Workflow

_HOUR = 3600

INGEST = Workflow(
    "ingest",
    planner="probe",
    stages=(
        Stage(name="probe", label="Checking the file", retries=2, timeout_seconds=_HOUR, weight=2),
        Stage(
            name="audio", label="Preparing the sound", needs=("probe",), makes=("audio",), queue="encode",
            timeout_seconds=2 * _HOUR, when="audio", reads=("source", "plan"), weight=3,
        ),
        # the copied top rung needs no encoding, so a recording that allows it can be watched within seconds
        Stage(
            name="copy", label="Keeping the original picture", needs=("probe",), makes=("rendition",),
            timeout_seconds=2 * _HOUR, when="copy", reads=("source", "plan"), weight=2,
        ),
        Stage(
            name="transcode", label="Converting the picture", needs=("probe",), queue="encode",
            timeout_seconds=2 * _HOUR, per_chunk=True, when="encode", reads=("source", "plan"), weight=70,
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
            name="stills", label="Making the preview pictures", needs=("copy", "join", "join_others"), makes=("poster", "storyboard"),
            timeout_seconds=_HOUR, optional=True, reads=("source", "plan"), weight=2,
        ),
        Stage(
            name="transcribe", label="Making the captions", needs=("audio",), makes=("words",), queue="transcribe",
            timeout_seconds=12 * _HOUR, version=2, optional=True, when="audio",
            reads=("source", "plan", "captions"), weight=20,
        ),
        Stage(
            name="download", label="Making the file for download", needs=("audio", "copy", "join"),
            makes=("download",), timeout_seconds=_HOUR, reads=("source", "plan"), weight=1,
        ),
        Stage(
            name="finish", label="Tidying up", needs=("join_others", "stills", "transcribe", "download"),
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

WORKFLOWS: dict[str, Workflow] = {workflow.name: workflow for workflow in (INGEST, RECAPTION, ERASE)}
