"""What an App is told before it is opened: its process types, handlers, consumers and mirrors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from tieout.config import duration
from tieout.contracts import Caller, Database, Delivery, Transaction
from tieout.database.sqlite import SqliteDatabase
from tieout.errors import DefinitionError, InvalidRequest, UsageError
from tieout.letters import Consuming
from tieout.messages.store import First
from tieout.once.define import Handler, Once, check_scope
from tieout.once.define import options as once_options
from tieout.once.engine import Engine as OnceEngine
from tieout.once.held import HeldDatabase, LoopWaiting, ThreadWaiting
from tieout.once.http import HttpOnce, HttpRules, Owner
from tieout.process.engine import Engine
from tieout.process.outcomes import Reported
from tieout.process.process import Process, type_of
from tieout.process.process_type import ProcessType
from tieout.process.reading import Told, read_report, read_request

if TYPE_CHECKING:
    from tieout.mirror.axis import Axis
    from tieout.mirror.demand import Demand
    from tieout.mirror.measuring import Slo
    from tieout.mirror.mirror import Mirror
    from tieout.mirror.schedule import Policy

T = TypeVar("T")
C = TypeVar("C", bound=type[Process[Any]])
P = TypeVar("P", bound=Process[Any])
H = TypeVar("H", bound=Callable[[Any, Delivery], Any])


class Declaring:
    """The half of `App` that is used before it is opened, by decorators for the most part."""

    is_blocking: ClassVar[bool] = False
    _waiting: ClassVar[type[LoopWaiting | ThreadWaiting]] = LoopWaiting
    _consuming: ClassVar[type[Consuming]] = Consuming
    _present: Callable[[Any], Any] | None = None

    database: Database
    engine: Engine
    answers: OnceEngine
    types: dict[str, ProcessType]
    consuming: Consuming
    _retrying: Database
    _given: Any
    _caller: Caller
    _scopes: set[str]
    mirrors: dict[str, Mirror]

    def register(self, cls: C) -> C:
        """Make a process type known to this App; use it as a decorator. Raise `DefinitionError` if it is not sound."""
        process_type = type_of(cls)
        if process_type.is_blocking is not self.is_blocking:
            here = "`def`: this App has no event loop", "`async def`: plain ones go with tieout.blocking.App"
            wanted = here[0] if self.is_blocking else here[1]
            raise DefinitionError(f"the steps of {process_type.name} have to be {wanted}")
        known = self.types.setdefault(process_type.name, process_type)
        if known is not process_type:
            raise DefinitionError(f"two process types are named {process_type.name!r}: {known.cls} and {cls}")
        return cls

    def once(self, scope: str, *, wait: float | str = 0, keep: float | str = "30d") -> Callable[[Handler[T]], Once[T]]:
        """Let a handler run once for each key; use it as a decorator.

        `async def handler(tx, ...)` becomes `await handler.run(key, ...)` and `await handler.find(key)`: it writes in
        `tx`, and its answer is stored by the same transaction. `wait` is how long a duplicate waits for the request
        that is at work, before `KeyInFlight` is raised. `keep` is how long an answer is kept: longer than any caller
        may repeat its request. Raise `DefinitionError` for a handler that cannot work.
        """
        options = once_options(wait, keep)

        def define(handler: Handler[T]) -> Once[T]:
            return Once(self.answers, self._new_scope(scope), handler, options, self._given or Transaction)

        return define

    def http_once(self, *, owner: Owner | None, scope: str = "http", rules: HttpRules | None = None) -> HttpOnce:
        """What the idempotency middleware answers from. `owner` names the caller of a request, from its ASGI scope.

        Without an owner (None) all callers share their keys, and one is given the answers to another's.
        """
        engine = self.answers
        if isinstance(self.database, SqliteDatabase):
            engine = engine.on(HeldDatabase(self.database, waiting=self._waiting))
        return HttpOnce(engine, self._new_scope(scope), owner, rules or HttpRules(), self._present)

    def mirror(
        self,
        name: str,
        *,
        axis: Axis,
        fields: dict[str, Any],
        policy: Policy,
        half_life: float | str = "1d",
        demand: Demand | None = None,
        slo: Slo | None = None,
    ) -> Mirror:
        """A local copy of suppliers' data: add suppliers to it, then read it. Needs the extra `mirror`.

        `half_life` is after how long half of the values are expected to have changed: it only sets `p_true`.
        `demand` predicts what is wanted, for tiers of the `hottest` units; `slo` says what is told by an alarm.
        Raise `DefinitionError` for fields or a policy that cannot work.
        """
        from tieout.mirror.mirror import Mirror, mirror_world

        self._check_has_loop("a mirror follows its suppliers")
        if name in self.mirrors:
            raise DefinitionError(f"two mirrors are named {name!r}")
        world = self.engine.world
        theirs = mirror_world(self._retrying, world.clock, self._caller, world.alarms, world.chance)
        mirror = self.mirrors[name] = Mirror(
            theirs, name, axis, fields, policy, half_life=duration(half_life), deps=world.deps, demand=demand, slo=slo
        )
        return mirror

    def _follow_suppliers(self, queries: int) -> None:
        """Follow the suppliers of all mirrors, with so many queries under way at a time."""
        if self.mirrors:
            from tieout.mirror.traffic import Traffic

            traffic = Traffic(self._retrying, self.engine.world.clock, queries)
            for mirror in self.mirrors.values():
                mirror.follow(traffic)

    def consume(self, source: str) -> Callable[[H], H]:
        """Let each message of `channel/topic` run a handler once, by its id; use it as a decorator.

        `async def handler(tx, message)` writes in `tx`, in which it is also noted that the message has come; then it is
        acknowledged. Messages of one key are handled in order; one whose handler raises is kept and tried again later,
        and does not hold up those behind it. Raise `DefinitionError` for a handler that is not `async def`.
        """

        def define(handler: H) -> H:
            if iscoroutinefunction(handler) is self.is_blocking:
                kind = "def" if self.is_blocking else "async def"
                raise DefinitionError(f"the handler of {source} must be `{kind} handler(tx, message)`")
            world = self.engine.world

            async def effect(message: Delivery, first: First) -> None:
                if not message.id:
                    raise InvalidRequest("this message has no id, so that nobody could tell it from its repetition")

                async def work(tx: Transaction) -> None:
                    if await first(tx):
                        await world.run_step(tx, lambda given: handler(given, message))

                await world.transact(work)

            self.consuming.declare(source, effect)
            return handler

        return define

    def consume_reports(self, source: str, *, read: Callable[[Delivery], Told] = read_report) -> None:
        """Take each message of `channel/topic` for a report of what became of a call, as `App.report` does.

        It holds the JSON of a callback, by itself or as the data of a CloudEvent. For another format give `read`, which
        returns the call's key and its outcome, and raises `InvalidParams` for what it cannot read.
        """

        async def effect(message: Delivery, first: First) -> None:
            await self._hear(*read(message), first)

        self.consuming.declare(source, effect)

    def consume_starts(
        self, source: str, cls: type[P], *, read: Callable[[Delivery], Process[Any]] | None = None
    ) -> None:
        """Start a process for each message of `channel/topic`, which holds its params as a JSON object.

        The request key is among them: the same request again, in whichever message, gets the process that there is. For
        another format give `read`, which returns the request. What the type refuses is a dead letter at once.
        """
        read_it = read or partial(read_request, type_of(cls))

        async def effect(message: Delivery, _: First) -> None:
            await self._begin(read_it(message))

        self.consuming.declare(source, effect)

    async def _hear(self, call_key: str, outcome: Reported, first: First) -> None:
        raise NotImplementedError

    async def _begin(self, request: Process[Any]) -> bytes:
        raise NotImplementedError

    def _check_has_loop(self, what: str) -> None:
        if self.is_blocking:
            raise UsageError(f"{what} on an event loop: use tieout.App")

    def _new_scope(self, scope: str) -> str:
        if check_scope(scope) in self._scopes:
            raise DefinitionError(f"two handlers have the scope {scope!r}")
        self._scopes.add(scope)
        return scope
