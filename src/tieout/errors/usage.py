"""The calling code is wrong; a retry cannot help."""

from __future__ import annotations

from tieout.errors.root import TieoutError


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


class PayloadUnreadable(UsageError):
    """What is stored was written by a codec that this App was not given, or with a key that it does not have."""

    code = "payload-unreadable"


class Unrepeatable(UsageError):
    """An HTTP answer is too long to be kept, so that it could not be given again: all was rolled back."""

    code = "unrepeatable"
