"""What callbacks and messages say: what became of a call, or a request to be started."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from tieout.contracts import Delivery
from tieout.errors import InvalidParams
from tieout.identity import parse_json
from tieout.process.outcomes import Failed, Pending, Reported, Succeeded, Unknown
from tieout.process.process import Process
from tieout.process.process_type import ProcessType

Told: TypeAlias = tuple[str, Reported]
"""A call's key, and what became of it."""


class Callback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sender says: the call's key once more, since only the body is signed, and its outcome.

    `succeeded` has a `value`, `failed` a `code` and perhaps a `detail`, `pending` perhaps the seconds `after` which
    to ask again, `unknown` a `reason`.
    """

    call_key: Annotated[str, msgspec.Meta(max_length=64)]
    outcome: Literal["succeeded", "failed", "pending", "unknown"]
    value: Any = None
    code: Annotated[str, msgspec.Meta(max_length=255)] = ""
    detail: Annotated[str, msgspec.Meta(max_length=4_096)] = ""
    after: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=4_096)] = ""

    @property
    def told(self) -> Reported:
        """The outcome."""
        match self.outcome:
            case "succeeded":
                return Succeeded(self.value)
            case "failed":
                return Failed(self.code or "failed", self.detail)
            case "pending":
                return Pending(self.after)
            case "unknown":
                return Unknown(self.reason)


def read_callback(body: bytes) -> Callback:
    """A callback from its JSON; raise `InvalidJson` or `InvalidParams`."""
    return _as_callback(parse_json(body))


def read_report(delivery: Delivery) -> Told:
    """A report from a message that holds a callback's JSON; raise `InvalidJson` or `InvalidParams`."""
    callback = _as_callback(content(delivery))
    return callback.call_key, callback.told


def read_request(process_type: ProcessType, delivery: Delivery) -> Process[Any]:
    """A request from a message that holds its params as a JSON object; raise `InvalidJson`, `InvalidParams`."""
    fields = content(delivery)
    if not isinstance(fields, dict):
        raise InvalidParams(f"{process_type.name}: the params of a request are a JSON object")
    names = {info.name for info in msgspec.structs.fields(process_type.params.kind)}
    if unknown := sorted(fields.keys() - names):
        raise InvalidParams(f"{process_type.name} has no params {', '.join(unknown):.200}")
    params = process_type.params.typed(fields)
    request: Process[Any] = process_type.cls(**{name: getattr(params, name) for name in names})
    return request


def content(delivery: Delivery) -> Any:
    """What a message's JSON says; of a CloudEvent in structured mode its data."""
    value = parse_json(delivery.body)
    is_event = isinstance(value, dict) and "specversion" in value and "data" in value
    return value["data"] if is_event else value


def _as_callback(value: Any) -> Callback:
    try:
        return msgspec.convert(value, Callback)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"report: {error}") from error
