"""Breaks of keys that have one row at most on each side, written many at a time, to the last byte as one is. Pure.

Evidence is not put into words a second time: a specimen of each kind is written as any break is, and cut into a pattern
where its values stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tieout.recon.columns import Columns, Key, Values
from tieout.recon.evidence import VALUE, cut, differing, evidence
from tieout.recon.periods import utc
from tieout.recon.rules import Difference, Judged, Outcome, Record, SideName, Verdict, judge
from tieout.recon.store import Evidence, WrittenBreak, found_text, written_many

SPECIAL = re.compile(r'["\\\x00-\x1f]')
"""What JSON does not have as it stands between quotes."""

_json = msgspec.json.Encoder().encode


class Pattern(NamedTuple):
    """A text that `%` fills; `holes` are the numbers of what goes into it, in the order in which it does."""

    text: str
    holes: tuple[int, ...]

    def filled(self, columns: Sequence[Sequence[str]]) -> list[str]:
        """A text for each row of these columns."""
        return [self.text % row for row in zip(*(columns[hole] for hole in self.holes), strict=True)]


class Shape:
    """Evidence as a specimen of it is written: its details and its finding, of what is told of its records."""

    def __init__(self, outcome: Outcome, specimen: Evidence, told: Sequence[object]) -> None:
        self.outcome = outcome
        marks = list(map(_text, told))
        self._detail, self._finding = pattern(_text(specimen), marks), pattern(found_text(specimen), marks)

    def filled(self, *told: Sequence[str]) -> list[tuple[str, str]]:
        """Details and finding of each break, of what is told of each."""
        return list(zip(self._detail.filled(told), self._finding.filled(told), strict=True))


class Writer:
    """Writes breaks of one rule."""

    def __init__(self, rule: str, judged: Judged) -> None:
        self._rule, marks = rule, _marks(judged)
        ours, theirs = [Record(0, marks)], [Record(1, marks)]
        missing, orphan = judge(judged, ours, ()), judge(judged, (), theirs)
        differs = Verdict("differs", (), (Difference("", "", "", ""),))
        up, down = evidence(judged, missing, ours, ()), evidence(judged, orphan, (), theirs)
        both = evidence(judged, differs, ours, theirs)
        self._told: dict[SideName, Pattern] = {
            "upstream": pattern(_text(up.upstream), [*moments([0]), *json_texts(marks)]),
            "downstream": pattern(_text(down.downstream), [*moments([1]), *json_texts(marks)]),
        }
        self._alone: dict[SideName, Shape] = {
            "upstream": Shape(missing.outcome, up, [up.upstream]),
            "downstream": Shape(orphan.outcome, down, [down.downstream]),
        }
        self._pair = Shape(differs.outcome, both, [both.upstream, both.downstream, both.differences])

    def told(self, side: SideName, rows: Columns) -> list[str]:
        """For each row of a side, what is told of it when it is the only one of its key."""
        return self._told[side].filled([moments(rows.at), *map(json_texts, rows.values)])

    def alone(
        self, side: SideName, keys: Sequence[Key], told: Sequence[str], times: Sequence[int | None]
    ) -> list[WrittenBreak]:
        """Breaks of keys that only this side has."""
        shape = self._alone[side]
        return written_many(self._rule, shape.outcome, keys, shape.filled(told), times)

    def pairs(
        self,
        verdicts: Sequence[tuple[Key, Verdict]],
        ours: Sequence[str],
        theirs: Sequence[str],
        times: Sequence[int | None],
    ) -> list[WrittenBreak]:
        """Breaks of keys whose two rows differ."""
        texts = self._pair.filled(ours, theirs, [_text(differing(verdict)) for _, verdict in verdicts])
        return written_many(self._rule, self._pair.outcome, [key for key, _ in verdicts], texts, times)


def pattern(text: str, marks: Sequence[str]) -> Pattern:
    """A specimen's text cut where each of these marks stands first; one that is not there is not asked for."""
    places = sorted((text.index(mark), number) for number, mark in enumerate(marks) if mark in text)
    parts, end = [], 0
    for place, number in places:
        parts.append(text[end:place])
        end = place + len(marks[number])
    parts.append(text[end:])
    return Pattern("%s".join(part.replace("%", "%%") for part in parts), tuple(number for _, number in places))


def moments(times: Sequence[int | None]) -> list[str]:
    """Times as evidence has them."""
    return _text([None if at is None else utc(at) for at in times])[1:-1].split(",") if times else []


def json_texts(values: Values) -> list[str]:
    """Values as evidence has them."""
    known = [value for value in values if value is not None]
    is_plain = len(known) == len(values) and max(map(len, known), default=0) <= VALUE
    if is_plain and SPECIAL.search("".join(known)) is None:
        return [f'"{value}"' for value in known]
    return [_text(cut(value)) for value in values]


def _marks(judged: Judged) -> tuple[str, ...]:
    """A value for each field that no name can be taken for."""
    names, hole = "".join(f"{field.upstream}{field.downstream}" for field in judged.fields), "?"
    while hole in names:
        hole += "?"
    return tuple(f"{hole}{place}{hole}" for place in range(len(judged.fields)))


def _text(value: object) -> str:
    return _json(value).decode()
