"""The one place that says who may do what."""

from app.access.actions import EMBED_ACTIONS, SCOPES, Action
from app.access.actor import ANONYMOUS, SYSTEM, Actor, Coverage, load

__all__ = ["ANONYMOUS", "EMBED_ACTIONS", "SCOPES", "SYSTEM", "Action", "Actor", "Coverage", "load"]
