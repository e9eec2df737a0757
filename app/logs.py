"""Structured logs: one JSON object a line, with the ids of what is going on and never what people wrote.

Only the fields named in `ALLOWED` get out, so that an address with a signature or a sentence that somebody typed cannot
slip into a log by an innocent-looking keyword.
"""

from __future__ import annotations

import contextvars
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app import clock

ALLOWED = frozenset(
    {
        "request_id", "person_id", "recording_id", "case_id", "material_id", "run_id", "stage", "chunk", "attempt",
        "upload_id", "worker", "queue", "job_id", "method", "route", "status", "milliseconds", "bytes", "seconds",
        "cpu_seconds", "count", "code", "artefact", "action", "process", "engine", "model", "exit_status", "signal",
    }
)  # fmt: skip

_bound: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("bound")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON: time, level, process, logger, event, then the allowed fields; a traceback's frames only."""
        line: dict[str, Any] = {
            "at": clock.now().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self.process,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(_bound.get({}))
        extra = getattr(record, "fields", None)
        if isinstance(extra, dict):
            line.update({k: v for k, v in extra.items() if k in ALLOWED})
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["frames"] = _frames(record.exc_info[2])
        return json.dumps(line, default=str, ensure_ascii=False)


def _frames(traceback: Any) -> list[str]:
    """Where an error came from, without its message: messages can quote what people typed."""
    frames: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}:{code.co_name}")
        traceback = traceback.tb_next
    return frames[-12:]


def configure(level: str, process: str) -> None:
    """Send all logs of this process to standard output as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("botocore", "boto3", "urllib3", "s3transfer", "procrastinate", "alembic", "faster_whisper"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    """Add fields to every line logged inside the block.

    Raises:
        ValueError: a field that is not allowed in logs.
    """
    unknown = fields.keys() - ALLOWED
    if unknown:
        raise ValueError(f"not allowed in logs: {', '.join(sorted(unknown))}")
    token = _bound.set({**_bound.get({}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def event(logger: logging.Logger, name: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event with fields; fields that are not allowed are an error of the caller."""
    unknown = fields.keys() - ALLOWED
    if unknown:
        raise ValueError(f"not allowed in logs: {', '.join(sorted(unknown))}")
    logger.log(level, name, extra={"fields": fields})
