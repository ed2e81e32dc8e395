"""What did not happen in another system: it was not reached, not read, or not followed."""

from __future__ import annotations

from tieout.errors.root import TieoutError


class SourceUnreadable(TieoutError):
    """A side of a comparison cannot be read: a file that is missing or garbled, or an API. Nothing was compared."""

    code = "source-unreadable"


class EngineFailed(TieoutError):
    """Spark, in which sides are compared, cannot be reached or has failed. Snapshots are kept for the next try."""

    code = "engine-failed"


class FeedGap(TieoutError):
    """Changes that a feed should tell have been missed, or cannot be told whole; only an offline compare finds them."""

    code = "feed-gap"


class NotSent(TieoutError):
    """Raised by a call step: the request has certainly not left, so it may be sent again at once."""

    code = "not-sent"


class ProviderUnavailable(TieoutError):
    """The OpenID provider cannot be reached, or answers what cannot be used. Tokens and sessions go on."""

    code = "provider-unavailable"
