"""What becomes of a message whose effect failed: decisions without effects."""

from __future__ import annotations

import msgspec

from tieout.errors import KeyInFlight, NewerVersion, Overloaded, RequestError, TieoutError, UnknownCall

TRIES = 10
"""How often the effect of a message is tried before it is dead: for about nine minutes."""

DEAD = -1
"""In place of a pause: nothing is tried any more, until a person says so."""

NOTE_LENGTH = 500
"""Longest reason that is kept, in characters."""

WHOLE_BYTES = 1 << 20
"""Longest message that is taken in, headers included."""

CUT_BYTES = 1 << 16
"""What is kept of the body of a longer one, for people: it is never tried."""

_MAY_PASS = (UnknownCall, KeyInFlight, NewerVersion, Overloaded)


class Fate(msgspec.Struct, frozen=True):
    """What becomes of a message whose effect failed: microseconds until the next try, or `DEAD`; and why it failed."""

    pause: int
    code: str
    note: str


def fate(error: Exception, attempts: int, pause: int) -> Fate:
    """The fate of a message whose effect has now failed with `error`, after it had failed `attempts` times before.

    `pause` is until the next try, if there is one. What can never be had is dead at once: a body that cannot be read,
    params that do not fit, a refusal.
    """
    code = error.code if isinstance(error, TieoutError) else type(error).__name__
    is_final = isinstance(error, RequestError) and not isinstance(error, _MAY_PASS)
    return Fate(DEAD if is_final or attempts + 1 >= TRIES else pause, code[:63], str(error) or type(error).__name__)
