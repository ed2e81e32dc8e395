"""A bare reader of both sides' log on MariaDB, for `bench.live`: mysql-replication, whose rows are dictionaries.

`python -m bench.live_mysql_replication PAIRS FILE`, in its own environment. It reads the server's log once for both
sides, gathers whole transactions, and keeps in FILE where the next reading goes on; `begin` writes where that is now.
`told FILE CHANGES` tells what one side has done. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.event import QueryEvent, XidEvent
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

UNTOLD = ("TRUNCATE", "ALTER TA", "DROP TAB", "RENAME T")
"""How statements begin that change rows without a word."""


def rows_of(row: dict) -> tuple[dict | None, dict | None]:
    """A row before and after."""
    return row.get("before_values"), row.get("after_values", row.get("values"))


def main() -> None:
    """Note where the log ends, or read it from where that was noted."""
    rows, kept = sys.argv[1], Path(sys.argv[2])
    at = urlsplit(os.environ["LIVE_UP"])
    where = {"host": at.hostname, "port": at.port, "user": at.username, "password": ""}
    if rows == "begin":
        with pymysql.connect(**where) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW MASTER STATUS")
            kept.write_text(json.dumps(cursor.fetchone()[:2]))
        print("{}")
        return
    file, place = json.loads(kept.read_text())
    tells = rows == "told"
    begun, left = time.perf_counter(), int(sys.argv[3]) if tells else 2 * int(rows)
    count = left
    stream = BinLogStreamReader(
        connection_settings=where,
        server_id=900,
        is_mariadb=False,  # with it, places are passed over, and the log is read from its beginning
        blocking=True,
        resume_stream=True,
        log_file=file,
        log_pos=place,
        only_schemas=["up"] if tells else ["up", "down"],
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent, QueryEvent, XidEvent],
    )
    changes, transactions = [], []
    for event in stream:
        if isinstance(event, XidEvent):
            left -= len(changes)
            if changes:
                transactions.append(([stream.log_file, event.packet.log_pos], changes))
            changes = []
            if len(transactions) >= 10_000:
                transactions.clear()
            if left <= 0:
                break
        elif isinstance(event, QueryEvent):
            if str(event.query).lstrip()[:8].upper() in UNTOLD:
                raise RuntimeError(f"no row tells what this did: {event.query}")
        else:
            is_gone = isinstance(event, DeleteRowsEvent)
            changes += [
                (event.schema, event.table, {"before_values": row["values"], "after_values": None} if is_gone else row)
                for row in event.rows
            ]
    kept.write_text(json.dumps([stream.log_file, stream.log_pos]))
    rate = count / (time.perf_counter() - begun)
    stream.close()
    told = [[place, [rows_of(row) for _, _, row in changes]] for place, changes in transactions] if tells else []
    print(json.dumps({"rate": rate, "told": told}, default=str))


if __name__ == "__main__":
    main()
