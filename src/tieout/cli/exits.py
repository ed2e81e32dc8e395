"""Exit statuses: what each means, and which one an error ends with."""

from __future__ import annotations

from tieout.errors import ApprovalNeeded, DatabaseError, RequestError, TieoutError

OK = 0
"""It was done, or the answer is yes."""

NO = 1
"""The answer is no: problems were found, a second person is needed, or both sides do not agree."""

USAGE = 2
"""The command, a setting, the App's code or the set-up is wrong: nothing was done."""

REFUSED = 3
"""The request was understood and refused by a rule: nothing was changed."""

DATABASE = 4
"""The database said no, or said nothing."""

BUG = 70
"""Something raised what nobody expected; the traceback is on standard error."""

SIGNALLED = 128
"""Plus the signal's number: 130 after Ctrl-C, 141 when the reader of the output went away, 143 after SIGTERM."""


def status_of(error: TieoutError) -> int:
    """The exit status of a command that ends with this error."""
    match error:
        case ApprovalNeeded():
            return NO
        case RequestError():
            return REFUSED
        case DatabaseError():
            return DATABASE
        case _:
            return USAGE
