"""The shop's page: files that need nothing from elsewhere, and what an account has.

GET /             the page; its files beside it, tieout.js among them
GET /account      {user, points, prizes, api}
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from aiohttp import web

from tieout import App, Transaction
from tieout.browser import serve_module
from tieout.demo.points.redeem import CATALOGUE

VISITOR = "visitor"
"""Who uses the page: an account of its own, whose requests stand in no client's log."""

VISITOR_POINTS = 5_000

FILES = {
    "": ("index.html", "text/html"),
    "shop.css": ("shop.css", "text/css"),
    "shop.js": ("shop.js", "text/javascript"),
}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Shopfront:
    """The page and its files; `api` is where the shop's API is served, or empty."""

    def __init__(self, app: App, api: str) -> None:
        self._app = app
        self._api = api
        folder = resources.files("tieout.demo.points") / "shop_page"
        self._files = {name: ((folder / file).read_bytes(), kind) for name, (file, kind) in FILES.items()}

    def routes(self) -> Sequence[web.RouteDef]:
        """Its routes."""
        files = [web.get(f"/{name}", self.file) for name in FILES]
        return [*files, web.get("/tieout.js", self.module), web.get("/account", self.account)]

    async def file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path.removeprefix("/")]
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    async def module(self, request: web.Request) -> web.Response:
        served = serve_module(request.headers.get("If-None-Match", ""))
        return web.Response(body=served.body, status=served.status, headers=served.headers)

    async def account(self, request: web.Request) -> web.Response:
        user = request.query.get("user", VISITOR)

        async def points(tx: Transaction) -> int | None:
            row = await tx.fetch_one("SELECT points FROM account WHERE name = :user", user=user)
            return None if row is None else int(row[0])

        found = await self._app.database.read(points)
        if found is None:
            raise web.HTTPNotFound
        prizes = [{"sku": sku, "price": price} for sku, price in CATALOGUE.items()]
        told = {"user": user, "points": found, "prizes": prizes, "api": self._api}
        return web.json_response(told, headers={"Cache-Control": "no-store"})
