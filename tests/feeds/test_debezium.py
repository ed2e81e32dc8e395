"""Messages of Debezium taken apart: values exactly as the source has them, or a gap that names the setting."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.feeds.written import NOON, delivery, envelope, of_mysql, source, with_schema
from tieout.errors import FeedGap
from tieout.feeds import Change, Debezium
from tieout.feeds.debezium import UNAVAILABLE

ROW = {"id": 1, "v": "x"}


def read(told, key=None, **options):
    return Debezium(["t"], **options).read(delivery(told, key))


def changes(told, key=None, **options) -> list[Change]:
    return list(read(told, key, **options).changes)


def after(value, written=None, said=None):
    """The text of one column without a schema."""
    options = {} if written is None else {"written": {"t": {"v": written}}}
    return changes(envelope("c", None, {"id": 1, "v": value}, said), **options)[0].after["v"]


def schemed(value, said=None, **schema):
    """The text of one column with its schema."""
    told = with_schema(envelope("c", None, {"id": 1, "v": value}, said), id={"type": "int64"}, v=schema)
    return changes(told)[0].after["v"]


def b64(raw: bytes) -> str:
    return b64encode(raw).decode()


def test_what_was_written_changed_and_deleted() -> None:
    """Each with the row as it was and as it is; a row without a schema is told as one with it."""
    was, now = {"id": "1", "v": None}, {"id": "1", "v": "x"}
    null = {"id": 1, "v": None}
    assert changes(envelope("c", None, ROW)) == [Change("t", None, now)]
    assert changes(envelope("u", null, ROW)) == [Change("t", was, now)]
    assert changes(envelope("d", ROW, None), {"id": 1}) == [Change("t", now, None)]
    told = with_schema(envelope("u", null, ROW), id={"type": "int32"}, v={"type": "string"})
    assert changes(told) == [Change("t", was, now)]


def test_times_and_places() -> None:
    """When it was committed, no earlier, in the unit that the log counts in; where it stands in the log."""
    said = read(envelope("c", None, ROW))
    assert (said.at, said.watermark, said.place) == (NOON * 1_000 + 999, NOON * 1_000, (90, 100))
    said = read(envelope("c", None, ROW, of_mysql(pos=5, row=2)))
    assert (said.at, said.watermark, said.place) == (NOON * 1_000 + 999_999, NOON * 1_000, (7, 5, 2))
    assert read(envelope("c", None, ROW, source(last=None))).place == ()


def test_what_says_nothing_of_rows() -> None:
    """Tombstones, rows read by a snapshot, heartbeats, other tables: no changes, and no time that is not the log's."""
    assert read(None) is None
    snapshot = read(envelope("r", None, ROW))
    assert (snapshot.changes, snapshot.watermark) == ((), 0)
    assert read(envelope("c", None, ROW, source(snapshot="incremental"))).changes == ()
    heartbeat = read({"ts_ms": NOON})
    assert (heartbeat.changes, heartbeat.watermark) == ((), 0)
    for table in ("other", "tieout_heartbeat"):
        elsewhere = read(envelope("c", None, ROW, source(table=table)))
        assert (elsewhere.changes, elsewhere.watermark) == ((), NOON * 1_000)


def test_bounds_of_transactions() -> None:
    """A transaction begins and ends, with the number of changes of each table that is told of."""
    began = read({"status": "BEGIN", "id": "571:53195829", "event_count": None, "data_collections": None})
    assert (began.begins, began.transaction) == (True, "571:53195829")
    counts = [{"data_collection": f"public.{name}", "event_count": 2} for name in ("t", "other")]
    ended = read({"status": "END", "id": "571:53195829", "event_count": 4, "data_collections": counts})
    assert (ended.begins, ended.transaction, ended.ends) == (False, "571:53195829", {"t": 2})
    block = {"id": "571:53195829", "total_order": 1, "data_collection_order": 1}
    assert read(envelope("c", None, ROW, transaction=block)).transaction == "571:53195829"


