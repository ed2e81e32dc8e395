"""`/v1/events`: hints of what has changed, as server-sent events."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from tieout.server.describing import permits, refusals
from tieout.server.site import Asked, who

Topic = Literal["process", "alarm"]
Topics = Annotated[list[Topic] | None, QueryParameter()]
Last = Annotated[
    str,
    HeaderParameter(name="Last-Event-ID", required=False, max_length=40, description="The last hint received."),
]


@get(
    "/v1/events",
    tags=["events"],
    media_type="text/event-stream",
    response_headers=[ResponseHeader(name="X-Accel-Buffering", value="no", documentation_only=True)],
    responses={
        200: ResponseSpec(str, generate_examples=False, media_type="text/event-stream", description="Hints."),
        **refusals(),
    },
    **permits("process:read", "process:read-own"),
)
async def listen(request: Asked, topics: Topics = None, last: Last = "") -> Stream:
    """Hints that something has changed: `{"topic":"process","id":…}`. They may be lost: `dropped` says that some were.

    A client hears of its own processes only, and of no alarms. `Last-Event-ID` goes on where the connection broke.
    """
    site, caller = who(request)
    wanted: frozenset[str] = frozenset(topics or ("process", "alarm"))
    if not caller.may("alarm:read"):
        wanted -= {"alarm"}
    listener = site.hub.listen(caller.sees, wanted, last)
    headers = {"X-Accel-Buffering": "no"}
    return Stream(listener.events(), media_type="text/event-stream", headers=headers)


ROUTES = [listen]
