"""The speech model that recordings wait for: a worker that hears looks for it, and sends them on their way."""

from __future__ import annotations

import logging
import time

from app import logs
from app.captions import models
from app.core import Core
from app.domain import hearing
from app.errors import Misconfigured, Unavailable

log = logging.getLogger(__name__)

#: How long after one try to fetch a model the next one comes, in seconds. Looking on this machine is cheap.
FETCH_EVERY_SECONDS = 600.0
#: Recordings sent on their way at once, so that a year's worth does not fill the queue in one transaction.
AT_ONCE = 20


class AwaitedModel:
    """One worker's look-out for the model that its settings name."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._tried = -FETCH_EVERY_SECONDS

    def look(self) -> int:
        """If recordings wait and the model is here, or can be fetched now, begin to make their captions.

        Returns:
            How many have begun.
        """
        if self._core.settings.caption_engine == "none":
            return 0
        with self._core.session() as session:
            if not hearing.any_waiting(session):
                return 0
        if not self._found():
            return 0
        with self._core.session() as session:
            begun = hearing.resume(session, AT_ONCE)
        for recording_id in begun:
            logs.event(log, "captions begun that waited for a model", recording_id=recording_id)
        return len(begun)

    def _found(self) -> bool:
        wanted, cache = self._core.settings.caption_model, models.default_cache()
        try:
            if models.locate(wanted, cache) is not None:
                return True
            if time.monotonic() - self._tried < FETCH_EVERY_SECONDS:
                return False
            self._tried = time.monotonic()
            models.fetch(wanted, cache, lambda sentence, fraction: None)
        except (Misconfigured, Unavailable) as error:
            logs.event(log, "the speech model is still missing", logging.WARNING, code=error.code)
            return False
        return True
