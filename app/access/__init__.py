"""The one place that says who may do what."""

from app.access.actions import EMBED_ACTIONS, SCOPES, VIEW_AS_ACTIONS, Action
from app.access.actor import ANONYMOUS, SYSTEM, Actor, Coverage, load

__all__ = [
    "ANONYMOUS",
    "EMBED_ACTIONS",
    "SCOPES",
    "SYSTEM",
    "VIEW_AS_ACTIONS",
    "Action",
    "Actor",
    "Coverage",
    "load",
]
