"""A network that refuses, swallows, delays, half-closes and loses COMMIT's answer: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.proxy.auditor import LONGEST, Told, audit
from tests.proxy.business import Company
from tests.proxy.load import DRIVERS, Servers, door_of
from tests.proxy.network import FAULTS, GAP, plan
from tests.proxy.prove import run_all
from tests.servers.proxy import Proxy
from tieout import Pending

SECONDS, SEED = 6, 1


@pytest.fixture(scope="module")
def servers():
    """One server of each kind, each run and test with a database of its own."""
    with Servers(*DRIVERS) as servers:
        yield servers


@pytest.fixture(scope="module")
def runs(servers):
    """One run of each driver, all beside each other."""
    return asyncio.run(run_all(servers, [*DRIVERS], SECONDS, SEED))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_bad_network_loses_and_doubles_nothing(runs, driver):
    """Every fault strikes; the clients' log, the company's books and the database agree, and all ends in time."""
    assert runs[driver].violations == []
    assert runs[driver].never == []
    assert runs[driver].counts["pools recovered"] == 1


class Slow(Company):
    """It has not done a thing until it is queried; when it is asked for it, the next look at the process is lost."""

    proxy: Proxy

    def issue(self, key, request):
        self.proxy.lose("before", after_read_only())
        super().issue(key, request)
        return Pending(after=2)


def after_read_only():
    """True of the first statement of a transaction that only reads."""
    begun = False

    def is_first(data: bytes) -> bool:
        nonlocal begun
        was, begun = begun, b"READ ONLY" in data
        return was

    return is_first


@pytest.mark.parametrize("driver", DRIVERS)
async def test_what_is_accepted_is_never_told_as_failed(servers, driver):
    """Who waits for the result is given it, though the connection breaks by which it is looked at meanwhile."""
    company = Slow(seed=1)
    port, url, read = await servers.place(driver)
    async with Proxy(port).running() as company.proxy:
        door = door_of(driver, url(company.proxy.port), company)
        await door.open()
        try:
            await door.start("1-1", "1", wait=20)
        finally:
            await door.close()
    assert company.proxy.hits == 1
    assert read("SELECT status FROM tieout_process") == "final"


def test_a_plan_is_its_seed_and_holds_every_fault_in_each_round():
    """The same seed strikes in the same order; another does not."""

    def rounds(seed):
        drawn = plan(seed)
        return [next(drawn) for _ in range(3 * len(FAULTS))]

    assert rounds(7) == rounds(7) != rounds(8)
    assert Counter(fault for _, fault in rounds(7)) == dict.fromkeys(FAULTS, 3)
    assert all(1 <= gap <= GAP for gap, _ in rounds(7))


GOOD = {
    "SELECT request FROM written": "w",
    "SELECT request, what FROM taken": "r\tdeducted\nr\tcompleted",
    "SELECT sum(points) FROM account": "-1",
    "SELECT count(*) FROM tieout_process": "1",
}
DONE = (Told("redeem", "r", "done", "", 0.1), Told("write", "w", "done", "", 0.1))


def audited(log=DONE, issued=(("key", "r"),), **answers):
    """What the auditor says; `answers` replace those of the database, by the table that is asked."""
    said = {sql: answers.get(sql.rpartition(" ")[2], answer) for sql, answer in GOOD.items()}
    return list(audit(log, dict(issued), said.__getitem__))


def test_an_auditor_is_content_with_what_agrees():
    """Nothing is said of a run in which the three sides agree, nor of what is unknown and not there."""
    assert audited() == []
    unknown = (*DONE, Told("redeem", "q", "unknown", "commit-unknown", 1), Told("write", "v", "unknown", "", 1))
    assert audited(unknown) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"written": ""}, "the write w, done, is there 0 times"),
        ({"written": "w\nw"}, "the write w, done, is there 2 times"),
        ({"written": "w\nv"}, "the write v is there, and nobody made it"),
        ({"log": (DONE[0], Told("write", "w", "failed", "", 0.1))}, "the write w, failed, is there 1 times"),
        (
            {"log": (Told("redeem", "r", "failed", "", 0.1), DONE[1])},
            "r, failed: deducted, issued, completed, given back (1, 1, 1, 0) times",
        ),
        ({"log": DONE[1:]}, "r has effects, and nobody asked for it"),
        ({"log": (*DONE, Told("redeem", "r", "foreign", "OSError()", 0.1))}, "r was told OSError()"),
        ({"log": (*DONE, Told("redeem", "r", "done", "", LONGEST + 1))}, "only after"),
        ({"issued": ()}, "(1, 0, 1, 0) times"),
        ({"issued": (("key", "r"), ("other", "r"))}, "(1, 2, 1, 0) times"),
        ({"taken": ""}, "(0, 1, 0, 0) times"),
        ({"account": "-2"}, "2 points were taken, and 1 by what is written"),
        ({"tieout_process": "2"}, "2 processes for 1 requests"),
    ],
)
def test_an_auditor_says_what_is_wrong(wrong, said):
    """Each thing that must not be is told in words."""
    assert any(said in line for line in audited(**wrong))
