"""What is counted and measured, for Prometheus."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from tieout.app import App
from tieout.contracts import Transaction
from tieout.process.record import Record
from tieout.recon.book import Recon
from tieout.recon.rules import BREAKS
from tieout.server.hints import Hub

if TYPE_CHECKING:
    from tieout.mirror.mirror import Mirror

CONTENT_TYPE = CONTENT_TYPE_LATEST

OVERDUE = 60_000_000
"""Microseconds after which a process that is due counts as overdue."""

QUANTILES = ("0.5", "0.95", "0.99")

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


class Metrics:
    """One node's metrics, in a registry of their own: two Apps in one program do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self.requests = counter("tieout_http_requests", "Requests answered.", ("method", "route", "status"))
        self.seconds = Histogram(
            "tieout_http_request_seconds", "Time to an answer.", ("route",), buckets=SECONDS, registry=self.registry
        )
        self.in_flight = gauge("tieout_http_in_flight", "Requests that are being answered.")
        self.refused = counter("tieout_http_refused", "Requests refused before any route.", ("code",))
        self.reports = counter("tieout_callbacks", "Signed callbacks, by what they did.", ("sender", "effect"))
        self.pushes = counter("tieout_pushes", "Messages pushed by suppliers, by what they did.", ("sender", "effect"))
        self.logins = counter("tieout_logins", "People's log-ins, by how they ended.", ("outcome",))
        self.moves = counter("tieout_moves", "Moves of processes by this node.", ("type", "state", "source"))
        self.listeners = gauge("tieout_event_clients", "Listeners of /v1/events.")
        self.dropped = gauge("tieout_event_dropped", "Hints dropped because a listener did not keep up.")
        self.working = gauge("tieout_worker_in_flight", "Processes that this node is at work on.")
        self.alarms = gauge("tieout_alarms", "Alarms that are not resolved.", ("kind", "state"))
        self.letters = gauge("tieout_letters", "Messages that could not be taken in.", ("source", "state"))
        self.outbox = gauge("tieout_outbox", "Messages that wait to be sent.", ("channel",))
        self.overdue = gauge("tieout_overdue", "Processes overdue for more than a minute.", ("lane",))
        of_copy = ("mirror", "supplier")
        self.accuracy = gauge("tieout_mirror_accuracy", "Share of audited cells that were true, in a day.", of_copy)
        self.ages = gauge("tieout_mirror_age_seconds", "Age of a mirror's cells.", (*of_copy, "quantile"))
        self.unknown = gauge("tieout_mirror_unknown", "Share of a mirror's cells that are not known.", of_copy)
        self.suspects = gauge("tieout_mirror_suspects", "Cells of a mirror that are suspect.", of_copy)
        self.orders = gauge("tieout_mirror_order_checks", "Order checks of this node.", (*of_copy, "outcome"))
        self.lag = gauge("tieout_mirror_view_lag_seconds", "How far behind this node's view is.", ("mirror",))
        self.feed_lag = gauge("tieout_recon_lag_seconds", "How far a feed is behind its source.", ("feed",))
        self.feed_age = gauge(
            "tieout_recon_checkpoint_age_seconds", "Since when nothing of a feed was kept.", ("feed",)
        )
        self.feed_gap = gauge("tieout_recon_gap", "1 while what a feed has missed is not found.", ("feed",))
        self.green = gauge(
            "tieout_recon_agreed", "1 while all of a followed rule that is seen agrees, else 0.", ("rule",)
        )
        self.coverage = gauge("tieout_recon_coverage", "Share of a followed rule's keys that are judged.", ("rule",))
        self.waiting = gauge("tieout_recon_waiting", "Keys of a followed rule that are not judged yet.", ("rule",))
        self.breaks = gauge("tieout_recon_breaks", "Open breaks, found live or offline.", ("rule", "outcome"))
        self.build = gauge("tieout_build_info", "The version that runs.", ("version",))
        # Looking a metric up by its labels costs more than counting: what was looked up is kept.
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._moves: dict[tuple[str, str, str], Counter] = {}
        self.build.labels(version("tieout")).set(1)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer, and how long it took."""
        known = self._answers.get((method, route, status))
        if known is None:
            known = self.requests.labels(method, route, status), self.seconds.labels(route)
            self._answers[method, route, status] = known
        known[0].inc()
        known[1].observe(seconds)

    def moved(self, record: Record) -> None:
        """Count a move by who began it."""
        source = record.trail[-1].source if record.trail else "start"
        known = self._moves.get((record.type, record.state, source))
        if known is None:
            known = self._moves[record.type, record.state, source] = self.moves.labels(
                record.type, record.state, source
            )
        known.inc()

    async def exposition(self, app: App, hub: Hub) -> bytes:
        """Everything in Prometheus's text format; costs four queries, and for rules two and one for each."""
        types = list(app.types)

        async def work(tx: Transaction) -> None:
            alarms = await app.alarms.store.counts(tx)
            overdue = await app.store.overdue(tx, types, OVERDUE)
            letters = await app.consuming.store.counts(tx)
            waiting = await app.outbox.waiting(tx)
            for each in (self.letters, self.outbox):
                each.clear()
            for source in letters:
                name = source.source.decode(errors="replace")
                self.letters.labels(name, "waiting").set(source.waiting)
                self.letters.labels(name, "dead").set(source.letters - source.waiting)
            for channel in waiting:
                self.outbox.labels(channel.channel).set(channel.messages)
            self.alarms.clear()
            self.overdue.clear()
            for count in alarms:
                self.alarms.labels(count.kind, count.state).set(count.alarms)
            for lane in overdue:
                self.overdue.labels(lane.lane).set(lane.processes)

        await app.database.read(work)
        for mirror in app.mirrors.values():
            self._measure(mirror)
        await self._reconcile(app.recon)
        self.listeners.set(len(hub))
        self.dropped.set(hub.dropped)
        self.working.set(app.worker.in_flight)
        return generate_latest(self.registry)

    async def _reconcile(self, recon: Recon) -> None:
        """What the database has of rules and feeds: each node tells the same."""
        if not recon.rules:
            return
        feeds, rules = await recon.status()
        breaks = await recon.open_breaks()
        for each in (self.feed_lag, self.feed_age, self.feed_gap, self.green, self.coverage, self.waiting):
            each.clear()
        for feed in feeds:
            if feed.lag is not None:
                self.feed_lag.labels(feed.name).set(max(0, feed.lag) / 1e6)
            self.feed_age.labels(feed.name).set(feed.age / 1e6)
            self.feed_gap.labels(feed.name).set(feed.gap is not None)
        for rule in rules:
            self.green.labels(rule.name).set(rule.health == "agreed")
            self.waiting.labels(rule.name).set(rule.waiting)
            if rule.coverage is not None:
                self.coverage.labels(rule.name).set(rule.coverage)
        for name, counts in breaks.items():
            for outcome in BREAKS:
                self.breaks.labels(name, outcome).set(counts.get(outcome, 0))

    def _measure(self, mirror: Mirror) -> None:
        """What is known of a mirror on this node: of its copies only where it leads them."""
        if mirror.lag is not None:
            self.lag.labels(mirror.name).set(mirror.lag)
        for supplier in mirror.suppliers:
            for outcome, count in mirror.outcomes(supplier).items():
                self.orders.labels(mirror.name, supplier, outcome).set(count)
            measured = mirror.measured(supplier)
            if measured is None:
                continue
            if measured.accuracy is not None:
                self.accuracy.labels(mirror.name, supplier).set(measured.accuracy)
            for quantile, age in zip(QUANTILES, measured.ages or (), strict=False):
                self.ages.labels(mirror.name, supplier, quantile).set(age)
            self.unknown.labels(mirror.name, supplier).set(measured.unknown)
            self.suspects.labels(mirror.name, supplier).set(measured.suspects)
