"""The run itself: start both services, let the users in, plant the faults, kill, stop the faults, drain, audit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import webbrowser
from collections.abc import Coroutine
from typing import Any, NamedTuple

from aiohttp import ClientSession, ClientTimeout

from tieout.demo.ground import clear_ground
from tieout.demo.points import auditor, chaos
from tieout.demo.points.broker import HERE, LOOK, Queue, found
from tieout.demo.points.gauges import Gauges
from tieout.demo.points.picture import Picture, style_of
from tieout.demo.points.places import Places, make_places
from tieout.demo.points.shoppers import ClientLog, Shoppers
from tieout.demo.points.staff import MALL_PROGRAM, Means, Ports, mall_service, new_secret, prize_service
from tieout.demo.services import Service, free_ports
from tieout.demo.view import View

LEAVE_SECONDS = 30.0
"""How long the users may still wait for an answer once the faults have stopped."""

DRAIN_SECONDS = 60.0
"""How long everything may take to come to rest after that."""

VIEW_EVERY_SECONDS = 0.5
FINDINGS_SHOWN = 20


EACH = 3
"""Differences of each kind that are planted with `--recon`."""

WORDS = (
    "points for a prize: do both sides agree?",
    "Every key agrees, or carries one open conflict.",
    "The two sides do NOT agree.",
)
RECON_WORDS = (
    "points for a prize: was each planted difference found?",
    "Each planted difference was found in time, live and offline, and nothing else.",
    "What was found is NOT what was planted.",
)


class Options(NamedTuple):
    """What was asked for on the command line."""

    db: str
    seconds: float
    rate: float
    seed: int
    users: int
    json: bool
    keep: bool
    prizes: str
    recon: bool
    broker: str
    port: int
    show: bool


class Run:
    """One run of the demo."""

    def __init__(self, options: Options, places: Places, queue: Queue, view: View) -> None:
        api_port, prizes_port, free_port = free_ports(3)
        self._options = options
        self._places = places
        self._view = view
        self._began = asyncio.get_running_loop().time()
        self._picture = Picture()
        self._gauges = Gauges(places)
        self._log = ClientLog(places.client_log)
        self._queue = queue
        ports = Ports(options.port or free_port, api_port, prizes_port)
        self._ports = ports
        means = Means(places, ports, self._queue, new_secret())
        self.mall = mall_service(means)
        self.prizes = prize_service(means, once=options.prizes == "once")

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return asyncio.get_running_loop().time() - self._began

    @property
    def services(self) -> tuple[Service, Service]:
        return self.mall, self.prizes

    async def play(self) -> tuple[dict[str, Any], list[auditor.Finding]]:
        """All of it; the figures and what does not agree."""
        await self.begin()
        await self.act()
        await self.stop()
        self._view.event(self.seconds, "auditing both sides")
        return await self._audit()

    async def reconcile(self) -> dict[str, Any]:
        """The same with differences that are planted behind the services' backs; what following both sides came to."""
        from tieout.demo.points.reconciling import Reconciling

        beside = Reconciling(self._places, self._view, self._options.seed, EACH)
        try:
            await self.begin()
            self._phase("both databases are followed, differences are planted")
            await beside.begin()
            await self.act()
            return await beside.finish()
        finally:
            await self.stop()
            await beside.end()

    async def begin(self) -> None:
        """Open the accounts, and start both services."""
        await self.mall.run_once(
            [*MALL_PROGRAM, "--db", self._places.mall_url, "--open-accounts", str(self._options.users)]
        )
        await self.start()
        self._tell_where()

    async def act(self) -> None:
        """Let the users in, until all has come to rest."""
        watching = asyncio.create_task(self._watch())
        try:
            await self._act()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        self._log.close()

    async def start(self) -> None:
        """Start both services."""
        await asyncio.gather(*(service.start() for service in self.services))

    async def stop(self) -> None:
        """End both services, and forget their queue."""
        await asyncio.gather(*(service.stop() for service in self.services))
        await self._queue.remove()

    async def _act(self) -> None:
        options = self._options
        await self._plant((chaos.honest if options.recon else chaos.misbehaviour)(options.rate))
        async with Shoppers(self.mall.url, self._log, options.seed, options.users) as shoppers:
            self._phase("users redeem, faults strike")
            killing = [self._kill(service) for service in self.services]
            await _together(shoppers.come(options.seconds, options.rate), *killing)
            await self._plant({})
            self._phase("the faults have stopped")
            if not await shoppers.leave(LEAVE_SECONDS):
                self._view.event(self.seconds, "some users never got an answer")
        await self._drain()

    async def _plant(self, shares: chaos.Shares) -> None:
        body = {"seed": self._options.seed, "shares": shares}
        limit = ClientTimeout(total=10)
        async with ClientSession(timeout=limit) as http, http.post(f"{self.prizes.url}/plan", json=body) as answer:
            answer.raise_for_status()

    async def _kill(self, service: Service) -> None:
        began = self.seconds
        for kill in chaos.kills(self._options.seed, self._options.seconds):
            if kill.service == service.name:
                await asyncio.sleep(began + kill.at - self.seconds)
                service.check()
                await service.kill()
                self._view.event(self.seconds, f"killed {service.name} (-9)")
                await asyncio.sleep(kill.away)
                await service.start()
                self._view.event(self.seconds, f"started {service.name} again")

    async def _drain(self) -> None:
        limit = self.seconds + DRAIN_SECONDS
        while not await self._gauges.at_rest():
            for service in self.services:
                service.check()
            if self.seconds > limit:
                self._view.event(self.seconds, "not everything has come to rest")
                return
            await asyncio.sleep(0.2)

    async def _audit(self) -> tuple[dict[str, Any], list[auditor.Finding]]:
        places = self._places
        facts = await auditor.gather(places.mall_db, places.prizes_db, places.client_log, places.conflict_log)
        found = auditor.judge(facts)
        kills = sum(service.kills for service in self.services)
        return auditor.summary(facts, found, kills, await self._queue.state()), found

    async def _watch(self) -> None:
        picture, log = self._picture, self._log
        while True:
            picture.seconds, picture.accepted = self.seconds, len(log.accepted)
            picture.repeated, picture.refused = log.answers["replayed"], log.answers["refused"]
            picture.kills = {service.name: service.kills for service in self.services}
            picture.down = [service.name for service in self.services if not service.is_up]
            await self._gauges.read(picture)
            self._view.show(picture)
            await asyncio.sleep(VIEW_EVERY_SECONDS)

    def _tell_where(self) -> None:
        api = f"http://127.0.0.1:{self._ports.api}/v1/docs"
        self._view.say(f"the shop: {self.mall.url}/  its API: {api}, for whoever has a token:")
        self._view.say(f"  tieout token create me --role operator --reason demo --db {self._places.mall_url}")
        if self._queue.broker:
            self._view.say(f"half of what becomes of prizes is told through the queue {self._queue.name}")
        elif self._options.broker == LOOK:
            self._view.say(f"no RabbitMQ answers at {HERE.rpartition('@')[2]}: callbacks tell what becomes of prizes")
        if self._options.show:
            webbrowser.open(f"{self.mall.url}/")

    def _phase(self, phase: str) -> None:
        self._picture.phase = phase
        self._view.event(self.seconds, phase)


