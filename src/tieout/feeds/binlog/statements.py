"""Statements that stand in a binlog themselves: whether rows of the feed's tables may have changed by them. Pure.

Where rows are logged, only changes of tables and rights are logged as statements. Whatever is not known to be harmless
is a gap.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from tieout.errors import FeedGap

HARMLESS = {"GRANT", "REVOKE", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "FLUSH", "INSTALL", "UNINSTALL", "SET"}
"""First words of statements that change no rows; but a `SET STATEMENT … FOR` runs another one."""

NAME = r"(?:`(?:[^`]|``)+`|[\w$]+)"
NAMES = re.compile(rf"(?:({NAME})\s*\.\s*)?({NAME})")
COMMENT = re.compile(r"/\*(?!M?!).*?\*/", re.DOTALL)
CONDITIONAL = re.compile(r"/\*M?!\d*|\*/")
SET_STATEMENT = re.compile(r"SET\s+STATEMENT\b", re.IGNORECASE)
REPLACED = re.compile(r"CREATE\s+OR\s+REPLACE\s+(?:TEMPORARY\s+)?TABLE\b", re.IGNORECASE)
DROPPED = re.compile(r"DROP\s+(?:TABLE|DATABASE|SCHEMA)\b", re.IGNORECASE)
ALTERED = re.compile(
    rf"ALTER\s+(?:ONLINE\s+)?(?:IGNORE\s+)?TABLE\s+(?:IF\s+EXISTS\s+)?(?:({NAME})\s*\.\s*)?({NAME})(.*)",
    re.IGNORECASE | re.DOTALL,
)
CASCADES = re.compile(r"\bON\s+(?:DELETE|UPDATE)\s+(?:CASCADE|SET)\b", re.IGNORECASE)
KEEPS_ROWS = re.compile(
    r"(?:ADD\b(?!\s+(?:SYSTEM|PERIOD))"
    r"|DROP\b(?!\s+(?:PARTITION|SYSTEM|PERIOD))"
    r"|ALTER\s+(?:INDEX|KEY)\b|ALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET|DROP)\s+DEFAULT|RENAME\s+(?:INDEX|KEY)\b"
    r"|(?:ENGINE|COMMENT|AUTO_INCREMENT|ALGORITHM|LOCK|ROW_FORMAT|STATS_\w+|FORCE|ENABLE|DISABLE|ORDER|WAIT|NOWAIT)\b)",
    re.IGNORECASE,
)


def check(statement: str, database: str, tables: Collection[tuple[str, str]]) -> None:
    """Raise `FeedGap` unless a statement certainly leaves the rows of `tables` (database, table) as they are."""
    text = CONDITIONAL.sub(" ", COMMENT.sub(" ", statement)).strip()
    first = re.match(r"\w*", text)
    word = first.group().upper() if first else ""
    if word in HARMLESS and not SET_STATEMENT.match(text):
        return
    if word not in {"CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE"}:
        raise FeedGap(f"the log has a statement in place of the rows that it changed: {_short(text)}")
    if _names(text, database, tables) and not _keeps_rows(text, word, database, tables):
        raise FeedGap(f"rows may have changed by a change of their table, which is not told: {_short(text)}")


def _keeps_rows(text: str, word: str, database: str, tables: Collection[tuple[str, str]]) -> bool:
    match word:
        case "CREATE":
            return not REPLACED.match(text)
        case "DROP":
            return not DROPPED.match(text)
        case "ALTER":
            return _alters_only(text, database, tables)
    return False


def _alters_only(text: str, database: str, tables: Collection[tuple[str, str]]) -> bool:
    """Whether a change of a table is of a kind that leaves all values of its rows."""
    found = ALTERED.match(text)
    if found is None:
        return not re.match(r"ALTER\s+\w*\s*TABLE\b", text, re.IGNORECASE)
    if (_plain(found[1]) or database.casefold(), _plain(found[2])) not in _folded(tables):
        return "EXCHANGE" not in text.upper()
    actions = _split(found[3])
    return not CASCADES.search(found[3]) and all(KEEPS_ROWS.match(action) for action in actions if action)


def _names(text: str, database: str, tables: Collection[tuple[str, str]]) -> bool:
    """Whether a statement names one of the tables, or the database of one."""
    folded = _folded(tables)
    databases = {one for one, _ in folded}
    whole = re.match(r"(?:DROP|ALTER)\s+(?:DATABASE|SCHEMA)\b", text, re.IGNORECASE)
    for qualifier, name in NAMES.findall(text):
        if (_plain(qualifier) or database.casefold(), _plain(name)) in folded or (whole and _plain(name) in databases):
            return True
    return False


def _folded(tables: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(database.casefold(), table.casefold()) for database, table in tables}


def _plain(name: str | None) -> str:
    """A name without its quotes."""
    return "" if not name else name.strip("`").replace("``", "`").casefold()


def _split(text: str) -> list[str]:
    """The parts of a text between its commas that stand in no brackets and no quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote = character
        elif character == "," and depth == 0:
            parts.append("")
            continue
        else:
            depth += (character == "(") - (character == ")")
        parts[-1] += character
    return [part.strip() for part in parts]


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"
