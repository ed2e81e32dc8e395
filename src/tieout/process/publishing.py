"""Results told to other services: the message of a final, written by the transaction that ends the process."""

from __future__ import annotations

import msgspec

from tieout.contracts import Transaction
from tieout.identity import fingerprint, split_owner
from tieout.messages.outbox import Outbox
from tieout.messages.rules import address
from tieout.payloads import Payloads
from tieout.process.process_type import ProcessType
from tieout.process.record import Record
from tieout.wire.cloudevents import CONTENT_TYPE, event


async def publish_final(tx: Transaction, process_type: ProcessType, record: Record, payloads: Payloads) -> None:
    """Write the message of a process that has just ended, where its final is declared with `publish=`."""
    to = process_type.published.get(record.state)
    if to is None:
        return
    process, message_id = record.id.hex(), fingerprint("final", record.id.hex())
    _, owner = split_owner(record.owner)
    data = {
        "process": process,
        "type": record.type,
        "owner": owner,
        "request_key": record.request_key.decode(),
        "state": record.state,
        "result": None if record.result is None else msgspec.json.decode(record.result),
    }
    kind, source = address(to).topic, f"/tieout/{record.type}"
    body = event(message_id.hex(), source, kind, process, record.changed, data)
    headers = {"content-type": CONTENT_TYPE}
    outbox = Outbox(tx.dialect, payloads)
    await outbox.add(tx, to, body, key=process, headers=headers, message_id=message_id)
