"""The ASGI application: Litestar's routes behind our front."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Server
from litestar.routes import HTTPRoute

from tieout.app import App
from tieout.server.auth import permitted
from tieout.server.describing import described
from tieout.server.front import Front
from tieout.server.problems import answer_error
from tieout.server.routes.every import all_routes
from tieout.server.settings import Settings
from tieout.server.site import Site, make_site

DESCRIPTION = """Processes that make business results agree across systems: start them, look at them, operate them.

Every request but the callbacks needs a token: `Authorization: Bearer tieout_…`. Refusals are problem details (RFC 9457)
whose `code` never changes its meaning."""


def asgi(app: App, settings: Settings | None = None, *, prefix: str = "") -> Front:
    """The HTTP API of an App, as an ASGI application to serve by itself or to mount in another at any path.

    Mounted, the App is opened and closed by its host (`async with app:`), since a mounted application is not told of
    its host's beginning and end; served by itself, it opens the App. Process types have to be registered before.
    `prefix` is for hosts that do not take it from the path, such as Django.
    """
    chosen = settings or Settings()
    site = make_site(app, chosen)
    return Front(_litestar(site), site, prefix or chosen.prefix)


def _litestar(site: Site) -> Litestar:
    description = OpenAPIConfig(
        title="tieout",
        version=version("tieout"),
        description=DESCRIPTION,
        path="/v1/openapi",
        render_plugins=[],
        use_handler_docstrings=True,
        servers=[Server(url="/")],
        operation_id_creator=lambda handler, _, __: handler.handler_name,
        components=Components(
            security_schemes={"token": SecurityScheme(type="http", scheme="bearer", bearer_format="tieout_…")}
        ),
    )

    def with_site(config: AppConfig) -> AppConfig:
        config.state["site"] = site
        return config

    return Litestar(
        route_handlers=all_routes(site),
        guards=[permitted],
        exception_handlers={Exception: answer_error},
        openapi_config=description,
        on_app_init=[with_site],
        logging_config=None,
        debug=False,
        request_max_body_size=site.settings.max_body,
    )


def openapi(app: App, settings: Settings | None = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an App's API."""
    return described(_litestar(make_site(app, settings or Settings())).openapi_schema.to_schema())


def routes_of(app: App, settings: Settings) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Every described route: method, path, the first line of what it does, and who may use it."""
    litestar = _litestar(make_site(app, settings))
    return [
        (method, route.path_format, (handler.fn.__doc__ or "").partition("\n")[0], dict(handler.opt))
        for route in sorted(litestar.routes, key=lambda one: one.path_format)
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in sorted(handler.http_methods)
        if handler.resolve_include_in_schema() and method != "OPTIONS"
    ]
