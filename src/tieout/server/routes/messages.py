"""`/v1/messages`: messages that came in and could not be taken in."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from tieout.message_documents import MessageDocument, message_document
from tieout.server.describing import WITH_BODY, permits, refusals
from tieout.server.pages import MOST, Limit
from tieout.server.routes.commands import Why
from tieout.server.site import Asked, who

Number = Annotated[int, PathParameter(ge=1, le=MOST, description="The message's number.")]
Source = Annotated[str, QueryParameter(name="from", max_length=255, description="As `channel/topic`.")]
Standing = Annotated[Literal["any", "waiting", "dead"], QueryParameter(name="state")]
Before = Annotated[int, QueryParameter(ge=0, le=MOST, description="`next` of the page before; the newest without.")]


class MessagePage(msgspec.Struct, frozen=True):
    """Some messages, the newest first; `next` is where the page behind them begins, null at the end."""

    items: list[MessageDocument]
    next: int | None


@get("/v1/messages", tags=["messages"], responses=refusals(), **permits("message:read"))
async def list_messages(
    request: Asked, source: Source = "", standing: Standing = "any", before: Before = MOST, limit: Limit = 50
) -> MessagePage:
    """Messages that could not be taken in, the newest first: waiting to be tried again, or dead."""
    site, _ = who(request)
    found = await site.app.letters.list(source=source, state=standing, before=before, limit=limit + 1)
    page = found[:limit]
    return MessagePage([message_document(one) for one in page], page[-1].id if len(found) > limit else None)


@get("/v1/messages/{number:int}", tags=["messages"], responses=refusals(), **permits("message:read"))
async def get_message(request: Asked, number: Number) -> MessageDocument:
    """A message that could not be taken in, and why."""
    site, _ = who(request)
    return message_document(await site.app.letters.show(number))


@post(
    "/v1/messages/{number:int}/replay",
    status_code=200,
    tags=["messages"],
    responses=refusals(*WITH_BODY),
    **permits("message:handle"),
)
async def replay_message(request: Asked, number: Number, data: JSONBody[Why]) -> MessageDocument:
    """Have a message tried again, now and as often as a new one; a node that consumes its source does it."""
    site, caller = who(request)
    return message_document(await site.app.letters.replay(number, actor=caller.name, reason=data.reason))


@post(
    "/v1/messages/{number:int}/drop",
    status_code=200,
    tags=["messages"],
    responses=refusals(*WITH_BODY),
    **permits("message:handle"),
)
async def drop_message(request: Asked, number: Number, data: JSONBody[Why]) -> MessageDocument:
    """Forget a message: what it says does not happen. The audit keeps who dropped it, and why."""
    site, caller = who(request)
    return message_document(await site.app.letters.drop(number, actor=caller.name, reason=data.reason))


ROUTES = [list_messages, get_message, replay_message, drop_message]
