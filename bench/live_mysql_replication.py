"""A bare reader of both sides' log on MariaDB, for `bench.live`: mysql-replication, whose rows are dictionaries.

`python -m bench.live_mysql_replication PAIRS FILE`, in its own environment. It reads the server's log once for both
sides, gathers whole transactions, and keeps in FILE where the next reading goes on; `begin` writes where that is now.
Prints one JSON line.
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
from pymysqlreplication.event import XidEvent
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent


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
    begun, left = time.perf_counter(), 2 * int(rows)
    stream = BinLogStreamReader(
        connection_settings=where,
        server_id=900,
        is_mariadb=True,
        blocking=True,
        resume_stream=True,
        log_file=file,
        log_pos=place,
        only_schemas=["up", "down"],
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent, XidEvent],
    )
    changes, transactions = [], []
    for event in stream:
        if isinstance(event, XidEvent):
            left -= len(changes)
            transactions.append(changes)
            changes = []
            if len(transactions) >= 10_000:
                transactions.clear()
            if left <= 0:
                break
        else:
            changes += [(event.schema, event.table, row) for row in event.rows]
    kept.write_text(json.dumps([stream.log_file, stream.log_pos]))
    rate = 2 * int(rows) / (time.perf_counter() - begun)
    stream.close()
    print(json.dumps({"rate": rate}))


if __name__ == "__main__":
    main()
