"""Whether this code can carry a stored process on."""

from __future__ import annotations

from tieout.errors import InvalidParams
from tieout.process.call_type import CallType
from tieout.process.landing import call_of
from tieout.process.process_type import ProcessType
from tieout.process.record import Record
from tieout.process.wait_type import JoinType


def why_lost(process_type: ProcessType, record: Record) -> str:
    """Why not: its state is gone, or what is stored does not fit the code's types; "" when it can."""
    state = process_type.states.get(record.state)
    if state is None or not record.open_entries:
        return f"this code has no open call {record.state!r} of {record.type}"
    try:
        process_type.read_params(record.params)
        process_type.read_snapshots(record.snapshots)
        for entry in record.open_entries:
            call = call_of(process_type, entry)
            if call is not None:
                call.arguments(entry.args)
            elif isinstance(state, (CallType, JoinType)):
                return f"this code has no call {entry.step!r} of {record.type}"
    except InvalidParams as error:
        return f"this code cannot read {record.type} at {record.state!r}: {error}"
    return ""
