"""Every error that tieout raises, with the stable code that callers may switch on.

A code never changes its meaning; the message is for people, and may change.

    TieoutError
    ├── UsageError                    the calling code is wrong; a retry cannot help
    │   ├── DefinitionError             a process type, mirror or rule cannot work as it is written
    │   ├── ConfigError                 a URL, setting or command-line value is wrong
    │   ├── AwaitInTransaction          a transaction step awaited something else than its tx
    │   ├── AppClosed                   the App is not open
    │   ├── AppForked                   the App was opened before a fork
    │   ├── ReturnedWrongStep           a step moved to a state that its `to=` does not name
    │   └── Unrepeatable                an HTTP answer is too long to be kept, so that it could not be given again
    ├── RequestError                  this request is refused and nothing has changed
    │   ├── InvalidKey                  a request key or owner is empty, too long or not UTF-8
    │   ├── InvalidParams               params or args do not fit their types, or JSON cannot hold them
    │   ├── InvalidJson                 text is not the strict JSON that tieout reads
    │   ├── Refused                     raised by a start step: the business says no
    │   ├── ParamsChanged               this key was used before, with other params
    │   ├── KeyRetired                  this key was used before, so long ago that only a tombstone is left
    │   ├── AlreadyStarted              raised by a joined start: this request was started before; roll back
    │   ├── KeyInFlight                 a request with this key is at work: retry later, with the same key
    │   ├── UnknownProcess              no process has this id
    │   ├── UnknownItem                 no supplier of this mirror has this item
    │   ├── UnknownAlarm                no alarm has this id
    │   ├── UnknownCall                 no call has this key (yet): retry later
    │   ├── UnknownMessage              no letter has this number
    │   ├── UnknownToken                no token has this id
    │   ├── UnknownJob                  no bulk command has this id
    │   ├── UnknownPage                 there is nothing at this address, or not for this method
    │   ├── NewerVersion                the row was written by newer code: retry later, on a newer node
    │   ├── NotAllowed                  the command does not apply to the state that this is in
    │   ├── StaleState                  the row has been moved by somebody else
    │   ├── ApprovalNeeded              recorded; a second person has to ask for the same
    │   ├── InvalidRequest              a header, parameter or media type is not as it has to be
    │   ├── NotAuthenticated            nobody knows who asks: no token, a wrong one, or an unsigned callback
    │   ├── Forbidden                   who asks may not do this
    │   ├── TooLarge                    a request's body is over the limit
    │   ├── RateLimited                 one caller asks too often: retry after `retry_after` seconds
    │   ├── LengthRequired              a request does not say how long its body is, and its server cannot tell
    │   └── Overloaded                  a limit is reached: retry later
    ├── SourceUnreadable              a side of a comparison cannot be read: nothing was compared
    ├── FeedGap                       changes have been missed, or cannot be told whole: compare offline
    ├── NotSent                       raised by a call step: the request has certainly not left
    └── DatabaseError                 has `outcome` (failed | unknown) and `retryable`
        ├── RetryTransaction            deadlock or serialisation failure: run the transaction again
        ├── DatabaseUnavailable         no connection: nothing was done
        ├── DatabaseReadOnly            the server accepts no writes: reconnect, perhaps elsewhere
        ├── DatabaseFull                no space: nothing was done
        ├── StaleEpoch                  the server is older than one already seen: an abandoned primary
        ├── CommitUnknown               the answer to COMMIT was lost: repeat with the same key
        ├── UniqueViolation             a row with this key exists
        ├── ConstraintViolation         another constraint refused the row
        ├── StatementError              the statement itself is wrong
        └── SchemaMismatch              the tables are not those of this version: `tieout migrate`
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal


class TieoutError(Exception):
    """The root of the tree above."""

    code: ClassVar[str] = "error"


class UsageError(TieoutError):
    """The calling code is wrong; a retry cannot help."""

    code = "usage"


class DefinitionError(UsageError):
    """A process type cannot work as it is written; raised when it is defined or registered."""

    code = "definition"


class ConfigError(UsageError):
    """A URL, setting or command-line value is wrong."""

    code = "config"


class AwaitInTransaction(UsageError):
    """A transaction step awaited something else than its tx, while a write lock is held."""

    code = "await-in-transaction"


class AppClosed(UsageError):
    """The App is not open: use it inside `async with app:`."""

    code = "app-closed"


class AppForked(UsageError):
    """The App was opened before a fork: open it in the child."""

    code = "app-forked"


class ReturnedWrongStep(UsageError):
    """A step moved to a state that its `to=` does not name."""

    code = "wrong-step"


class Unrepeatable(UsageError):
    """An HTTP answer is too long to be kept, so that it could not be given again: all was rolled back."""

    code = "unrepeatable"


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


class UnknownMessage(RequestError):
    """No letter has this number: no message that is kept because its effect failed."""

    code = "unknown-message"


class UnknownToken(RequestError):
    """No token has this id."""

    code = "unknown-token"


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


class SourceUnreadable(TieoutError):
    """A side of a comparison cannot be read: a file that is missing or garbled. Nothing was compared."""

    code = "source-unreadable"


class FeedGap(TieoutError):
    """Changes that a feed should tell have been missed, or cannot be told whole; only an offline compare finds them."""

    code = "feed-gap"


class NotSent(TieoutError):
    """Raised by a call step: the request has certainly not left, so it may be sent again at once."""

    code = "not-sent"


class DatabaseError(TieoutError):
    """A database said no (failed: nothing was done) or nothing (unknown). `sqlstate` is its code, if it has one."""

    code = "database"
    outcome: ClassVar[Literal["failed", "unknown"]] = "failed"
    retryable: ClassVar[bool] = False  # whether the same transaction, run again, can succeed

    def __init__(self, message: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class RetryTransaction(DatabaseError):
    """Deadlock or serialisation failure: everything was rolled back; run the transaction again."""

    code = "retry-transaction"
    retryable = True


class DatabaseUnavailable(DatabaseError):
    """No connection could be had, or it broke before COMMIT: nothing was done."""

    code = "database-unavailable"
    retryable = True


class DatabaseReadOnly(DatabaseError):
    """The server accepts no writes, perhaps since it became a standby: reconnect."""

    code = "database-read-only"
    retryable = True


class DatabaseFull(DatabaseError):
    """The database has no space: nothing was done."""

    code = "database-full"
    retryable = True


class StaleEpoch(DatabaseError):
    """The server's epoch is older than one already seen: an abandoned primary that must not be used."""

    code = "stale-epoch"
    retryable = True


class CommitUnknown(DatabaseError):
    """The answer to COMMIT was lost: it may have happened. Repeat the same work with the same key."""

    code = "commit-unknown"
    outcome = "unknown"
    retryable = True


class UniqueViolation(DatabaseError):
    """A row with this key exists."""

    code = "unique-violation"


class ConstraintViolation(DatabaseError):
    """A check, foreign key or not-null constraint refused the row."""

    code = "constraint-violation"


class StatementError(DatabaseError):
    """The statement itself is wrong: its text, its parameters or their types."""

    code = "statement"


class SchemaMismatch(DatabaseError):
    """The tables are missing or not those of this version: run `tieout migrate`."""

    code = "schema-mismatch"
