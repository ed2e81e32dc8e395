"""The run itself: start the suppliers and the agency, load the copy, let people in, let faults strike, audit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import signal
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import numpy as np
from aiohttp import ClientSession, ClientTimeout, TCPConnector

from tieout import App
from tieout.demo.ground import Ground, clear_ground, make_ground
from tieout.demo.hotels import auditor, chaos, door
from tieout.demo.hotels.agency import AGREED, HORIZON, Terms, agency, quota_seconds, supplier_names, window_of, zone_of
from tieout.demo.hotels.demand import Demand, lead_times
from tieout.demo.hotels.picture import Picture, freshness_table, style_of, suppliers_table
from tieout.demo.hotels.summary import Ended, summary
from tieout.demo.hotels.travellers import Room, Travellers
from tieout.demo.services import Service, free_ports
from tieout.demo.view import View
from tieout.mirror import Mirror

LOAD_SECONDS = 3_600.0
"""Longest that the first load may take."""

CALM_SECONDS = 1.0
"""How long the agency goes on after the faults have stopped and the last people have left."""

VIEW_EVERY_SECONDS = 0.5
INSPECT_EVERY_SECONDS = 1.0
SECONDS_FOR_A_KILL = 40.0
"""A run that lasts so long has two nodes, one of which is killed: the other one takes over within 15 seconds."""

AWAY_SECONDS = 1.0
SERVE = "import sys; from tieout.cli import main; sys.exit(main(sys.argv[1:]))"
SHOWN = (
    "cells",
    "visits",
    "orders",
    "failed",
    "unavailable",
    "faults",
    "pushes",
    "alarms",
    "kills",
    "overlaps",
    "forged_accepted",
    "wrong",
    "broken",
    "kept",
)


class Size(NamedTuple):
    """How many suppliers, hotels of each, and rooms of each hotel; visits and bursts of changes in a second.

    `catalogue_every` is how many seconds later a catalogue is read again.
    """

    suppliers: int
    hotels: int
    rooms: int
    visits: float
    bursts: float
    catalogue_every: float


SMALL = Size(5, 60, 10, 60.0, 15.0, 5.0)
FULL = Size(200, 150, 10, 150.0, 100.0, 100.0)


def size_of(*, full: bool, suppliers: int | None = None, hotels: int | None = None) -> Size:
    """One of the two sizes, with other numbers of suppliers or of hotels where they are given.

    Visits and changes go with the number of hotels.
    """
    size = FULL if full else SMALL
    wanted = size._replace(suppliers=suppliers or size.suppliers, hotels=hotels or size.hotels)
    scale = wanted.suppliers * wanted.hotels / (size.suppliers * size.hotels)
    return wanted._replace(visits=max(10.0, size.visits * scale), bursts=max(0.5, size.bursts * scale))


class Options(NamedTuple):
    """What was asked for on the command line."""

    db: str
    size: Size
    seconds: float
    speed: float
    per_minute: int
    seed: int
    bookings: Path | None
    json: bool
    keep: bool

    @property
    def limit(self) -> int:
        """Queries that a supplier allows in its window."""
        return max(20, round(self.per_minute / 60 * self.speed * window_of(self.speed)))


class Run:
    """One run of the demo."""

    def __init__(self, options: Options, ground: Ground, view: View) -> None:
        suppliers_port, door_port, *node_ports = free_ports(4 if options.seconds >= SECONDS_FOR_A_KILL else 3)
        self._options = options
        self._ground = ground
        self._view = view
        self._began = asyncio.get_running_loop().time()
        self._picture = Picture()
        self._url = f"http://127.0.0.1:{suppliers_port}"
        size = options.size
        is_short = options.seconds < SECONDS_FOR_A_KILL
        catalogue_every = min(size.catalogue_every, options.seconds / 2) if is_short else size.catalogue_every
        self._terms = Terms(
            self._url, size.suppliers, options.limit, window_of(options.speed), options.speed, catalogue_every
        )
        self._leads = lead_times(options.bookings, HORIZON)
        secret = secrets.token_bytes(24)
        self.suppliers = _suppliers(options, ground, suppliers_port, f"http://127.0.0.1:{door_port}", secret)
        self.nodes = [_node(self._terms, ground, port, number) for number, port in enumerate(node_ports)]
        self.door = _door(self._terms, ground, door_port, secret)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return asyncio.get_running_loop().time() - self._began

    async def play(self) -> tuple[dict[str, Any], list[auditor.Wrong]]:
        """All of it; the figures, and the cells that are wrong."""
        async with ClientSession(timeout=ClientTimeout(total=120), connector=TCPConnector(limit=0)) as http:
            await self.suppliers.start()
            app, mirror = agency(self._ground.url("agency"), self._terms, http, asker="shop", follows=False)
            async with app:
                return await self._act(http, app, mirror)

    async def stop(self) -> None:
        """End both services."""
        await self.suppliers.stop()
        await self.door.stop()
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def _act(self, http: ClientSession, app: App, mirror: Mirror) -> tuple[dict[str, Any], list[auditor.Wrong]]:
        options = self._options
        rooms, hotels = await self._catalogue(http)
        demand = Demand(hotels, self._leads, options.seed)
        judge = auditor.Auditor(self._ground.databases["agency"], _wanted(rooms, demand))
        travellers = Travellers(mirror, rooms, demand, options.seed)
        self._picture.tally = travellers.tally
        self._phase("the first load")
        opening = asyncio.create_task(self.door.start())
        await asyncio.gather(*(node.start() for node in self.nodes))
        began = self.seconds
        watching = asyncio.create_task(self._watch(http))
        try:
            load = await self._load(http, judge) | {"quota_seconds": quota_seconds(mirror, options.size.hotels)}
            await opening
            self._phase("people come, faults strike")
            await self._plan(
                http, chaos.episodes(options.seed, supplier_names(options.size.suppliers), options.seconds)
            )
            await self._open(http, travellers)
            await self._plan(http, [])
            self._phase("the faults have stopped")
            await travellers.leave()
            await asyncio.sleep(CALM_SECONDS)
            ended = await self._end(http, judge, travellers, load, self.seconds - began)
        finally:
            await _ended(opening, watching)
        return summary(ended), ended.audit.wrong

    async def _catalogue(self, http: ClientSession) -> tuple[list[Room], list[int]]:
        """What people can look for, as the agency's site lists it: all rooms, and how many each hotel has."""
        size = self._options.size
        found = [
            Room(name, f"{name}-h{hotel:04d}-r{room}")
            for name in supplier_names(size.suppliers)
            for hotel in range(size.hotels)
            for room in range(size.rooms)
        ]
        return found, [size.rooms] * (size.suppliers * size.hotels)

    async def _load(self, http: ClientSession, judge: auditor.Auditor) -> dict[str, Any]:
        """Wait until every cell of every supplier is published; what it took."""
        began, size = self.seconds, self._options.size
        units = size.suppliers * size.hotels * (HORIZON // 10)
        while True:
            figures = await self._figures(http)
            if sum(seen["units"] for seen in figures["suppliers"].values()) >= units and await self._loaded(judge):
                break
            if self.seconds - began > LOAD_SECONDS:
                break
            for node in self.nodes:
                node.check()
            self._picture.observed = 60 * size.rooms * sum(seen["units"] for seen in figures["suppliers"].values()) // 6
            await asyncio.sleep(0.1)
        seconds, queries = self.seconds - began, _queries(figures)
        used = await self._node_figures()
        self._view.event(self.seconds, f"every cell is published: {queries:,} queries in {seconds:.1f} s")
        return {
            "cells": self._picture.observed,
            "of": self._picture.cells,
            "seconds": round(seconds, 2),
            "queries": queries,
            **{f"node_{name}": value for name, value in used.items()},
        }

    async def _loaded(self, judge: auditor.Auditor) -> bool:
        """Whether every cell is durably in the copy."""
        found = [await judge.loaded(copy, zone_of(name), HORIZON) for name, copy in (await judge.copies()).items()]
        rooms, size = self._options.size.rooms, self._options.size
        self._picture.observed, self._picture.cells = (rooms * sum(part) for part in zip(*found, strict=True))
        return self._picture.observed == size.suppliers * size.hotels * rooms * HORIZON

    async def _open(self, http: ClientSession, travellers: Travellers) -> None:
        """Let people in while an inspector looks on."""
        options, chance = self._options, Random(f"inspector {self._options.seed}")
        coming = asyncio.create_task(travellers.come(options.seconds, options.size.visits))
        killing = asyncio.create_task(self._kill(options.seconds / 3) if len(self.nodes) > 1 else asyncio.sleep(0))
        try:
            while not coming.done():
                await travellers.inspect(http, self._url, chance)
                await asyncio.wait([coming], timeout=INSPECT_EVERY_SECONDS)
            coming.result()
            await killing
        finally:
            await _ended(coming, killing)

    async def _kill(self, after: float) -> None:
        """Kill a node (-9), and start it again a little later; another one takes over its suppliers."""
        await asyncio.sleep(after)
        node = self.nodes[0]
        await node.kill()
        self._view.event(self.seconds, f"killed {node.name} (-9)")
        await asyncio.sleep(AWAY_SECONDS)
        await node.start()
        self._view.event(self.seconds, f"started {node.name} again")

    async def _end(
        self, http: ClientSession, judge: auditor.Auditor, travellers: Travellers, load: dict[str, Any], seconds: float
    ) -> Ended:
        self._phase("auditing")
        for name, copy in (await judge.copies()).items():
            stored, words = await judge.stored(copy)
            async with http.get(f"{self._url}/truth/{name}") as answer:
                truth = msgspec.json.decode(await answer.read())
            judge.judge(stored, words, truth, zone_of(name))
        memory = (await self._node_figures())["memory"]
        suspects, gone = await judge.count(auditor.SUSPECTS), await judge.count(auditor.GONE)
        figures, alarms = await self._figures(http), await judge.alarms()
        kills = sum(node.kills for node in self.nodes)
        return Ended(seconds, load, figures, travellers.tally, judge.audit, suspects, gone, alarms, memory, kills)

    async def _plan(self, http: ClientSession, episodes: list[chaos.Episode]) -> None:
        async with http.post(f"{self._url}/plan", json=[one._asdict() for one in episodes]) as answer:
            answer.raise_for_status()

    async def _figures(self, http: ClientSession) -> dict[str, Any]:
        async with http.get(f"{self._url}/figures") as answer:
            figures: dict[str, Any] = msgspec.json.decode(await answer.read())
        return figures

    async def _node_figures(self) -> dict[str, Any]:
        """The memory and the computing of all nodes together."""
        figures: Counter[str] = Counter()
        for node in self.nodes:
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            figures.update(msgspec.json.decode(await reader.read()))
            writer.close()
        return dict(figures)

    async def _watch(self, http: ClientSession) -> None:
        picture = self._picture
        size = self._options.size
        picture.cells = size.suppliers * size.hotels * size.rooms * HORIZON
        while True:
            self.suppliers.check()
            for node in self.nodes:
                if not node.kills:
                    node.check()
            figures = await self._figures(http)
            picture.seconds, picture.queries = self.seconds, _queries(figures)
            picture.changes, picture.faults = figures["changes"], figures["faults"]
            self._view.show(picture)
            await asyncio.sleep(VIEW_EVERY_SECONDS)

    def _phase(self, phase: str) -> None:
        self._picture.phase = phase
        self._view.event(self.seconds, phase)


async def _ended(*tasks: asyncio.Task[None]) -> None:
    """Cancel these and wait for them; the error of one is raised."""
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)


