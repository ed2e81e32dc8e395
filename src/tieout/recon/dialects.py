"""How each kind of source spells canonical texts, bounds of time, keys that are asked for, and its catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from tieout.contracts import Param
from tieout.recon.feed_texts import without_zeros, written_bytes, written_moment
from tieout.recon.values import Kind

LARGEST = 1 << 63
"""Whole numbers that a database can hold are smaller."""

DIGITS = len(str(LARGEST))
"""A number of fewer digits is one of these."""

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Column(NamedTuple):
    """A column: its type as the source calls it, and what it holds (None: nothing that can be compared).

    `local`: its times may lack a zone. `told`: it is text that the rule says to hold something else. `digits`: as
    many as its numbers have at most, and of them behind the point; None: nobody knows.
    """

    name: str
    type: str
    kind: Kind | None
    local: bool = False
    told: bool = False
    digits: tuple[int, int] | None = None


class Dialect:
    """What the dialects have in common."""

    quote: ClassVar[str] = '"'
    catalogue: ClassVar[str] = ""
    kinds: ClassVar[dict[str, Kind]] = {}
    local_types: ClassVar[frozenset[str]] = frozenset()
    writes_numbers: ClassVar[bool] = False
    """Whether its texts of exact numbers are canonical as they come."""
    whole: ClassVar[frozenset[str]] = frozenset()
    """Types that hold nothing but whole numbers of 64 bits."""
    asks: ClassVar[int] = 1_000
    """Keys that are asked for at a time: far fewer than a statement may have parameters."""

    def name(self, name: str) -> str:
        """A name, quoted."""
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote

    def table(self, name: str) -> str:
        """A table, perhaps with its schema in front."""
        return ".".join(map(self.name, name.split(".")))

    def column(self, name: str, type: str, digits: str | None = None) -> Column:
        """A column as the catalogue describes it."""
        known = None if digits is None else tuple(map(int, digits.split(",")))
        local = type.lower() in self.local_types
        return Column(name, type, self.kinds.get(type.lower()), local, digits=known)  # type: ignore[arg-type]  # two numbers

    def text(self, column: Column) -> str:
        """The canonical text of a column, but for the zone of local times."""
        raise NotImplementedError

    def copied(self, column: Column, *, is_kept: bool) -> str:
        """What is copied as the canonical text of a column, or as a number of it that is kept as one."""
        return self.text(column)

    def fed(self, column: Column) -> Callable[[str], str] | None:
        """What makes of a text as the database's own log has it the one that a query is answered; None: it is that."""
        return None

    def bounds(self, column: Column) -> tuple[str, str] | None:
        """Conditions that hold from `:since` to `:until`, and for what is no moment; None: ask for all."""
        raise NotImplementedError

    def is_written_out(self, column: Column) -> bool:
        """Whether a time comes as the text that is stored, in ISO 8601."""
        return column.told

    def asked(self, columns: Sequence[Column], keys: Sequence[tuple[str, ...]]) -> tuple[str, dict[str, Param]]:
        """A condition that holds for rows with one of these keys, and perhaps for others; with its parameters."""
        names = ", ".join(self.name(column.name) for column in columns)
        params: dict[str, Param] = {}
        rows = []
        for row, key in enumerate(keys):
            marks = []
            for place, (column, part) in enumerate(zip(columns, key, strict=True)):
                params[f"k{row}_{place}"] = bound_key(column, part)
                marks.append(f":k{row}_{place}")
            rows.append(f"({', '.join(marks)})")
        return f"({names}) IN ({self.values(rows)})", params

    def values(self, rows: list[str]) -> str:
        """Rows of values, as they stand behind IN."""
        return ", ".join(rows)


def bound_key(column: Column, part: str) -> Param:
    """A part of a key as its column is compared with it."""
    if column.kind == "integer":
        return int(part)
    return bytes.fromhex(part) if column.kind == "bytes" else part


