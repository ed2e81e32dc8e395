"""What happened in a play, for the person whose test has failed."""

from __future__ import annotations

from collections.abc import Sequence

from tieout.alarm.store import Alarm
from tieout.process.view import ProcessView
from tieout.testing.virtual import VirtualTime

NOTES = 200
"""Lines of a timeline that are shown, the latest: a play of a virtual day may have thousands."""


class Timeline:
    """Notes with their times."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._notes: list[tuple[float, str]] = []

    def note(self, text: str) -> None:
        """Keep one line, as of now."""
        self._notes.append((self._time.now, text))

    def text(self, processes: Sequence[ProcessView], alarms: Sequence[Alarm]) -> str:
        """Notes, moves of processes and alarms by time, then where each process stands."""
        lines = [*self._notes, *(line for process in processes for line in self._moves(process))]
        lines += [(self._time.seconds(alarm.first_at), f"alarm: {alarm.summary}") for alarm in alarms]
        lines.sort(key=lambda line: line[0])
        left_out = [f"… {len(lines) - NOTES} earlier lines"] if len(lines) > NOTES else []
        told = [f"{at:11.3f} s  {text}" for at, text in lines[-NOTES:]]
        return "\n".join([*left_out, *told, *map(standing, processes)])

    def _moves(self, process: ProcessView) -> list[tuple[float, str]]:
        return [
            (self._time.seconds(move.at), f"{named(process)} moves to {move.to} ({move.source}, by {move.by})")
            for move in process.trail
        ]


def named(process: ProcessView) -> str:
    """A process as people tell it from others."""
    return f"{process.type} {process.key!r}" + (f" of {process.owner}" if process.owner else "")


def standing(process: ProcessView) -> str:
    """Where a process stands, in one line."""
    parts = [f"{named(process)}: {process.state} ({process.status})"]
    parts += [f"result {process.result!r}"] if process.is_final else []
    parts += [f"note: {process.note}"] if process.note else []
    parts += [f"errors in a row: {process.errors}"] if process.errors else []
    parts += [f"duplicates: {process.duplicates}"] if process.duplicates else []
    return ", ".join(parts)