@pytest.mark.parametrize(
    ("told", "key", "named"),
    [
        (envelope("u", None, ROW), None, "REPLICA IDENTITY FULL"),
        (envelope("d", None, None), {"id": 1}, "binlog_row_image = FULL"),
        (envelope("d", {"id": 1, "v": None}, None), {"id": 1}, "only its key"),
        (envelope("c", None, {"id": 1, "v": UNAVAILABLE}), None, "t.v is not told"),
        (envelope("c", None, {"id": 1, "v": b64(UNAVAILABLE.encode())}), None, "t.v is not told"),
        (envelope("u", {"id": 1, "v": UNAVAILABLE}, {"id": 1, "v": UNAVAILABLE}), None, "t.v is not told"),
        (envelope("t", None, None), None, "truncated"),
        (envelope("x", None, ROW), None, "is known"),
        ({"id": 1, "v": "x"}, None, "is known"),
        ({"op": "c"}, None, "is known"),
    ],
)
def test_what_is_not_told_whole_is_a_gap(told, key, named) -> None:
    """A row that is not told as it was, a value that the log did not have, an emptied table, an unwrapped row."""
    with pytest.raises(FeedGap, match=named):
        read(told, key)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"op": NaN}',
        b"12",
        b"[" * 100_000,
        b'{"op": "c", "source": null}',
        b'{"op": "c", "source": {"ts_ms": "soon", "table": "t"}}',
        b'{"schema": [], "payload": {"op": "c", "source": {}}}',
        b'{"id": "1", "status": "END", "data_collections": [{"data_collection": "public.t"}]}',
    ],
)
def test_what_is_no_message_is_a_gap(body) -> None:
    """Bytes that are no JSON object are not passed over in silence."""
    with pytest.raises(FeedGap):
        Debezium(["t"]).read(delivery({})._replace(body=body))


def test_a_value_that_was_not_changed_is_taken_from_the_row_as_it_was() -> None:
    """The log leaves out large values that were not changed; the row as it was has them."""
    told = envelope("u", {"id": 1, "v": "large"}, {"id": 1, "v": UNAVAILABLE})
    assert changes(told) == [Change("t", {"id": "1", "v": "large"}, {"id": "1", "v": "large"})]


DECIMAL = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "4"}}


@pytest.mark.parametrize(
    ("value", "schema", "text"),
    [
        (b64((12345678901234567890).to_bytes(9, "big")), DECIMAL, "1234567890123456.7890"),
        (b64((-1).to_bytes(1, "big", signed=True)), DECIMAL, "-0.0001"),
        (b64((10**60).to_bytes(26, "big")), DECIMAL, f"1{'0' * 56}.0000"),
        (
            {"scale": 1, "value": b64((-15).to_bytes(1, "big", signed=True))},
            {"type": "struct", "name": "io.debezium.data.VariableScaleDecimal"},
            "-1.5",
        ),
        (20_779, {"type": "int32", "name": "io.debezium.time.Date"}, "2026-11-22"),
        (NOON, {"type": "int64", "name": "io.debezium.time.Timestamp"}, "2026-11-22 12:00:00"),
        (NOON * 1_000 + 1, {"type": "int64", "name": "io.debezium.time.MicroTimestamp"}, "2026-11-22 12:00:00.000001"),
        (NOON * 10**6 + 999, {"type": "int64", "name": "io.debezium.time.NanoTimestamp"}, "2026-11-22 12:00:00"),
        (
            "2026-11-22T13:00:00.5+01:00",
            {"type": "string", "name": "io.debezium.time.ZonedTimestamp"},
            "2026-11-22 12:00:00.500000+00",
        ),
        (9_223_372_036_825_200_000, {"type": "int64", "name": "io.debezium.time.MicroTimestamp"}, "infinity"),
        (3_723_000_001, {"type": "int64", "name": "io.debezium.time.MicroTime"}, "01:02:03.000001"),
        (-3_600_000_000, {"type": "int64", "name": "io.debezium.time.MicroTime"}, "-01:00:00"),
        (90_000_000_000, {"type": "int64", "name": "io.debezium.time.MicroTime"}, "25:00:00"),
        (1_001, {"type": "int32", "name": "io.debezium.time.Time"}, "00:00:01.001000"),
        (86_399_999_999_999, {"type": "int64", "name": "io.debezium.time.NanoTime"}, "23:59:59.999999"),
        (b64(b"\x00\xff\x10"), {"type": "bytes"}, "\\x00ff10"),
        (True, {"type": "boolean"}, "t"),
        (1.5, {"type": "double"}, "1.5"),
        (9_223_372_036_854_775_807, {"type": "int64"}, "9223372036854775807"),
        ("", {"type": "string"}, ""),
        (None, {"type": "string"}, None),
    ],
)
def test_values_with_a_schema_are_exact(value, schema, text) -> None:
    """Money of any length, times to the microsecond, bytes: as the source's own feed writes them."""
    assert schemed(value, **schema) == text


