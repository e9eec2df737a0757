"""What of the captions whoever asks gets to see, for every page, file and search of this request."""

from __future__ import annotations

from app import clock
from app.domain import caption_showing
from app.domain.caption_showing import Shown
from app.web import guard


def shown() -> Shown:
    """The version of each track that the actor of this request sees."""
    return caption_showing.number(guard.actor(), clock.now(), everyone=unchecked_are_shown())


def unchecked_are_shown() -> bool:
    """Whether viewers also see captions that nobody has checked, as the settings say."""
    return guard.core().settings.captions_unreviewed == "show"
