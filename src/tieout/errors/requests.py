"""This request is refused, and nothing has changed."""

from __future__ import annotations

from typing import Any

from tieout.errors.root import TieoutError


class RequestError(TieoutError):
    """This request is refused and nothing has changed."""

    code = "request"


class InvalidKey(RequestError):
    """A request key or owner is empty, too long, or not UTF-8."""

    code = "invalid-key"


class InvalidParams(RequestError):
    """Params or args do not fit their types, or JSON cannot hold them."""

    code = "invalid-params"


class InvalidJson(RequestError):
    """Text is not the strict JSON that tieout reads: no NaN, no duplicate keys, bounded depth."""

    code = "invalid-json"


class Refused(RequestError):
    """Raised by a start step: the business says no. The transaction is rolled back and nothing is stored."""

    code = "refused"

    def __init__(self, reason: str = "refused") -> None:
        super().__init__(reason)
        self.reason = reason


class ParamsChanged(RequestError):
    """This key was used before with other params. `fields` names those that differ, where they are known."""

    code = "params-changed"

    def __init__(self, process_id: str, fields: tuple[str, ...]) -> None:
        super().__init__(f"{process_id} was started with other values of: {', '.join(fields) or 'what it asks'}")
        self.process_id, self.fields = process_id, fields


class KeyRetired(RequestError):
    """This key was used before, so long ago that only a tombstone is left."""

    code = "key-retired"


class AlreadyStarted(RequestError):
    """Raised by a start that joins a transaction: the same request was started before, as `process`. Roll back."""

    code = "already-started"

    def __init__(self, process: Any) -> None:
        super().__init__(f"process {process.id} was started before by the same request: roll back, and go on from it")
        self.process = process


class KeyInFlight(RequestError):
    """A request with this key is at work: retry later, with the same key."""

    code = "in-flight"


class UnknownProcess(RequestError):
    """No process has this id."""

    code = "unknown-process"


class UnknownItem(RequestError):
    """No supplier of this mirror has this item, or the mirror has no such supplier."""

    code = "unknown-item"


class UnknownAlarm(RequestError):
    """No alarm has this id."""

    code = "unknown-alarm"


class UnknownCall(RequestError):
    """No call has this key, or not yet: retry later."""

    code = "unknown-call"


class UnknownBreak(RequestError):
    """No break has this id."""

    code = "unknown-break"


class UnknownRule(RequestError):
    """This App has no rule of this name."""

    code = "unknown-rule"


class UnknownRun(RequestError):
    """No comparison has this id."""

    code = "unknown-run"


class UnknownMessage(RequestError):
    """No letter has this number: no message that is kept because its effect failed."""

    code = "unknown-message"


class UnknownToken(RequestError):
    """No token has this id."""

    code = "unknown-token"


class UnknownSession(RequestError):
    """No session has this id, or it was ended before."""

    code = "unknown-session"


class UnknownJob(RequestError):
    """No bulk command has this id."""

    code = "unknown-job"


class UnknownPage(RequestError):
    """There is nothing at this address, or not for this method."""

    code = "unknown-page"


class NewerVersion(RequestError):
    """The row was written by newer code than this: retry later, on a newer node."""

    code = "newer-version"


class NotAllowed(RequestError):
    """The command does not apply to the state that this is in."""

    code = "not-allowed"


class StaleState(RequestError):
    """The row has been moved by somebody else. `state` is where it stands, None when there is no such row."""

    code = "stale-state"

    def __init__(self, message: str, state: str | None) -> None:
        super().__init__(message)
        self.state = state


class ApprovalNeeded(RequestError):
    """The wish is recorded; it takes effect when a second person asks for the same."""

    code = "approval-needed"


class InvalidRequest(RequestError):
    """A header, parameter or media type of an HTTP request is not as it has to be."""

    code = "invalid-request"


class NotAuthenticated(RequestError):
    """Nobody knows who asks: no token, one that does not count, or a callback that is not rightly signed."""

    code = "not-authenticated"


class LoginFailed(RequestError):
    """A person's log-in came to nothing: it was not begun here, or the provider says no, or proves nothing."""

    code = "login-failed"


class Forbidden(RequestError):
    """Who asks may not do this."""

    code = "forbidden"


class TooLarge(RequestError):
    """A request's body is over the limit."""

    code = "too-large"


class RateLimited(RequestError):
    """One caller asks too often: retry after `retry_after` seconds."""

    code = "rate-limited"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LengthRequired(RequestError):
    """A request does not say how long its body is, and its server cannot tell where it ends."""

    code = "length-required"


class Overloaded(RequestError):
    """A limit is reached: retry later."""

    code = "overloaded"
