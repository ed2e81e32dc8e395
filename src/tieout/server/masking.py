"""What nobody shall read: fields masked by name or path, and secrets that have a form of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Any

MASK = "[masked]"

TOLD = ("field", "why")
"""What is still told of a difference in a field that is masked."""

_FORMS = re.compile(
    r"tieout_[0-9a-f]{12}_[0-9a-f]{64}"
    r"|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|(?<=tieout-session=)[0-9a-f]+"
    r"|whsec_[A-Za-z0-9+/=_-]+"
    r"|v1,[A-Za-z0-9+/=]{43,}"
    r"|(?<=://)[^\s/@:]*:[^\s/@]*(?=@)"
    r"|(?i:(?<=bearer )|(?<=basic ))[^\s,;\"']+"
)
"""Tokens, ours and providers', sessions, webhook keys and signatures, the user and password of a URL, and what follows
Bearer and Basic."""


class Masking:
    """Hides fields: a pattern without a full stop is a field's name at any depth, one with stops the end of its path.

    Patterns hold `*`, and case does not matter: `*password*`, `params.card.number`.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        several = tuple(patterns)
        self._names = _pattern(one for one in several if "." not in one)
        self._paths = _pattern(f"*.{one}" for one in several if "." in one)

    def hides(self, path: str) -> bool:
        """Whether the field at this path, names joined by full stops, is masked."""
        return bool(self._names.fullmatch(path.rpartition(".")[2]) or self._paths.fullmatch(f".{path}"))

    def masked(self, value: Any, path: str = "") -> Any:
        """Plain values with the fields masked; what is masked is masked whole.

        What says of a field, as "a" or "a/b", what each side has there, is masked as the field itself would be.
        """
        if isinstance(value, dict):
            named = value.get("field")
            if isinstance(named, str) and any(self.hides(f"{path}.{one}") for one in named.split("/")):
                return {name: item if name in TOLD else MASK for name, item in value.items()}
            return {name: self._field(item, f"{path}.{name}" if path else str(name)) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.masked(item, path) for item in value]
        return value

    def _field(self, value: Any, path: str) -> Any:
        return MASK if value is not None and self.hides(path) else self.masked(value, path)


def without_secrets(text: str) -> str:
    """The text with everything masked that has the form of a secret."""
    return _FORMS.sub(MASK, text)


def _pattern(globs: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(one) for one in globs) or "(?!)", re.IGNORECASE)
