"""What attempts at hearing a recording have heard so far: a worker that is lost loses the window it was at, and no more."""

from __future__ import annotations

import json
import logging

from app import logs
from app.captions.engines import Window
from app.errors import NotFound, Unavailable
from app.storage import keys
from workers.context import StageContext

log = logging.getLogger(__name__)


class HeardSoFar:
    """Windows kept in storage under the run, until it ends. `how` tells how they were heard: see `keys.heard`."""

    def __init__(self, context: StageContext, how: str) -> None:
        self._context = context
        self._how = how

    def load(self) -> list[Window]:
        """The windows from the start of the sound, one after the other without a gap; the newest attempt's where two
        have heard the same.

        Raises:
            Unavailable: storage does not answer.
        """
        context = self._context
        prefix = f"{keys.heard_prefix(context.recording_id, context.run_id)}{self._how}/"
        by_start: dict[int, tuple[int, str]] = {}
        for key, _ in context.core.storage.objects(prefix):
            first, _, attempt = key.removeprefix(prefix).removesuffix(".json").partition("-")
            by_start[int(first)] = max(by_start.get(int(first), (0, "")), (int(attempt), key))
        found: list[Window] = []
        while (next_ := by_start.get(found[-1].last if found else 0)) is not None:
            try:
                window = Window.from_json(json.loads(context.core.storage.get_bytes(next_[1])))
            except (NotFound, ValueError, TypeError):
                break  # gone or torn: it is heard again from here
            if window.last <= window.first:
                break
            found.append(window)
        return found

    def keep(self, window: Window) -> None:
        """Store a window. Where storage is away the hearing goes on: what is lost is only the safety."""
        context = self._context
        key = keys.heard(context.recording_id, context.run_id, self._how, window.first, context.attempt)
        try:
            context.core.storage.put_bytes(key, json.dumps(window.to_json()).encode(), "application/json")
        except Unavailable:
            logs.event(log, "a heard window could not be kept", logging.WARNING)