async def _together(*all_work: Coroutine[Any, Any, None]) -> None:
    """Run all at once; the first error ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in all_work:
                group.create_task(work)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors


async def direct(options: Options) -> int:
    """Run the demo and print its result; 0 only when both sides agree."""
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    queue = await found(options.broker, f"tieout-demo-{secrets.token_hex(4)}")
    places = await make_places(options.db, recon=options.recon)
    keep = options.keep
    try:
        with View(on_stderr=options.json) as view:
            run = Run(options, places, queue, view)
            findings: list[auditor.Finding] = []
            try:
                if options.recon:
                    summary = await run.reconcile()
                else:
                    summary, findings = await run.play()
            finally:
                await run.stop()
        keep = keep or not summary["agreement"]
        _report(options, view, summary, findings)
        if options.keep:
            await _serve(run, view)
        if keep:
            view.say(f"kept: {places.folder} {places.mall_db} {places.prizes_db}")
    finally:
        if not keep:
            await clear_ground(places.ground)
    return 0 if summary["agreement"] else 1


def _report(options: Options, view: View, summary: dict[str, Any], found: list[auditor.Finding]) -> None:
    title, yes, no = RECON_WORDS if options.recon else WORDS
    view.result(title, summary, style_of)
    view.say(yes if summary["agreement"] else no)
    for finding in found[:FINDINGS_SHOWN]:
        view.say(f"{finding.kind}: {finding.key}: {finding.what}")
    if options.json:
        print(json.dumps(summary, separators=(",", ":")), flush=True)


async def _serve(run: Run, view: View) -> None:
    """Serve without faults until Ctrl-C."""
    await run.start()
    view.say(f"serving until Ctrl-C: the shop {run.mall.url}/, prize service {run.prizes.url}")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await run.stop()
