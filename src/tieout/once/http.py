"""Once for HTTP: which requests are covered, who owns their keys, what is kept of an answer, how refusals read."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from fnmatch import translate
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from tieout.errors import (
    ConfigError,
    DatabaseError,
    DefinitionError,
    InvalidKey,
    KeyInFlight,
    LengthRequired,
    Overloaded,
    ParamsChanged,
    TieoutError,
    TooLarge,
    Unrepeatable,
)
from tieout.once.answers import Absent, Answered, HttpAnswer, InFlight
from tieout.once.define import NO_FINGERPRINT, check_scope, options
from tieout.once.engine import Engine, UndoneError
from tieout.once.rules import TRANSIENT, Kept, Request, Stored, disposal, http_fingerprint, identify
from tieout.wire.idempotency_key import HEADER, REPLAYED, parse_key
from tieout.wire.problem import CONTENT_TYPE, problem

Owner: TypeAlias = Callable[[Mapping[str, Any]], str]
"""Names the caller of a request, from its ASGI scope or WSGI environ: the account that its token belongs to."""

NOT_KEPT = frozenset(
    {"connection", "date", "keep-alive", "server", "set-cookie", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that belong to one exchange, and cookies, which may hold a session."""

_STATUSES: Mapping[type[TieoutError], int] = {
    InvalidKey: 400,
    KeyInFlight: 409,
    LengthRequired: 411,
    TooLarge: 413,
    ParamsChanged: 422,
    Unrepeatable: 500,
    Overloaded: 503,
}

_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...])


class Call(NamedTuple):
    """What a request asks for. `context` is what its server knows of it: the ASGI scope, or the WSGI environ."""

    method: str
    path: str
    query: bytes
    context: Mapping[str, Any]


class HttpRules(msgspec.Struct, frozen=True):
    """Which requests are covered, and how.

    methods        those that are not idempotent by themselves
    paths          patterns with `*`, compared with the whole path, case and all; `*` stands for slashes too
    required       False: a covered request without a key goes through unprotected, instead of being refused (400)
    wait           how long a duplicate waits for the request that is at work, before it is refused (409)
    keep           how long an answer is kept: longer than any caller may repeat its request
    max_request    longest body of a request, in bytes: it is read into memory before the route begins
    max_answer     longest body of an answer, in bytes: it is stored
    max_seconds    longest time that a route may take: its transaction is open so long, and holds a connection. An ASGI
                   route is ended then; a WSGI route cannot be, and is rolled back when it ends later
    oversize       a longer request is refused (413), or with "pass" goes through unprotected
    forgotten      statuses that are never kept, as 500 and above: nothing stays, and the request may be tried again
    documentation  address of a page that explains the codes of refusals
    """

    methods: frozenset[str] = frozenset({"POST", "PATCH"})
    paths: tuple[str, ...] = ("*",)
    required: bool = True
    wait: float | str = 0
    keep: float | str = "30d"
    max_request: int = 1_048_576
    max_answer: int = 1_048_576
    max_seconds: float = 20.0
    oversize: Literal["refuse", "pass"] = "refuse"
    forgotten: frozenset[int] = TRANSIENT
    documentation: str = ""


