"""A process's row: its calls and trail in JSON, and the server's time carried on."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.makings import NOW, SECOND, claim, entry, record
from tieout.identity import parse_call_key
from tieout.process.outcomes import Failed, Succeeded
from tieout.process.record import (
    SOURCES,
    TRAIL_LIMIT,
    Transition,
    decode_calls,
    decode_trail,
    encode_calls,
    encode_trail,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
CLAIMS = st.none() | st.builds(claim, st.builds(Failed, TEXT, TEXT) | st.builds(Succeeded, st.dictionaries(TEXT, TEXT)))
CALLS = st.lists(
    st.builds(
        lambda n, final, sent, closed: entry(n, final=final, sent=sent, closed=closed),
        st.integers(1, 99),
        CLAIMS,
        st.none() | st.integers(0, 2**60),
        st.booleans(),
    ),
    max_size=4,
)


@given(CALLS)
def test_calls_are_read_back(calls):
    """Every call of a row, with arguments, marks and claims, survives being stored."""
    assert decode_calls(encode_calls(calls)) == calls


def test_arguments_are_stored_as_they_were_given():
    """The bytes of the arguments are the same on every try: nothing decodes and encodes them in between."""
    call = msgspec.structs.replace(entry(), args=msgspec.Raw(b'{"b":1.0,"a":"\\u0041"}'))
    (read,) = decode_calls(encode_calls([call]))
    assert bytes(read.args) == bytes(call.args)


def test_the_trail_keeps_the_latest_transitions():
    """A row stays small: of a long trail the last ones are kept, in order."""
    trail = [Transition(f"s{at}", at, "sweep", "query") for at in range(TRAIL_LIMIT + 5)]
    assert decode_trail(encode_trail(trail)) == trail[5:]


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_read_back(source):
    """What may be stored as the source of a move can be read."""
    trail = [Transition("completed", NOW, source, "message", 1, "ann")]
    assert decode_trail(encode_trail(trail)) == trail


def test_the_open_call_is_the_last_one():
    """A process waits on its last call, unless that is closed."""
    first, second = entry(closed=True), entry(2)
    assert record(entries=[first, second]).open_entry is second
    assert record(entries=[first]).open_entry is None
    assert record(entries=[]).open_entry is None


def test_calls_are_found_by_number():
    """Calls are numbered from 1; nothing else is found."""
    row = record(entries=[entry(1), entry(2)])
    assert [call and call.n for call in map(row.entry, (-1, 0, 1, 2, 3))] == [None, None, 1, 2, None]


def test_a_call_key_names_process_and_call():
    """The key that a downstream is given leads back to the call."""
    row = record(entries=[entry(1), entry(2)])
    assert parse_call_key(row.call_key(row.calls[1])) == (row.id, 2)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_servers_time_is_carried_on(read_at, later):
    """The server's time now is that of the reading and what this machine's monotonic clock has counted since."""
    row = record(read_at=read_at)
    assert abs(row.server_time(read_at + later) - (NOW + later * SECOND)) <= 2
