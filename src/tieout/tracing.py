"""Traces, for whoever collects them with OpenTelemetry: one from a request through calls, crashes, sweeps and messages.

A span belongs to the trace that is stored with what it is about, by W3C's `traceparent`; where something else was at
work when it began, such as a callback or the sweep of another node, it is linked to that. Nothing is imported here, and
nothing is done, unless the program itself has set up OpenTelemetry.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext, TracerProvider

HEADER = "traceparent"
"""The header field of requests and messages that tells of a trace (W3C Trace Context)."""

Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]

Attributes: TypeAlias = Mapping[str, Any]

_WRITTEN = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

_NOTHING: AbstractContextManager[Any] = nullcontext()


def is_on() -> bool:
    """Whether anybody collects traces."""
    return _api() is not None


def context() -> str:
    """The span that is at work, as a `traceparent` to be stored or sent; "" when there is none."""
    api = _api()
    found = None if api is None else api.get_current_span().get_span_context()
    return _written(found) if found is not None and found.is_valid else ""


def ids() -> dict[str, str]:
    """The ids of the trace and span at work, for a line of a log."""
    written = context()
    return {"trace_id": written[3:35], "span_id": written[36:52]} if written else {}


def carried(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of a message, with the span that sends it, unless they tell of one."""
    written = context()
    return headers if not written or HEADER in headers else {**headers, HEADER: written}


def span(
    name: str, stored: str = "", kind: Kind = "internal", attributes: Attributes | None = None
) -> AbstractContextManager[Span | None]:
    """Meanwhile, a span is at work; it belongs to the trace of `stored`, where that is one."""
    api = _api()
    if api is None:
        return _NOTHING
    tracer = _tracer(api.get_tracer_provider())
    return tracer.start_as_current_span(name, **_placed(api, stored, kind), attributes=attributes)  # type: ignore[no-any-return]  # the API is looked up at run time


def begun(name: str, stored: str, kind: Kind, attributes: Attributes | None = None) -> Span | None:
    """A span beside others, which its caller ends; None when nobody collects it, or nothing is stored."""
    api = _api()
    if api is None or not stored:
        return None
    tracer = _tracer(api.get_tracer_provider())
    return tracer.start_span(name, **_placed(api, stored, kind), attributes=attributes)  # type: ignore[no-any-return]  # looked up at run time too


def _api() -> Any:
    """OpenTelemetry's API where the program has set up a collector of traces: then, it has imported it too."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider_of = getattr(api, "get_tracer_provider", None)
    return None if provider_of is None or isinstance(provider_of(), api.ProxyTracerProvider) else api


@lru_cache(maxsize=4)
def _tracer(provider: TracerProvider) -> Any:
    return provider.get_tracer("tieout", version("tieout"))


def _placed(api: Any, stored: str, kind: Kind) -> dict[str, Any]:
    """Where a span stands: in the trace at work if that is the stored one, else in the stored one, with a link."""
    kinds = {"kind": api.SpanKind[kind.upper()]}
    parent, here = _read(api, stored), api.get_current_span().get_span_context()
    if parent is None or parent.trace_id == here.trace_id:
        return kinds
    links = [api.Link(here)] if here.is_valid else []
    return {**kinds, "context": api.set_span_in_context(api.NonRecordingSpan(parent)), "links": links}


def _read(api: Any, written: str) -> SpanContext | None:
    match = _WRITTEN.fullmatch(written)
    if match is None:
        return None
    trace, parent, flags = (int(part, 16) for part in match.groups())
    found: SpanContext = api.SpanContext(trace, parent, is_remote=True, trace_flags=api.TraceFlags(flags))
    return found if found.is_valid else None


def _written(found: SpanContext) -> str:
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