class ForgottenError(Exception):
    """Raised by work whose answer is not kept: roll back, and give it to this one request."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(f"answered {answer.status}")
        self.answer = answer


class HttpOnce:
    """Answers to HTTP requests, one for each key. Made by `app.http_once`."""

    def __init__(
        self,
        engine: Engine,
        scope: str,
        owner: Owner | None,
        rules: HttpRules,
        present: Callable[[Any], Any] | None = None,
    ) -> None:
        self.scope = check_scope(scope)
        self.rules = rules
        self.clock = engine.clock
        self.present = present or _as_it_is
        self._engine = engine
        self._owner = owner
        self._options = options(rules.wait, rules.keep)
        self._methods = frozenset(method.upper() for method in rules.methods)
        self._paths = _pattern(rules.paths)

    def covers(self, method: str, path: str) -> bool:
        """Whether a request with this method and path needs a key."""
        return method.upper() in self._methods and self._paths.fullmatch(path) is not None

    def key(self, fields: Sequence[bytes]) -> str | None:
        """The key of a covered request, from its header fields; None where it may do without. Raise `InvalidKey`."""
        key = parse_key(fields)
        if key is None and self.rules.required:
            raise InvalidKey(f"this request needs the header {HEADER}")
        return key

    def request(self, call: Call, key: str, body: bytes) -> Request:
        """The request of a call with this key; raise `InvalidKey`."""
        owner = "" if self._owner is None else self._owner(call.context)
        return identify(self.scope, owner, key, http_fingerprint(call.method, call.path, call.query, body))

    async def run(self, request: Request, route: Callable[[Any], Awaitable[HttpAnswer]]) -> Answered[HttpAnswer]:
        """The answer of the route, run now in one transaction with it, or the one that was kept.

        A route that answers below 400 commits. A refusal rolls back what the route wrote and is kept alone; a status
        in `forgotten`, or from 500 on, rolls back and is not kept.
        """
        fresh = HttpAnswer(500)

        async def work(tx: Any) -> Kept:
            nonlocal fresh
            fresh = answer = await route(self.present(tx))
            match disposal(answer.status, self.rules.forgotten):
                case "commit":
                    return _kept(answer)
                case "refuse":
                    raise UndoneError(_kept(answer))
                case "forget":
                    raise ForgottenError(answer)

        try:
            given = await self._engine.run(request, work, keep=self._options.keep, wait=self._options.wait)
        except ForgottenError as forgotten:
            return Answered(forgotten.answer, replayed=False)
        return Answered(_answer(given.kept) if given.replayed else fresh, given.replayed)

    async def find(self, key: str, /, *, owner: str = "") -> Answered[HttpAnswer] | InFlight | Absent:
        """What became of a key: what a GET by key answers. The promise is that of `Once.find`."""
        match await self._engine.find(identify(self.scope, owner, key, NO_FINGERPRINT)):
            case Stored(kept=kept):
                return Answered(_answer(kept), replayed=True)
            case found:
                return found

    def refused(self, error: TieoutError) -> Answered[HttpAnswer]:
        """The answer to a request that was refused with this error; raise one that is not a caller's to know."""
        status = _STATUSES.get(type(error))
        if status is None and isinstance(error, DatabaseError) and error.retryable:
            status = 503
        if status is None:
            raise error
        detail = "the database cannot answer now" if isinstance(error, DatabaseError) else str(error)
        body = problem(status, error.code, detail, self.rules.documentation)
        headers = [("content-type", CONTENT_TYPE), ("content-length", str(len(body)))]
        if status in {409, 503}:
            headers.append(("retry-after", "1"))
        return Answered(HttpAnswer(status, tuple(headers), body), replayed=False)


def sent_headers(answered: Answered[HttpAnswer]) -> list[tuple[str, str]]:
    """The headers to send, with the mark of an answer that was given before."""
    mark = ((REPLAYED, "true"),) if answered.replayed else ()
    return [*answered.value.headers, *mark]


def _as_it_is(tx: Any) -> Any:
    return tx


def _kept(answer: HttpAnswer) -> Kept:
    headers = [field for field in answer.headers if field[0].lower() not in NOT_KEPT]
    return Kept(None, answer.status, msgspec.json.encode(headers).decode(), answer.body)


def _answer(kept: Kept) -> HttpAnswer:
    return HttpAnswer(kept.status or 500, _headers.decode(kept.headers or "[]"), kept.body or b"")


def _pattern(paths: tuple[str, ...]) -> re.Pattern[str]:
    if isinstance(paths, str) or not all(isinstance(path, str) and path[:1] in {"/", "*"} for path in paths):
        raise DefinitionError(f'paths is a tuple of patterns such as "/prizes*", not {paths!r}')
    try:
        return re.compile("|".join(translate(path) for path in paths) or "(?!)")
    except re.error as error:
        raise ConfigError(f"paths: {error}") from error
