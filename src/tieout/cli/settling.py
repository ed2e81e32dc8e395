"""`tieout process settle`: a person decides, and where evidence says otherwise a second one agrees."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from tieout.cli import exits
from tieout.cli.printing import Json, emit, note
from tieout.cli.process import tell
from tieout.cli.where import ANYWHERE, Where, opened
from tieout.cli.which import BY_ID, Id, RequestKey
from tieout.cli.who import Who
from tieout.errors import ApprovalNeeded, ConfigError
from tieout.identity import parse_json, raw_id
from tieout.process.operating import Choice


async def settle(
    id: Id = None,
    /,
    *,
    by: RequestKey = BY_ID,
    call: Annotated[int, Parameter(validator=Number(gte=1), help="The number of the call: 1 is the first.")],
    choice: Annotated[Choice, Parameter(name="--as", help="What became of it.")],
    value: Annotated[
        str | None,
        Parameter(
            help="With succeeded: the answer, as JSON. Default: the claim that is kept.", allow_leading_hyphen=True
        ),
    ] = None,
    code: Annotated[str, Parameter(help="With failed: the code that the step is given.")] = "",
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Decide a call of a held process, or record how a conflict about a final one was resolved. Needs the App.

    Where a claim says otherwise, a second person has to give the same command: until then nothing changes, and the
    exit status is 1.
    """
    told = _told(choice, value, code)
    async with opened(where, code=True) as app:
        process = raw_id(by.id_or(id))
        try:
            await app.operate.settle(process, call, choice, who.act, told, code)
        except ApprovalNeeded as error:
            again = ["tieout", "process", "settle", process.hex(), "--call", str(call), "--as", choice]
            again += [*(["--value", value] if value is not None else []), *(["--code", code] if code else [])]
            _ask_second(str(error), [*again, *where.options], as_json=json)
            return exits.NO
        await tell(app, process, f"call {call} settled as {choice}", as_json=json)
    return exits.OK


def _told(choice: Choice, value: str | None, code: str) -> Any:
    """The answer that was given; raise `ConfigError` or `InvalidJson`."""
    if choice == "failed" and value is not None:
        raise ConfigError("--value belongs to --as succeeded; a failure has a --code")
    if choice == "succeeded" and code:
        raise ConfigError("--code belongs to --as failed; a success has a --value")
    return None if value is None else parse_json(value)


def _ask_second(message: str, again: list[str], *, as_json: bool) -> None:
    if as_json:
        emit({"error": {"code": ApprovalNeeded.code, "message": message}, "second_person_runs": again})
        return
    note(f"tieout: [{ApprovalNeeded.code}] {message}")
    note("A claim that is kept says otherwise, so it takes two persons. Nothing has changed yet. The second one runs:")
    note(f"  {shlex.join(again)} --actor THEIR-NAME --reason 'WHY'")
