"""`/v1/openapi.json`, `/v1/docs` and `/v1/tieout.js`: what the API is, a viewer for it, and its client for browsers.

Every file ships with us.
"""

from __future__ import annotations

import gzip
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import msgspec
from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from tieout.browser import serve_module
from tieout.errors import NotAuthenticated, UnknownPage
from tieout.server.describing import OPEN, described
from tieout.server.site import Asked, site_of

FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "viewer.js": "text/javascript",
    "favicon.png": "image/png",
}

POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The viewer sets styles by itself; scripts and everything else come from here alone."""


@get("/v1/openapi.json", include_in_schema=False, **OPEN)
async def openapi_json(request: Asked) -> Response[bytes]:
    """The description of the API, OpenAPI 3.1."""
    _check_open(request)
    here = {"servers": [{"url": request.scope.get("tieout.prefix", "") or "/"}]}
    return Response(msgspec.json.encode(_document(request.app) | here), media_type="application/json")


@get("/v1/docs", include_in_schema=False, **OPEN)
async def viewer(request: Asked) -> Response[bytes]:
    """The page of the viewer."""
    _check_open(request)
    page = asset("index.html").replace(b'"docs/', f'"{request.scope.get("tieout.prefix", "")}/v1/docs/'.encode())
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": POLICY})


@get("/v1/docs/{name:str}", include_in_schema=False, **OPEN)
async def viewer_file(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """A file of the viewer's."""
    _check_open(request)
    if name not in FILES:
        raise UnknownPage("the viewer has no such file")
    return Response(asset(name), media_type=FILES[name], headers={"Cache-Control": "max-age=3600"})


@get("/v1/tieout.js", include_in_schema=False, **OPEN)
async def browser_module(request: Asked) -> Response[bytes]:
    """The client for pages in browsers, which is no secret."""
    served = serve_module(request.headers.get("if-none-match", ""))
    return Response(served.body, status_code=served.status, headers=served.headers, media_type="text/javascript")


@cache
def asset(name: FromPath[str]) -> bytes:
    """A file that ships with us; long ones are packed."""
    folder = resources.files("tieout.server") / "assets"
    packed = folder / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / name).read_bytes()


@lru_cache(maxsize=8)
def _document(app: Litestar) -> dict[str, Any]:
    return described(app.openapi_schema.to_schema())


def _check_open(request: Asked) -> None:
    if not site_of(request).settings.open_docs and request.scope.get("tieout.caller") is None:
        raise NotAuthenticated("this needs a token: Authorization: Bearer tieout_…")


ROUTES: list[HTTPRouteHandler] = [openapi_json, viewer, viewer_file, browser_module]
