"""CloudEvents 1.0 in structured JSON: what happened, in an envelope that brokers and other libraries know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tieout.identity import canonical_json

CONTENT_TYPE = "application/cloudevents+json"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def event(event_id: str, source: str, kind: str, subject: str, at: int, data: Any) -> bytes:
    """The event as a body of `CONTENT_TYPE`; `at` is microseconds since 1970, `data` anything that JSON can say.

    `source` and `event_id` together name the event: whoever gets both again has it already.
    """
    time = (_EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    envelope = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": kind,
        "subject": subject,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }
    return canonical_json(envelope).encode()
