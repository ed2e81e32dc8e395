"""What an App is told before it is opened: its process types, handlers and mirrors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from tieout.config import duration
from tieout.contracts import Caller, Database, Transaction
from tieout.database.sqlite import SqliteDatabase
from tieout.errors import DefinitionError, UsageError
from tieout.once.define import Handler, Once, check_scope
from tieout.once.define import options as once_options
from tieout.once.engine import Engine as OnceEngine
from tieout.once.held import HeldDatabase, LoopWaiting, ThreadWaiting
from tieout.once.http import HttpOnce, HttpRules, Owner
from tieout.process.engine import Engine
from tieout.process.process import Process, type_of
from tieout.process.process_type import ProcessType

if TYPE_CHECKING:
    from tieout.mirror.axis import Axis
    from tieout.mirror.mirror import Mirror
    from tieout.mirror.schedule import Policy

T = TypeVar("T")
C = TypeVar("C", bound=type[Process[Any]])


class Declaring:
    """The half of `App` that is used before it is opened, by decorators for the most part."""

    is_blocking: ClassVar[bool] = False
    _waiting: ClassVar[type[LoopWaiting | ThreadWaiting]] = LoopWaiting
    _present: Callable[[Any], Any] | None = None

    database: Database
    engine: Engine
    answers: OnceEngine
    types: dict[str, ProcessType]
    _native: Database
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
        self, name: str, *, axis: Axis, fields: dict[str, Any], policy: Policy, half_life: float | str = "1d"
    ) -> Mirror:
        """A local copy of suppliers' data: add suppliers to it, then read it. Needs the extra `mirror`.

        `half_life` is after how long half of the values are expected to have changed: it only sets `p_true`.
        Raise `DefinitionError` for fields or a policy that cannot work.
        """
        from tieout.mirror.mirror import Mirror, mirror_world

        if self.is_blocking:
            raise UsageError("a mirror follows its suppliers on an event loop: use tieout.App")
        if name in self.mirrors:
            raise DefinitionError(f"two mirrors are named {name!r}")
        world = self.engine.world
        theirs = mirror_world(self._native, world.clock, self._caller, world.alarms, world.chance)
        mirror = self.mirrors[name] = Mirror(
            theirs, name, axis, fields, policy, half_life=duration(half_life), deps=world.deps
        )
        return mirror

    def _new_scope(self, scope: str) -> str:
        if check_scope(scope) in self._scopes:
            raise DefinitionError(f"two handlers have the scope {scope!r}")
        self._scopes.add(scope)
        return scope
