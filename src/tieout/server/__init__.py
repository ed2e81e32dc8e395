"""The HTTP API of an App, served by `tieout serve` or mounted in another ASGI application."""

from tieout.server.app import asgi, openapi
from tieout.server.settings import Proxy, Sender, Settings

__all__ = ["Proxy", "Sender", "Settings", "asgi", "openapi"]