def can_hold(column: Column, part: str) -> bool:
    """Whether a column can hold what a canonical text says; asking it for something else would be an error."""
    match column.kind:
        case "integer" if len(part) < DIGITS and part.isdigit() and part.isascii():
            return True
        case "integer":
            return re.fullmatch(r"-?[0-9]{1,19}", part) is not None and abs(int(part)) < LARGEST
        case "number":
            return re.fullmatch(r"-?[0-9]{1,1000}(\.[0-9]{1,1000})?", part) is not None
        case "bytes":
            return re.fullmatch(r"([0-9a-f]{2})*", part) is not None
        case _:
            return "\0" not in part and (column.type != "uuid" or UUID.fullmatch(part) is not None)


def surely_holds(column: Column, parts: Sequence[str]) -> bool:
    """Whether a column can hold all of these for a reason that is quickly seen: they are short whole numbers."""
    text = "".join(parts)
    return (
        column.kind == "integer"
        and text.isdigit()
        and text.isascii()
        and "" not in parts
        and len(max(parts, key=len)) < DIGITS
    )


class PostgresSql(Dialect):
    """PostgreSQL 14 and later."""

    asks = 10_000  # in one array for each column
    writes_numbers = True
    whole = frozenset({"smallint", "integer", "bigint"})
    catalogue = """
        SELECT a.attname, CASE t.typtype WHEN 'e' THEN 'enum' ELSE format_type(t.oid, NULL) END,
            CASE WHEN t.typname = 'numeric' AND m.typmod >= 4
                THEN concat((m.typmod - 4) >> 16 & 65535, ',', (m.typmod - 4) & 2047) END
        FROM pg_attribute AS a
        JOIN pg_type AS d ON d.oid = a.atttypid
        JOIN pg_type AS t ON t.oid = CASE d.typtype WHEN 'd' THEN d.typbasetype ELSE d.oid END
        CROSS JOIN LATERAL (SELECT CASE d.typtype WHEN 'd' THEN d.typtypmod ELSE a.atttypmod END) AS m (typmod)
        WHERE a.attrelid = to_regclass(:table) AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum"""
    kinds: ClassVar[dict[str, Kind]] = {
        **dict.fromkeys(("smallint", "integer", "bigint", "boolean"), "integer"),
        "numeric": "number",
        **dict.fromkeys(("real", "double precision"), "float"),
        **dict.fromkeys(("text", "character varying", "character", '"char"', "name", "citext"), "text"),
        **dict.fromkeys(("uuid", "date", "enum"), "text"),
        **dict.fromkeys(("timestamp with time zone", "timestamp without time zone"), "moment"),
        "bytea": "bytes",
    }
    local_types = frozenset({"timestamp without time zone"})

    def text(self, column: Column) -> str:
        name = self.name(column.name)
        match column.kind, column.type:
            case "moment", _:
                # In these years a double holds the microseconds, and is far cheaper than a numeric.
                zone = "TIMESTAMP" if column.local else "TIMESTAMPTZ"
                near = f"{name} >= {zone} '1900-01-01Z' AND {name} < {zone} '2100-01-01Z'"
                quick = f"(date_part('epoch', {name}) * 1000000)::bigint::text"
                exact = f"(extract(epoch FROM {name}) * 1000000)::bigint::text"
                return f"CASE WHEN {near} THEN {quick} WHEN isfinite({name}) THEN {exact} ELSE {name}::text END"
            case "bytes", _:
                return f"encode({name}, 'hex')"
            case _, "boolean":
                return f"{name}::integer::text"
            case _, "date":
                return f"to_char({name}, 'YYYY-MM-DD')"
            case "number", _:
                return f"trim_scale({name})::text"
        return f"{name}::text"

    def copied(self, column: Column, *, is_kept: bool) -> str:
        if is_kept or column.type in self.whole or (not column.told and column.type in {"text", "character varying"}):
            return self.name(column.name)
        return self.text(column)

    def fed(self, column: Column) -> Callable[[str], str] | None:
        match column.kind, column.type:
            case "moment", _:
                return written_moment
            case "bytes", _:
                return written_bytes
            case _, "boolean":
                return lambda value: "1" if value == "t" else "0"
            case "number", _:
                return without_zeros
            case _, "character":
                return lambda value: value.rstrip(" ")
        return None

    def bounds(self, column: Column) -> tuple[str, str] | None:
        name = self.name(column.name)
        start = "TIMESTAMP 'epoch'" if column.local else "TIMESTAMPTZ 'epoch'"
        since, until = (f"{start} + CAST(:{end} AS bigint) * INTERVAL '1 microsecond'" for end in ("since", "until"))
        return (
            f"({name} >= {since} AND {name} < {until})",
            f"({name} IS NULL OR {name} = 'infinity' OR {name} = '-infinity')",
        )

    def asked(self, columns: Sequence[Column], keys: Sequence[tuple[str, ...]]) -> tuple[str, dict[str, Param]]:
        arrays, names = [], []
        params: dict[str, Param] = {}
        for place, column in enumerate(columns):
            parts = [key[place] for key in keys]
            params[f"k{place}"], array = parts, f"CAST(:k{place} AS text[])"
            plain = column.kind in {"integer", "number"} and column.type != "boolean"
            if plain or column.type == "uuid":
                # Nothing in these has to be escaped, and a driver is many times as quick with a text as with an array.
                params[f"k{place}"] = f"{{{','.join(parts)}}}"
                wide = {"integer": "bigint", "number": "numeric"}.get(column.kind or "", "uuid")
                array, name = f"CAST(CAST(:k{place} AS text) AS {wide}[])", self.name(column.name)
            elif column.type in {"text", "character varying", "character"}:
                name = self.name(column.name)
            else:
                name = self.text(column)
            arrays.append(array)
            names.append(name)
        if len(arrays) == 1:
            return f"{names[0]} = ANY({arrays[0]})", params
        unnested = f"SELECT * FROM unnest({', '.join(arrays)})"  # noqa: S608 - names are quoted, values bound
        return f"({', '.join(names)}) IN ({unnested})", params


