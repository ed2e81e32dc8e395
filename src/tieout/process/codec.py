"""Types to and from stored JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import msgspec

from tieout.errors import DefinitionError, InvalidParams
from tieout.identity import Spelling, encode_json

_SPELLINGS: Mapping[Any, Spelling] = {Decimal: "decimal", datetime: "moment"}


class Codec:
    """One type to and from stored JSON."""

    def __init__(self, kind: Any, what: str) -> None:
        self.kind = kind
        self.what = what
        self.spellings = dict(_spellings(kind))
        self._decoder = msgspec.json.Decoder(kind)
        try:
            msgspec.json.schema(kind)
        except TypeError as error:
            raise DefinitionError(f"{what}: {error}") from error

    def plain(self, value: Any) -> Any:
        """`value` as plain JSON values, checked against the type; raise `InvalidParams`."""
        plain = self.unchecked(value)
        try:
            msgspec.convert(plain, self.kind)
        except (msgspec.ValidationError, TypeError, ValueError, UnicodeError, RecursionError) as error:
            raise InvalidParams(f"{self.what}: {error}") from error
        if self.spellings:
            self.check_finite(plain)
        return plain

    def unchecked(self, value: Any) -> Any:
        """`value` as plain JSON values, whatever its type; raise `InvalidParams` for what has none."""
        try:
            return msgspec.to_builtins(value, str_keys=True)
        except (TypeError, ValueError, UnicodeError, RecursionError) as error:
            raise InvalidParams(f"{self.what}: {error}") from error

    def check_finite(self, fields: Any) -> None:
        """Raise `InvalidParams` when a field of type Decimal is NaN or infinite: it could not be compared."""
        for name, spelling in self.spellings.items():
            value = fields.get(name)
            if spelling == "decimal" and isinstance(value, (str, Decimal)) and not _is_finite(value):
                raise InvalidParams(f"{self.what}: {name} is {value}, which is no number")

    def storable(self, value: Any) -> Any:
        """`value` as plain JSON values that can be stored; raise `InvalidParams`, also for NaN and broken Unicode."""
        plain = self.plain(value)
        encode_json(plain)
        return plain

    def typed(self, plain: Any) -> Any:
        """The typed value of plain JSON values."""
        try:
            return msgspec.convert(plain, self.kind)
        except (msgspec.ValidationError, UnicodeError) as error:
            raise InvalidParams(f"{self.what}: {error}") from error

    def encode(self, value: Any) -> str:
        """Stored JSON of `value`, checked against the type; raise `InvalidParams`."""
        return encode_json(self.plain(value))

    def decode(self, text: str | bytes | msgspec.Raw) -> Any:
        """The typed value of stored JSON."""
        try:
            return self._decoder.decode(text)
        except msgspec.DecodeError as error:
            raise InvalidParams(f"{self.what}: {error}") from error


def _is_finite(value: str | Decimal) -> bool:
    try:
        return Decimal(value).is_finite()
    except ArithmeticError:
        return True  # a text of another meaning


def _spellings(kind: Any) -> Iterator[tuple[str, Spelling]]:
    """The fields of a struct or dataclass whose equal values may be written in several ways."""
    hints = get_type_hints(kind) if isinstance(kind, type) else {}
    for name, hint in hints.items():
        for part in (hint, *get_args(hint)):
            if part in _SPELLINGS:
                yield name, _SPELLINGS[part]
