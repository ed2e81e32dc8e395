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
    │   ├── PayloadUnreadable           what is stored was written by a codec that this App does not have
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
    │   ├── UnknownBreak                no break has this id
    │   ├── UnknownRule                 this App has no rule of this name
    │   ├── UnknownRun                  no comparison has this id
    │   ├── UnknownMessage              no letter has this number
    │   ├── UnknownToken                no token has this id
    │   ├── UnknownSession              no session has this id, or it was ended
    │   ├── UnknownJob                  no bulk command has this id
    │   ├── UnknownPage                 there is nothing at this address, or not for this method
    │   ├── NewerVersion                the row was written by newer code: retry later, on a newer node
    │   ├── NotAllowed                  the command does not apply to the state that this is in
    │   ├── StaleState                  the row has been moved by somebody else
    │   ├── ApprovalNeeded              recorded; a second person has to ask for the same
    │   ├── InvalidRequest              a header, parameter or media type is not as it has to be
    │   ├── NotAuthenticated            nobody knows who asks: no token, a wrong one, or an unsigned callback
    │   ├── LoginFailed                 a person's log-in came to nothing
    │   ├── Forbidden                   who asks may not do this
    │   ├── TooLarge                    a request's body is over the limit
    │   ├── RateLimited                 one caller asks too often: retry after `retry_after` seconds
    │   ├── LengthRequired              a request does not say how long its body is, and its server cannot tell
    │   └── Overloaded                  a limit is reached: retry later
    ├── SourceUnreadable              a side of a comparison cannot be read: nothing was compared
    ├── EngineFailed                  Spark, in which sides are compared, cannot be reached or has failed
    ├── FeedGap                       changes have been missed, or cannot be told whole: compare offline
    ├── NotSent                       raised by a call step: the request has certainly not left
    ├── ProviderUnavailable           the OpenID provider does not answer, or not usably
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

from tieout.errors.database import (
    CommitUnknown,
    ConstraintViolation,
    DatabaseError,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    RetryTransaction,
    SchemaMismatch,
    StaleEpoch,
    StatementError,
    UniqueViolation,
)
from tieout.errors.elsewhere import (
    EngineFailed,
    FeedGap,
    NotSent,
    ProviderUnavailable,
    SourceUnreadable,
)
from tieout.errors.requests import (
    AlreadyStarted,
    ApprovalNeeded,
    Forbidden,
    InvalidJson,
    InvalidKey,
    InvalidParams,
    InvalidRequest,
    KeyInFlight,
    KeyRetired,
    LengthRequired,
    LoginFailed,
    NewerVersion,
    NotAllowed,
    NotAuthenticated,
    Overloaded,
    ParamsChanged,
    RateLimited,
    Refused,
    RequestError,
    StaleState,
    TooLarge,
    UnknownAlarm,
    UnknownBreak,
    UnknownCall,
    UnknownItem,
    UnknownJob,
    UnknownMessage,
    UnknownPage,
    UnknownProcess,
    UnknownRule,
    UnknownRun,
    UnknownSession,
    UnknownToken,
)
from tieout.errors.root import (
    TieoutError,
)
from tieout.errors.usage import (
    AppClosed,
    AppForked,
    AwaitInTransaction,
    ConfigError,
    DefinitionError,
    PayloadUnreadable,
    ReturnedWrongStep,
    Unrepeatable,
    UsageError,
)

__all__ = [
    "AlreadyStarted",
    "AppClosed",
    "AppForked",
    "ApprovalNeeded",
    "AwaitInTransaction",
    "CommitUnknown",
    "ConfigError",
    "ConstraintViolation",
    "DatabaseError",
    "DatabaseFull",
    "DatabaseReadOnly",
    "DatabaseUnavailable",
    "DefinitionError",
    "EngineFailed",
    "FeedGap",
    "Forbidden",
    "InvalidJson",
    "InvalidKey",
    "InvalidParams",
    "InvalidRequest",
    "KeyInFlight",
    "KeyRetired",
    "LengthRequired",
    "LoginFailed",
    "NewerVersion",
    "NotAllowed",
    "NotAuthenticated",
    "NotSent",
    "Overloaded",
    "ParamsChanged",
    "PayloadUnreadable",
    "ProviderUnavailable",
    "RateLimited",
    "Refused",
    "RequestError",
    "RetryTransaction",
    "ReturnedWrongStep",
    "SchemaMismatch",
    "SourceUnreadable",
    "StaleEpoch",
    "StaleState",
    "StatementError",
    "TieoutError",
    "TooLarge",
    "UniqueViolation",
    "UnknownAlarm",
    "UnknownBreak",
    "UnknownCall",
    "UnknownItem",
    "UnknownJob",
    "UnknownMessage",
    "UnknownPage",
    "UnknownProcess",
    "UnknownRule",
    "UnknownRun",
    "UnknownSession",
    "UnknownToken",
    "Unrepeatable",
    "UsageError",
]