class MysqlSql(Dialect):
    """MariaDB and MySQL."""

    writes_numbers = True
    whole = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
    quote = "`"
    catalogue = """
        SELECT column_name, CASE WHEN column_type LIKE '%unsigned%' AND data_type = 'bigint'
               THEN 'bigint unsigned'
               WHEN column_type LIKE '%zerofill%' AND data_type = 'decimal' THEN 'decimal zerofill'
               ELSE data_type END,
            CASE data_type WHEN 'decimal' THEN CONCAT(numeric_precision, ',', numeric_scale) END
        FROM information_schema.columns
        WHERE CONCAT(table_schema, '.', table_name) = :table
              OR (table_schema = DATABASE() AND table_name = :table)
        ORDER BY ordinal_position"""
    kinds: ClassVar[dict[str, Kind]] = {
        **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "bigint unsigned", "year"), "integer"),
        **dict.fromkeys(("decimal", "decimal zerofill"), "number"),
        **dict.fromkeys(("float", "double"), "float"),
        **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), "text"),
        **dict.fromkeys(("enum", "set", "date", "uuid"), "text"),
        **dict.fromkeys(("datetime", "timestamp"), "moment"),
        **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "bytes"),
    }
    local_types = frozenset({"datetime"})

    def text(self, column: Column) -> str:
        name = self.name(column.name)
        match column.kind:
            case "moment":
                return f"CAST(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {name}) AS CHAR)"
            case "bytes":
                return f"LOWER(HEX({name}))"
            case "number":
                text = f"CAST({name} AS CHAR)"
                if column.type == "decimal zerofill":  # never negative; adding 0 could cost it its last digit
                    text = f"TRIM(LEADING '0' FROM {text})"
                    text = f"IF({text} = '' OR LEFT({text}, 1) = '.', CONCAT('0', {text}), {text})"
                return f"IF(LOCATE('.', {text}), TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text})), {text})"
            case "integer" if column.type != "year":
                return f"CAST({name} + 0 AS CHAR)"  # without the zeros that ZEROFILL shows
            case "text" if column.type not in {"date", "uuid"}:
                return f"CONVERT({name} USING utf8mb4)"
        return f"CAST({name} AS CHAR)"

    def fed(self, column: Column) -> Callable[[str], str] | None:
        match column.kind:
            case "moment":
                return written_moment
            case "bytes":
                return written_bytes
            case "number":
                return without_zeros
        return None

    def bounds(self, column: Column) -> tuple[str, str] | None:
        name = self.name(column.name)
        # Behind the last moment that there is, the sum is NULL: all rows are asked for.
        ends = (("since", "0001-01-01"), ("until", "9999-12-31 23:59:59.999999"))
        since, until = (f"COALESCE(TIMESTAMPADD(MICROSECOND, :{end}, '1970-01-01'), '{last}')" for end, last in ends)
        return f"({name} >= {since} AND {name} <= {until})", f"({name} IS NULL OR {name} < '1000-01-01')"