def test_a_flag_is_written_as_its_database_does() -> None:
    """PostgreSQL says t and f, MySQL says 1 and 0."""
    assert [after(value) for value in (True, False)] == ["t", "f"]
    assert [after(value, None, of_mysql()) for value in (True, False)] == ["1", "0"]


@pytest.mark.parametrize(
    ("value", "written", "text"),
    [
        ("12.50", "number", "12.50"),
        (12, "number", "12"),
        (1.25, "number", "1.25"),
        (20_779, "days", "2026-11-22"),
        (NOON, "ms", "2026-11-22 12:00:00"),
        (NOON * 1_000, "us", "2026-11-22 12:00:00"),
        (NOON * 10**6, "ns", "2026-11-22 12:00:00"),
        ("2026-11-22T12:00:00Z", "iso", "2026-11-22 12:00:00+00"),
        ("9999-12-31T23:59:59-05:00", "iso", "infinity"),
        ("0001-01-01T00:00:00+05:00", "iso", "-infinity"),
        (b64(b"a"), "bytes", "\\x61"),
    ],
)
def test_values_without_a_schema_are_as_was_said(value, written, text) -> None:
    """What a message cannot say of a column the feed is told."""
    assert after(value, written) == text


@pytest.mark.parametrize(
    ("value", "written", "named"),
    [
        ("AeJA", "number", "decimal.handling.mode"),
        (1234567890123456.789, "number", "decimal.handling.mode"),
        (1234567890123456.789, None, "decimal.handling.mode"),
        ("2026", "us", "no time"),
        (True, "number", "no exact number"),
        ("2026-11-22T12:00:00", "iso", "names no zone"),
        ("a!", "bytes", "no base64"),
        (5, "bytes", "no base64"),
    ],
)
def test_what_is_not_exact_is_a_gap(value, written, named) -> None:
    """A decimal as base64 or as a long fraction, a time that is none: not taken for something else."""
    with pytest.raises(FeedGap, match=named):
        after(value, written)


def test_a_decimal_as_a_double_is_a_gap() -> None:
    """Where the schema says that the column holds decimals, a floating-point number is not taken for one."""
    with pytest.raises(FeedGap, match=r"decimal\.handling\.mode=string"):
        schemed(1.5, type="double", parameters={"__debezium.source.column.type": "NUMERIC"})


def test_only_the_columns_that_were_asked_for_are_told() -> None:
    """Others are passed over; one that is not there is a gap. A table of another schema has it in its name."""
    told = envelope("c", None, {**ROW, "w": 5})
    assert Debezium({"t": ["v"]}).read(delivery(told)).changes == (Change("t", None, {"v": "x"}),)
    with pytest.raises(FeedGap, match="no column z"):
        Debezium({"t": ["v", "z"]}).read(delivery(told))
    other = envelope("c", None, ROW, source(schema="other"))
    assert Debezium({"public.t": ["v"]}).read(delivery(told)).changes == (Change("t", None, {"v": "x"}),)
    assert Debezium(["other.t"]).read(delivery(other)).changes[0].table == "other.t"
