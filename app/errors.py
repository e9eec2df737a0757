"""Everything that can go wrong in the domain, without a word of HTTP.

Each error carries a sentence for the person who must act on it. `app.web.errors` holds the one table from these
classes to status codes; workers and the command line print the sentence.
"""


class VignetteError(Exception):
    """Base of all domain errors. `str(error)` is a sentence fit to show; `code` is stable for machines."""

    code = "error"

    def __init__(self, sentence: str = "Something went wrong.", *, code: str | None = None) -> None:
        super().__init__(sentence)
        if code is not None:
            self.code = code


class NotFound(VignetteError):
    """There is no such thing, or the actor may not know of it: the two are never told apart."""

    code = "not-found"

    def __init__(self) -> None:
        super().__init__("Page not found.")


class Forbidden(VignetteError):
    """The actor may see the thing but not do this to it."""

    code = "forbidden"


class ProofNeeded(Forbidden):
    """Only after a second factor, or a proof from the last few minutes, was shown in this session."""

    code = "second-factor"

    def __init__(self, sentence: str = "Show that it is you first: a second factor is needed for this.") -> None:
        super().__init__(sentence)


class NotSignedIn(VignetteError):
    """The actor is nobody yet."""

    code = "not-signed-in"

    def __init__(self, sentence: str = "Sign in to continue.") -> None:
        super().__init__(sentence)


class Invalid(VignetteError):
    """Bad input. `fields` maps a field's name to the sentence that belongs beside it."""

    code = "invalid"

    def __init__(self, sentence: str, *, fields: dict[str, str] | None = None, code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.fields = fields or {}


class Conflict(VignetteError):
    """Right in itself, but not in the state that the thing is in now."""

    code = "conflict"


class TooLarge(Invalid):
    """More bytes, seconds or items than the settings allow."""

    code = "too-large"


class TooManyRequests(VignetteError):
    """Slow down. `retry_after` is in whole seconds."""

    code = "too-many-requests"

    def __init__(self, sentence: str, *, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Unavailable(VignetteError):
    """A service that is needed does not answer; nothing was lost and the caller may try again."""

    code = "unavailable"


class RejectedMedia(VignetteError):
    """The uploaded file cannot become a recording. `code` names the rule that it broke."""

    code = "media-rejected"


class Misconfigured(VignetteError):
    """The settings cannot work together; the start stops with this sentence."""

    code = "misconfigured"