def _queries(figures: dict[str, Any]) -> int:
    return sum(sum(seen["queries"].values()) for seen in figures["suppliers"].values())


def _wanted(rooms: list[Room], demand: Demand) -> auditor.Wanted:
    names = [room.name for room in rooms]
    weights = dict(zip(names, demand.weights, strict=True))
    return auditor.Wanted(weights, dict(zip(names, demand.classes, strict=True)), np.array(demand.leads))


def _suppliers(options: Options, ground: Ground, port: int, url: str, secret: bytes) -> Service:
    size = options.size
    said = {
        "suppliers": size.suppliers,
        "hotels": size.hotels,
        "rooms": size.rooms,
        "bursts": size.bursts,
        "limit": options.limit,
        "window": window_of(options.speed),
        "agreed": AGREED,
        "seed": options.seed,
        "port": port,
        "door": url,
        "secret": secret.hex(),
    }
    arguments = ["-m", "supplier_service", *(f"--{name}={value}" for name, value in said.items()), "--tied"]
    return Service("suppliers", arguments, port, ground.folder / "suppliers.log", path=Path(__file__).parent)


def _node(terms: Terms, ground: Ground, port: int, number: int) -> Service:
    said = {**terms._asdict(), "db": ground.url("agency"), "port": port}
    arguments = ["-m", "tieout.demo.hotels.node", *(f"--{name}={value}" for name, value in said.items()), "--tied"]
    name = f"node-{number}"
    return Service(name, arguments, port, ground.folder / f"{name}.log")


