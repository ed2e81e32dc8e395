"""`tieout message`: messages that came in and could not be taken in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from tieout.cli.printing import Json, ago, emit, facts, note, say, table, when
from tieout.cli.where import ANYWHERE, Where, opened, server_now
from tieout.cli.who import Who
from tieout.errors import PayloadUnreadable
from tieout.letters.store import LAST, Letter
from tieout.message_documents import message_document

commands = cyclopts.App(name="message", help="Messages that came in and whose effect failed: list, show, replay, drop.")

OfOne = Annotated[int, Parameter(help="Its number: see `tieout message list`.")]
Numbers = Annotated[list[int], Parameter(help="Their numbers: see `tieout message list`.", negative="")]


@commands.command(name="list")
async def list_messages(
    *,
    source: Annotated[str, Parameter(name="--from", help="Only what came from this channel/topic.")] = "",
    state: Annotated[Literal["any", "waiting", "dead"], Parameter(help="Only in this state.")] = "any",
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=1_000), help="How many, 1 to 1000.")] = 50,
    before: Annotated[int, Parameter(help="Go on behind the message with this number.", show_default=False)] = LAST,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """List messages that could not be taken in, the latest first; with --json, one document a line.

    A waiting one is tried again when it is due; a dead one waits for a person.
    """
    async with opened(where) as app:
        page = await app.letters.list(source=source, state=state, before=before, limit=limit)
        now = await server_now(app)
    if json:
        for letter in page:
            emit(message_document(letter))
        return
    rows = [
        (one.id, one.address, one.message_id.decode(errors="replace"), *_standing(one, now), one.code, one.note)
        for one in page
    ]
    table(("number", "from", "message", "received", "tries", "next try", "code", "reason"), rows)
    if len(page) == limit:
        note(f"more: --before {page[-1].id}")


@commands.command
async def show(number: OfOne, /, *, where: Where = ANYWHERE, json: Json = False) -> None:
    """Show one message: where it came from, what it says, and why it could not be taken in."""
    async with opened(where) as app:
        letter, now = await app.letters.show(number), await server_now(app)
    document = message_document(letter)
    if json:
        emit(document)
        return
    say(f"message {letter.id} from {letter.address}")
    facts(
        [
            ("message id", document.message_id),
            ("topic", document.topic),
            ("key", document.key),
            ("received", when(letter.received, now)),
            ("state", document.state),
            ("tries", letter.attempts),
            ("next try", when(letter.due, now)),
            ("failed with", f"[{letter.code}] {letter.note}"),
            *(("header", f"{name}: {value}") for name, value in document.headers.items()),
            ("size", f"{letter.size} bytes{'' if letter.is_whole else f', {len(letter.body)} of them kept'}"),
        ]
    )
    say()
    if letter.unreadable:
        note(f"[{PayloadUnreadable.code}] the App that is given here cannot read headers and body")
        return
    say(document.body if document.encoding == "utf-8" else f"(base64) {document.body}")


@commands.command
async def replay(numbers: Numbers, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> None:
    """Have messages tried again, now and as often as new ones; a worker that consumes their source does it."""
    async with opened(where) as app:
        await _each(app.letters.replay, numbers, who, "is tried again", as_json=json)


@commands.command
async def drop(numbers: Numbers, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> None:
    """Forget messages: what they say does not happen. The audit keeps who dropped them, and why."""
    async with opened(where) as app:
        await _each(app.letters.drop, numbers, who, "dropped", as_json=json)


async def _each(
    act: Callable[..., Awaitable[Letter]], numbers: list[int], who: Who, done: str, *, as_json: bool
) -> None:
    for number in numbers:
        letter = await act(number, actor=who.act.actor, reason=who.reason)
        if as_json:
            emit(message_document(letter))
        else:
            say(f"message {number} {done}")


def _standing(letter: Letter, now: int) -> tuple[str, int, str]:
    return ago(letter.received, now), letter.attempts, "dead" if letter.due is None else ago(letter.due, now)
