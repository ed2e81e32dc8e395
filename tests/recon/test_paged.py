"""Sides whose rows come from an HTTP API, page by page, from a server on this machine."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from tests.recon.conftest import DAY, NOON, compared
from tests.servers.process import free_port
from tieout.errors import DefinitionError, SourceUnreadable
from tieout.recon import Paged, epoch, http, reached, same, side
from tieout.recon.paging import ATTEMPTS, pages

TABLE = "CREATE TABLE t (id INTEGER, amount DECIMAL(30,9), done BIGINT)"
EXACT = "12345678901234567.123456789"


class Shop:
    """An API with five rows, two to a page; `troubles` are answered first, one to a request."""

    def __init__(self) -> None:
        self.rows = [f'{{"id":{n},"amount":{n}.50,"state":"paid","at":"2026-11-22T12:00:0{n}Z"}}' for n in range(1, 6)]
        self.troubles: list[tuple[int, dict[str, str]]] = []
        self.asked: list[dict[str, str]] = []

    async def numbered(self, request: web.Request) -> web.Response:
        if (trouble := self._trouble(request)) is not None:
            return trouble
        first = 2 * (int(request.query["page"]) - 1)
        return self._answer("[%s]", self.rows[first : first + 2])

    async def chained(self, request: web.Request) -> web.Response:
        if (trouble := self._trouble(request)) is not None:
            return trouble
        first = int(request.query.get("after", "0"))
        following = json.dumps(first + 2 if first + 2 < len(self.rows) else None)
        return self._answer(f'{{"data":{{"items":[%s]}},"meta":{{"next":{following}}}}}', self.rows[first : first + 2])

    async def clamped(self, request: web.Request) -> web.Response:
        first = 2 * min(int(request.query["page"]) - 1, 2)
        return self._answer("[%s]", self.rows[first : first + 2])

    async def endless(self, request: web.Request) -> web.Response:
        return self._answer('{"data":{"items":[%s]},"meta":{"next":"again"}}', self.rows)

    def _trouble(self, request: web.Request) -> web.Response | None:
        self.asked.append(dict(request.query))
        if not self.troubles:
            return None
        status, headers = self.troubles.pop(0)
        return web.Response(status=status, headers=headers)

    def _answer(self, envelope: str, rows: list[str]) -> web.Response:
        return web.Response(text=envelope % ",".join(rows), content_type="application/json")


@pytest.fixture
async def shop():
    """The API, at `shop.url`."""
    shop, app, port = Shop(), web.Application(), free_port()
    for name in ("numbered", "chained", "clamped", "endless"):
        app.router.add_get(f"/{name}", getattr(shop, name))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    shop.url = f"http://127.0.0.1:{port}"
    yield shop
    await runner.cleanup()


def numbered(shop, query: str = "") -> Paged:
    return http(f"{shop.url}/numbered{query}", page="page", per_second=1_000)


def chained(shop) -> Paged:
    return http(f"{shop.url}/chained", rows="data.items", cursor=("meta.next", "after"), per_second=1_000)


async def fetched(source: Paged) -> tuple[list, list[float]]:
    """Its rows, and how long it would have waited before each further request."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return [row async for page in pages(source, source.url, sleep) for row in page], waits


def ruled(app, made_url: str, source: Paged):
    kinds = {"id": "integer", "amount": "number", "at": "moment"}
    return app.rule(
        "paid",
        upstream=side(made_url, table="t", key="id", at=epoch("done", "us")),
        downstream=side(source, key="id", when=reached("state", {"paid"}), at="at", types=kinds),
        agree=[same("amount")],
    )


@pytest.mark.parametrize("paging", [numbered, chained])
async def test_an_api_is_a_side(app, made, shop, tmp_path, paging) -> None:
    """All pages are compared with a table, however the API pages; numbers are exact, whatever a float would say."""
    shop.rows[3] = f'{{"id":4,"amount":{EXACT},"state":"paid","at":"2026-11-22T13:00:04+01:00"}}'
    shop.rows[4] = shop.rows[4].replace("paid", "open")
    amounts = ["1.5", "2.49", "3.5", f"'{EXACT}'", "5.5"]
    values = ", ".join(f"({n}, {amount}, {NOON})" for n, amount in enumerate(amounts, 1))
    table = TABLE.replace("DECIMAL(30,9)", "numeric")
    ours = await made("postgres", "up", table, f"INSERT INTO t VALUES {values.replace(chr(39), '')}")
    async with app() as opened:
        ruled(opened, ours, paging(shop))
        ended, breaks = await compared(opened, "paid", tmp_path)
    assert {key: one.outcome for key, one in breaks.items()} == {("2",): "differs", ("5",): "missing"}
    assert ended.totals["tied"] == 3