def _door(terms: Terms, ground: Ground, port: int, secret: bytes) -> Service:
    settings = ground.folder / "door.toml"
    door.write_settings(settings, secret, terms.suppliers)
    arguments = ["-c", SERVE, "serve", "tieout.demo.hotels.door:app", "--run=api", f"--port={port}"]
    environment = {door.VARIABLE: door.told(terms, ground.url("agency"))}
    log = ground.folder / "door.log"
    return Service("door", [*arguments, f"--config={settings}"], port, log, environment=environment)


async def direct(options: Options) -> int:
    """Run the demo and print its result; 0 only when every promise was kept."""
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    ground = await make_ground(options.db, {"agency": "agency.db"})
    logging.getLogger("tieout").addHandler(logging.FileHandler(ground.folder / "shop.log"))
    keep = options.keep
    try:
        with View(on_stderr=options.json) as view:
            run = Run(options, ground, view)
            try:
                found, wrong = await run.play()
            finally:
                await run.stop()
        keep = keep or not found["kept"]
        _report(options, view, found, wrong)
        if keep:
            view.say(f"kept: {ground.folder} {ground.databases['agency']}")
    finally:
        if not keep:
            await clear_ground(ground)
    return 0 if found["kept"] else 1


def _report(options: Options, view: View, found: dict[str, Any], wrong: list[auditor.Wrong]) -> None:
    view.table(freshness_table(found))
    view.table(suppliers_table(found))
    view.result("hotels: is the copy true?", {name: found[name] for name in SHOWN}, style_of)
    view.say("Every promise was kept." if found["kept"] else f"NOT kept: {'; '.join(found['broken'])}")
    for one in wrong[: auditor.WRONG_SHOWN]:
        view.say(f"wrong: {one.room} {one.day}: {one.what}")
    if options.json:
        print(json.dumps(found, separators=(",", ":")), flush=True)
