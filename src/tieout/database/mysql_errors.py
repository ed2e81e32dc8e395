"""MySQL's, MariaDB's and their drivers' errors as tieout's: by number and by when they came, never by text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tieout.errors import (
    CommitUnknown,
    ConstraintViolation,
    DatabaseError,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    RetryTransaction,
    SchemaMismatch,
    StatementError,
    UniqueViolation,
)

_RETRY = {
    1020,  # the row has changed since this transaction's snapshot
    1205,  # waited too long for a lock: only the statement was rolled back, the rest is up to us
    1213,  # deadlock
    1412,  # the table's definition has changed
    1614,
    3572,
    4179,
}
_UNIQUE = {1062, 1169, 1586, 1761, 1762, 1859}
_CONSTRAINT = {1048, 1216, 1217, 1263, 1364, 1369, 1451, 1452, 1557, 3819, 4025}
_READ_ONLY = {1290, 1836, 3100}
_FULL = {1021, 1114, 1135, 3675}
_UNAVAILABLE = {
    *(1037, 1038, 1040, 1041, 1053, 1077, 1079, 1129, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1223, 1226, 1637),
    *(1317, 1927, 1969, 3024, 3169, 4031),  # interrupted, killed, or past a deadline of the server's
    *(1047, 3092, 3098, 3101),  # a cluster's node that is not ready
}
_STATEMENT = {
    *(1052, 1054, 1055, 1056, 1059, 1060, 1061, 1063, 1064, 1065, 1066, 1067, 1068, 1071, 1072, 1091, 1093, 1101, 1103),
    *(1109, 1110, 1111, 1115, 1116, 1120, 1136, 1139, 1142, 1143, 1144, 1146, 1149, 1210, 1221, 1222, 1227, 1231, 1232),
    *(1235, 1241, 1242, 1248, 1264, 1265, 1267, 1270, 1271, 1292, 1305, 1318, 1365, 1366, 1367, 1370, 1392, 1406, 1411),
    *(1426, 1439, 1441, 1442, 1444, 1568, 1582, 1630, 1644, 1674, 1690, 1792, 1901, 1903, 1907, 1967, 3140, 3141, 3143),
    *(3146, 3156, 4038, 4041, 4042, 1050, 1051, 1005, 1007, 1008, 1046, 1104, 1153, 1301, 1302),
}
_MISSING = {1051, 1054, 1091, 1146, 1305}
"""A table, column or function that does not exist."""

_WRITES_IN_READ = 1792

_ROLLED_BACK_AT_COMMIT = {1020, 1047, 1205, 1213, 1290, 1614, 1836, 3101}
"""What the server says at COMMIT when it has not committed, and is sure of it."""

_WRONG_ADDRESS = {1044, 1045, 1049, 1130, 1251, 1275, 1524, 1698, 2054, 2058, 2059, 2061, 3118, 3159, 4151}
"""Refused user, wrong password, unknown database: waiting does not help."""

_KINDS: Mapping[int, type[DatabaseError]] = {
    **dict.fromkeys(_STATEMENT, StatementError),
    **dict.fromkeys(_CONSTRAINT, ConstraintViolation),
    **dict.fromkeys(_UNIQUE, UniqueViolation),
    **dict.fromkeys(_RETRY, RetryTransaction),
    **dict.fromkeys(_READ_ONLY, DatabaseReadOnly),
    **dict.fromkeys(_FULL, DatabaseFull),
    **dict.fromkeys(_UNAVAILABLE, DatabaseUnavailable),
}


_STATEMENTS_OWN = {StatementError, ConstraintViolation, UniqueViolation}

STILL_RUNNING = "a statement of this transaction has no answer yet: await each one before the next, and before the end"
"""What is said to work that goes on without an answer that is on its way."""


def number_of(error: BaseException) -> int:
    """The server's number of an error, or the client library's (from 2000 to 2999); 0 when it has none."""
    first: Any = error.args[0] if error.args else None
    return first if isinstance(first, int) and not isinstance(error, OSError) else 0


def from_mysql(error: BaseException, doing: str, text: str = "") -> DatabaseError:
    """The error to raise for what the driver raised before COMMIT; `text` is the statement that it came from."""
    if isinstance(error, DatabaseError):
        return error
    number = number_of(error)
    if number == 0 or 2_000 <= number < 3_000:
        # The connection is gone, or nobody knows any more which answer belongs to which question.
        return DatabaseUnavailable(f"{doing}: {error or type(error).__name__}", str(number or ""))
    message = f"{doing}: {error.args[-1]}"
    if number in _MISSING and "tieout_" in text:
        return SchemaMismatch(f"{message}; run `tieout migrate`", str(number))
    if number == _WRITES_IN_READ:
        return StatementError(f"{doing} writes, inside a read", str(number))
    return _KINDS.get(number, DatabaseError)(message, str(number))


def from_commit(error: BaseException) -> DatabaseError:
    """The error to raise for what came instead of the answer to COMMIT: unknown, unless the server is explicit."""
    if was_rolled_back(error):
        return from_mysql(error, "commit")
    return CommitUnknown(f"no answer to COMMIT: {error or type(error).__name__}", str(number_of(error) or ""))


def was_rolled_back(error: BaseException) -> bool:
    """Whether the server says, at COMMIT, that it has not committed; its connection is then as good as before."""
    return number_of(error) in _ROLLED_BACK_AT_COMMIT


def is_of_statement(error: BaseException) -> bool:
    """Whether it is a statement that the server refused, and cannot be COMMIT."""
    return _KINDS.get(number_of(error)) in _STATEMENTS_OWN


def is_wrong_address(error: BaseException) -> bool:
    """Whether connecting failed in a way that only another URL, user or password can mend."""
    return isinstance(error, (ValueError, TypeError)) or number_of(error) in _WRONG_ADDRESS
