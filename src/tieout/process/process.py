"""The base class of every process type."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar, cast, dataclass_transform

from tieout.errors import DefinitionError
from tieout.process.process_type import ProcessType, TypeOptions, compile_type

D = TypeVar("D")


@dataclass_transform(kw_only_default=True)
class Process(Generic[D]):
    """The base of a process type; the annotated fields of a subclass are the params of a request.

    Class arguments: `name` (stable, stored with every process), `key` (the field that holds the request key), `owner`
    (the field that scopes keys), `version` (raise it when older code must not touch newer rows), `deadline` (a
    duration after which a process that is not final raises an alarm).

    Creating an instance checks the params (`InvalidParams`, `InvalidKey`) and does nothing else.
    """

    tieout_options: ClassVar[TypeOptions | None] = None
    tieout_type: ClassVar[ProcessType | None] = None

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        key: str | None = None,
        owner: str | None = None,
        version: int = 1,
        deadline: float | str | None = None,
        **more: Any,
    ) -> None:
        super().__init_subclass__(**more)
        cls.tieout_options = TypeOptions(name, key, owner, version, deadline)
        cls.tieout_type = None

    def __init__(self, **params: Any) -> None:
        process_type = type_of(type(self))
        self.__dict__.update(process_type.check_params(params))
        self.__dict__["identity"] = process_type.identify(self.__dict__)

    @property
    def id(self) -> str:
        """The process's id, 32 hex digits: derived from type, owner and request key, so known before it starts."""
        return cast("bytes", self.__dict__["identity"].id).hex()

    @property
    def deps(self) -> D:
        """What the App was given for its handlers."""
        return cast("D", self.__dict__["bound_deps"])


def of_client(request: Process[Any], client: str) -> Process[Any]:
    """The same request as one of a client's, whose keys are apart from everybody else's; raise `InvalidKey`."""
    request.__dict__["identity"] = type_of(type(request)).identify(request.__dict__, client)
    return request


def type_of(cls: type[Any]) -> ProcessType:
    """The compiled form of a process type, checked once; raise `DefinitionError` that says what is wrong with it."""
    if not (isinstance(cls, type) and issubclass(cls, Process)) or cls.tieout_options is None:
        raise DefinitionError(f"{cls!r} is not a subclass of tieout.Process")
    if cls.tieout_type is None:
        cls.tieout_type = compile_type(cls, cls.tieout_options)
    return cls.tieout_type
