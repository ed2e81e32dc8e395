"""What becomes of one key: the one judge, of records that were read live or offline. It only decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from tieout.recon.values import Domain, distance, exact_sum, finite, number_text

SideName: TypeAlias = Literal["upstream", "downstream"]
Outcome: TypeAlias = Literal["tied", "late-tied", "missing", "orphan", "differs", "duplicate", "withdrawn"]

BREAKS: tuple[Outcome, ...] = ("missing", "orphan", "differs", "duplicate")
"""Outcomes of keys that do not agree."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row of a side: its business time in microseconds (None: not known), and its fields as canonical texts."""

    at: int | None
    values: tuple[str | None, ...]


class Field(NamedTuple):
    """What has to agree, by the names of its columns.

    `tolerance` is how far two numbers may be apart, or two moments in microseconds; None: not at all.
    `mapping` says what upstream's values are called downstream. `summed`: the rows of a key are added up.
    """

    upstream: str
    downstream: str
    domain: Domain = "text"
    tolerance: Decimal | None = None
    mapping: Mapping[str, str] | None = None
    summed: bool = False

    @property
    def name(self) -> str:
        """The field's name in reports."""
        return self.upstream if self.upstream == self.downstream else f"{self.upstream}/{self.downstream}"


class Judged(NamedTuple):
    """What has to be known of a rule to judge a key. `many` names sides whose rows are parts; grace is microseconds."""

    fields: tuple[Field, ...]
    many: frozenset[SideName] = frozenset()
    grace: int | None = None

    @property
    def anchor(self) -> SideName:
        """The side whose business time decides to which period a pair belongs: the one with a single row."""
        return "downstream" if self.many and self.many == {"upstream"} else "upstream"


class Difference(NamedTuple):
    """A field that does not agree, what each side says, and why that is not the same."""

    field: str
    upstream: str | None
    downstream: str | None
    why: str


class Verdict(NamedTuple):
    """What became of a key. `sides` are those that lack it, or have it twice; `late` is in microseconds."""

    outcome: Outcome
    sides: tuple[SideName, ...] = ()
    differences: tuple[Difference, ...] = ()
    late: int = 0

    @property
    def is_break(self) -> bool:
        """Whether both sides do not agree."""
        return self.outcome in BREAKS


WITHDRAWN, MISSING, ORPHAN = Verdict("withdrawn"), Verdict("missing", ("downstream",)), Verdict("orphan", ("upstream",))


def judge(rule: Judged, upstream: Sequence[Record], downstream: Sequence[Record]) -> Verdict:
    """What becomes of a key that has these records: duplicates first, then what is not there, then what differs."""
    if len(upstream) > 1 or len(downstream) > 1:
        both: tuple[tuple[SideName, Sequence[Record]], ...] = (("upstream", upstream), ("downstream", downstream))
        doubled = tuple(name for name, records in both if len(records) > 1 and name not in rule.many)
        if doubled:
            return Verdict("duplicate", doubled)
    if not downstream:
        return MISSING if upstream else WITHDRAWN
    if not upstream:
        return ORPHAN
    differences = tuple(
        [
            found
            for number, field in enumerate(rule.fields)
            if (found := _difference(field, number, upstream, downstream))
        ]
    )
    if differences:
        return Verdict("differs", (), differences)
    late = lateness(upstream, downstream)
    if rule.grace is not None and late > rule.grace:
        return Verdict("late-tied", late=late)
    return Verdict("tied", late=late)


def lateness(upstream: Sequence[Record], downstream: Sequence[Record]) -> int:
    """Microseconds between both sides' business times, the last part's where there are several; 0 if one is unknown."""
    ours = [record.at for record in upstream if record.at is not None]
    theirs = [record.at for record in downstream if record.at is not None]
    return abs(max(theirs) - max(ours)) if ours and theirs else 0


def _values(records: Sequence[Record], number: int) -> list[str | None]:
    return [record.values[number] for record in records]


def _difference(
    field: Field, number: int, upstream: Sequence[Record], downstream: Sequence[Record]
) -> Difference | None:
    if len(upstream) == len(downstream) == 1 and not field.summed:
        return _unequal(field, upstream[0].values[number], downstream[0].values[number])
    ours, theirs = _values(upstream, number), _values(downstream, number)
    if field.summed:
        return _unequal(field, _sum(ours), _sum(theirs))
    return next((found for one in ours for other in theirs if (found := _unequal(field, one, other))), None)


def _sum(values: list[str | None]) -> str | None:
    """The canonical sum; what cannot be added up is named instead, and agrees with nothing."""
    numbers = [finite(value) for value in values]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return next(value for value, number in zip(values, numbers, strict=True) if number is None)
    return number_text(str(exact_sum(known)))


def _unequal(field: Field, one: str | None, other: str | None) -> Difference | None:
    mapped = one
    if field.mapping is not None and one is not None:
        mapped = field.mapping.get(one)
        if mapped is None:
            return Difference(field.name, one, other, "has no mapping")
    why = _why(field, mapped, other)
    return Difference(field.name, one, other, why) if why else None


def _why(field: Field, one: str | None, other: str | None) -> str:
    """Why two values do not agree; "" when they do. Two that are not there agree, one that is not agrees with none."""
    if one is None or other is None:
        return "" if one is other and not field.summed else "is not there"
    if field.domain == "text":
        return "" if one == other else "differs"
    ours = finite(one)
    theirs = ours if one == other else finite(other)
    if ours is None or theirs is None:
        return "is no finite number" if field.domain == "number" else "is no finite time"
    if ours == theirs:
        return ""
    return "" if field.tolerance and distance(ours, theirs) <= field.tolerance else "differs"