async def test_what_may_pass_is_asked_for_again_as_late_as_the_api_wants(shop) -> None:
    """A busy API is waited for as long as it says; no page is lost by it, and none is fetched twice."""
    shop.troubles = [(429, {"Retry-After": "7"}), (503, {}), (500, {})]
    rows, waits = await fetched(numbered(shop))
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert waits[:3] == [7.0, 2.0, 4.0]
    assert [one["page"] for one in shop.asked] == ["1", "1", "1", "1", "2", "3", "4"]


async def test_requests_are_as_far_apart_as_said(shop) -> None:
    """An API that allows four requests a second is asked no more often."""
    _, waits = await fetched(http(f"{shop.url}/numbered", page="page", per_second=4))
    assert waits == [0.25] * 3


@pytest.mark.parametrize("status", [401, 404, 302])
async def test_what_will_not_pass_is_told_at_once(shop, status) -> None:
    """Nothing is compared with half of the rows."""
    shop.troubles = [(status, {})]
    with pytest.raises(SourceUnreadable, match=f"answers {status}"):
        await fetched(numbered(shop))
    assert len(shop.asked) == 1


async def test_an_api_that_stays_away_ends_the_comparison(app, made, shop, tmp_path) -> None:
    """After the last attempt the side cannot be read; what earlier comparisons found stands."""
    shop.troubles = [(500, {})] * ATTEMPTS
    with pytest.raises(SourceUnreadable, match="answers 500"):
        await fetched(chained(shop))
    assert len(shop.asked) == ATTEMPTS


async def test_answers_that_lead_in_a_circle_or_lack_what_is_compared_are_refused(app, made, shop, tmp_path) -> None:
    """The same cursor twice, or the last page again and again, would never end; a field of no row is a mistake."""
    source = http(f"{shop.url}/endless", rows="data.items", cursor=("meta.next", "after"), per_second=1_000)
    with pytest.raises(SourceUnreadable, match="for the second time"):
        await fetched(source)
    for url in (f"{shop.url}/clamped", f"{shop.url}/clamped?page=1"):
        with pytest.raises(SourceUnreadable, match="the same rows as the one before"):
            await fetched(http(url, page="page" if "?" not in url else "number", per_second=1_000))
    with pytest.raises(SourceUnreadable, match="has no list"):
        await fetched(http(f"{shop.url}/chained", rows="items", cursor=("next", "after")))
    ours = await made("sqlite", "up", TABLE, f"INSERT INTO t VALUES (1, 1.5, {NOON})")
    shop.rows = [row.replace("amount", "total") for row in shop.rows]
    async with app() as opened:
        rule = ruled(opened, ours, numbered(shop))
        with pytest.raises(SourceUnreadable, match="no row has amount"):
            await opened.recon.run(rule.name, DAY, folder=tmp_path)


async def test_the_period_is_asked_for(app, made, shop, tmp_path) -> None:
    """`{date}`, `{since}` and `{until}` in the URL are the period's, with its edges."""
    ours = await made("sqlite", "up", TABLE, f"INSERT INTO t VALUES (1, 1.5, {NOON})")
    async with app() as opened:
        ruled(opened, ours, numbered(shop, "?day={date}&from={since}&to={until}"))
        await compared(opened, "paid", tmp_path)
    assert shop.asked[0] == {
        "day": "2026-11-22",
        "from": "2026-11-21T23:50:00Z",
        "to": "2026-11-23T00:10:00Z",
        "page": "1",
    }


@pytest.mark.parametrize(
    "said",
    [
        {"url": "ftp://x", "page": "page"},
        {"url": "http://x"},
        {"url": "http://x", "page": "page", "cursor": ("next", "after")},
        {"url": "http://x", "page": "page", "per_second": 0},
    ],
)
def test_what_cannot_be_paged_is_refused(said) -> None:
    """One way to page, over HTTP, and not for ever."""
    with pytest.raises(DefinitionError, match="http: "):
        http(**said)


def test_secrets_are_not_shown() -> None:
    """Headers, which may hold a token, stand in no log."""
    assert "secret" not in repr(http("https://x", page="page", headers={"Authorization": "secret"}))
