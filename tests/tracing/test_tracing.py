"""One trace from a request over HTTP through calls, a node that dies, the sweep, and what is sent to others."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tieout
from tests.tracing.shop import Broker, Shop, start
from tieout import tracing
from tieout.contracts import Delivery
from tieout.process.record import Entry
from tieout.server.logs import formatter
from tieout.server.masking import Masking

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WRITTEN = f"00-{TRACE}-{PARENT}-01"
PATIENCE = 60.0


@pytest.fixture(scope="session")
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Callable[[], list[ReadableSpan]]:
    exporter.clear()
    return lambda: list(exporter.get_finished_spans())


@pytest.fixture
async def shop(tmp_path) -> Shop:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db")
    await shop.app().migrate()
    return shop


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not (found := condition()):  # noqa: ASYNC110 - spans are told to nobody
            await asyncio.sleep(0.01)
        return found


def named(spans: list[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def trace_of(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


def is_below(span: ReadableSpan, other: ReadableSpan, spans: list[ReadableSpan]) -> bool:
    """Whether one span is the other's child, or a child of its children."""
    by_id = {one.context.span_id: one for one in spans}
    while span.parent is not None and span.parent.span_id in by_id:
        span = by_id[span.parent.span_id]
        if span is other:
            return True
    return False


async def test_one_trace_from_the_request_to_the_message(shop, spans):
    """The caller's trace goes through the request, the call of a node that dies, another's sweep, and the message."""
    shop.answers = False
    async with shop.app() as first:
        process = await start(first, "k1", traceparent=WRITTEN)
        await until(lambda: shop.asked)
    shop.answers = True
    broker = Broker()
    async with shop.app(broker) as second:
        await second.database.transact(lambda tx: tx.execute("UPDATE tieout_process SET due = 0"))
        await until(lambda: named(spans(), "send broker"))
        assert (await second.get(process)).state == "completed"
    found = spans()
    (request,) = named(found, "POST /v1/types/redeem/processes")
    assert (trace_of(request), f"{request.parent.span_id:016x}") == (TRACE, PARENT)
    assert request.attributes["http.response.status_code"] == 201
    (started,) = named(found, "start redeem")
    (sweep,) = named(found, "sweep redeem")
    (query,) = named(found, "query redeem.issue")
    (move,) = named(found, "move redeem.issue")
    (sent,) = named(found, "send broker")
    whole = [request, started, *named(found, "call redeem.issue"), sweep, query, move, sent]
    assert {trace_of(span) for span in whole} == {TRACE}
    assert is_below(started, request, found)
    assert is_below(sweep, started, found)
    assert is_below(query, sweep, found)
    assert is_below(sent, move, found)
    assert query.attributes["tieout.outcome"] == "succeeded"
    assert query.attributes["tieout.process"] == process
    (message,) = broker.messages
    assert message.headers["traceparent"] == written(move)
    assert shop.in_thread == [written(query)]


def written(span: ReadableSpan) -> str:
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


async def test_a_killed_node_leaves_its_trace(shop, spans):
    """What another node does with the process of one that was killed is in the trace of the request that began it."""
    command = [sys.executable, "-m", "tests.tracing.killed", shop.url, WRITTEN]
    node = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        process = (await node.stdout.readline()).decode().strip()
    finally:
        node.kill()
        await node.wait()
    async with shop.app() as app:
        await app.database.transact(lambda tx: tx.execute("UPDATE tieout_process SET due = 0"))
        await until(lambda: named(spans(), "move redeem.issue"))
        assert (await app.wait(process)).state == "completed"
    found = spans()
    for name in ("sweep redeem", "query redeem.issue", "move redeem.issue"):
        assert {trace_of(span) for span in named(found, name)} == {TRACE}


async def test_a_callback_is_linked_to_what_it_moves(shop, spans):
    """A report with a trace of its own moves the process in the process's trace, and the two are linked."""
    shop.answers = False
    async with shop.app() as app:
        process = await start(app, "k2", traceparent=WRITTEN)
        await until(lambda: shop.asked)
        tracer = trace.get_tracer("a downstream")
        with tracer.start_as_current_span("callback") as callback:
            await app.report(f"{process}:1", tieout.Succeeded("A1"))
    (move,) = named(spans(), "move redeem.issue")
    assert trace_of(move) == TRACE
    assert [link.context.trace_id for link in move.links] == [callback.get_span_context().trace_id]
    assert move.attributes["tieout.source"] == "push"


async def test_a_call_is_at_work_while_it_is_made(shop, spans):
    """What a call step does, on the loop or in a thread, is in its span: clients that trace go on with it."""
    async with shop.app() as app:
        await start(app, "k3", traceparent=WRITTEN)
        await until(lambda: named(spans(), "move redeem.issue"))
        await start(app, "k4", traceparent=WRITTEN)
        await until(lambda: len(named(spans(), "move redeem.issue")) == 2)
    calls = {written(span) for span in named(spans(), "call redeem.issue")}
    assert len(calls) == 2
    assert set(shop.at_work) == calls


async def test_a_message_goes_on_with_the_trace_of_its_sender(shop, spans):
    """A process that a message starts is in the message's trace; so is what is noted of taking it in."""
    async with shop.app() as app:
        taking = app.consuming.sources["broker/orders"]
        body = json.dumps({"request_id": "m1", "user": "bob"}).encode()
        await taking.take(Delivery("m1", "orders", "", {"traceparent": WRITTEN}, body))
        await until(lambda: named(spans(), "move redeem.issue"))
    found = spans()
    (taken,) = named(found, "take broker/orders")
    (started,) = named(found, "start redeem")
    assert trace_of(taken) == TRACE
    assert is_below(started, taken, found)
    assert trace_of(named(found, "move redeem.issue")[0]) == TRACE


@pytest.mark.parametrize("told", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", WRITTEN.replace("00-", "ff-", 1), "é"])
def test_a_header_that_cannot_be_read_is_no_trace(spans, told):
    """A `traceparent` that is none begins a trace of its own, and hurts nobody."""
    with tracing.span("request", told, "server"):
        assert tracing.context()[3:35] not in ("", TRACE, "0" * 32)
    assert spans()[-1].parent is None


def test_lines_of_the_log_tell_their_trace(exporter):
    """A line that is logged while a span is at work has the ids of its trace and span; another one has none."""
    told = formatter(Masking(()), messages=False)
    record = logging.LogRecord("tieout", logging.INFO, "x.py", 1, "hello", (), None)
    with tracing.span("request", WRITTEN, "server") as span:
        line = json.loads(told.format(record))
    assert line["trace_id"] == TRACE
    assert line["span_id"] == f"{span.get_span_context().span_id:016x}"
    assert "trace_id" not in json.loads(told.format(logging.makeLogRecord(record.__dict__)))


def test_rows_are_as_before_where_nobody_collects_traces():
    """Nothing is stored of traces that there are not: a call's entry is what it was."""
    assert tracing.context() == ""
    assert b"trace" not in msgspec.json.encode(Entry(1, "issue", msgspec.Raw(b"{}"), trace=tracing.context()))
