"""All that is stored about one process, read at one moment: what a person needs who has to decide about it."""

from __future__ import annotations

from typing import NamedTuple

from tieout.alarm.store import Alarm, AlarmStore, Evidence
from tieout.audit.rules import AuditRow
from tieout.audit.store import AuditStore
from tieout.contracts import Database, Transaction
from tieout.errors import UnknownProcess
from tieout.identity import call_key
from tieout.process.record import Record
from tieout.process.sql_store import SqlProcessStore
from tieout.process.store import Stray


class Inspection(NamedTuple):
    """A process with what else is known of it.

    `strays` are reports that came before their call was known; `evidence` is by alarm.
    """

    record: Record
    alarms: list[Alarm]
    evidence: dict[bytes, list[Evidence]]
    audit: list[AuditRow]
    strays: list[Stray]


async def inspect(
    database: Database, store: SqlProcessStore, alarms: AlarmStore, audit: AuditStore, process: bytes
) -> Inspection:
    """Read it; raise `UnknownProcess`."""

    async def work(tx: Transaction) -> Inspection:
        record = await store.read(tx, process)
        if record is None:
            raise UnknownProcess(f"there is no process {process.hex()}")
        raised = await alarms.of_process(tx, process)
        evidence = {alarm.id: await alarms.evidence(tx, alarm.id) for alarm in raised}
        strays = [
            stray for n in range(1, len(record.calls) + 2) for stray in await store.strays(tx, call_key(process, n))
        ]
        return Inspection(record, raised, evidence, await audit.of(tx, process.hex()), strays)

    return await database.read(work)