class SqliteSql(Dialect):
    """SQLite, whose columns hold what they like: their declared types say what is meant."""

    catalogue = "SELECT name, type FROM pragma_table_info(:table)"

    def column(self, name: str, type: str, digits: str | None = None) -> Column:
        return Column(name, type, declared(type.upper()), local=True)

    def text(self, column: Column) -> str:
        name = self.name(column.name)
        if column.kind == "bytes":
            return f"lower(hex({name}))"
        if column.kind == "float":
            return f"printf('%!.17g', {name})"
        return f"CAST({name} AS TEXT)"

    def bounds(self, column: Column) -> tuple[str, str] | None:
        return None

    def is_written_out(self, column: Column) -> bool:
        return True

    def values(self, rows: list[str]) -> str:
        return f"VALUES {', '.join(rows)}"


def declared(type: str) -> Kind | None:
    """What a declared type of SQLite means: its own rules of affinity, and times by their usual names."""
    if "INT" in type:
        return "integer"
    if any(word in type for word in ("TIMESTAMP", "DATETIME")):
        return "moment"
    if any(word in type for word in ("CHAR", "CLOB", "TEXT", "UUID")) or type == "DATE":
        return "text"
    if any(word in type for word in ("REAL", "FLOA", "DOUB")):
        return "float"
    if "BLOB" in type or type == "BINARY":
        return "bytes"
    return "number" if any(word in type for word in ("NUM", "DEC", "BOOL")) else None


class DuckSql(Dialect):
    """Files, read by DuckDB."""

    kinds: ClassVar[dict[str, Kind]] = {
        **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint", "boolean"), "integer"),
        **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint"), "integer"),
        **dict.fromkeys(("float", "double"), "float"),
        **dict.fromkeys(("varchar", "uuid", "date"), "text"),
        **dict.fromkeys(("timestamp", "timestamp with time zone", "timestamp_ns", "timestamp_ms"), "moment"),
        "blob": "bytes",
    }
    local_types = frozenset({"timestamp", "timestamp_ns", "timestamp_ms"})

    def column(self, name: str, type: str, digits: str | None = None) -> Column:
        if type.startswith("DECIMAL"):
            return Column(name, type, "number")
        return super().column(name, type, digits)

    def text(self, column: Column) -> str:
        name = self.name(column.name)
        match column.type:
            case "BOOLEAN":
                return f"CAST(CAST({name} AS INTEGER) AS VARCHAR)"
            case "BLOB":
                return f"lower(hex({name}))"
            case "VARCHAR":
                return name
        if column.kind == "moment":
            return f"CAST(epoch_us({name}) AS VARCHAR)"
        return f"CAST({name} AS VARCHAR)"

    def bounds(self, column: Column) -> tuple[str, str] | None:
        return None


DIALECTS: dict[str, Dialect] = {"postgres": PostgresSql(), "mysql": MysqlSql(), "sqlite": SqliteSql()}
"""By the name that a `Database` gives its dialect."""

FILES = DuckSql()
