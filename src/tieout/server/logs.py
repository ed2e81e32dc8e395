"""The server's log: one JSON object a line on standard error, in which no secret stands."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

from tieout import tracing
from tieout.errors import TieoutError
from tieout.server.masking import Masking, without_secrets
from tieout.server.settings import Settings

ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def log_as_json(level: str, settings: Settings) -> None:
    """Send all that is logged to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(Masking(settings.mask), messages=settings.log_messages))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("_granian").setLevel(logging.WARNING)


def formatter(masking: Masking, *, messages: bool) -> logging.Formatter:
    """Makes a line of JSON of a record: time, level, logger, event, what it was told besides, and the error."""

    def told(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.update(tracing.ids() | getattr(event["_record"], "told", {}))
        error = event.pop("exc_info", None)
        if error:
            event["error"] = shown(error, messages=messages)
        return event

    def safe(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        masked = masking.masked(dict(event))
        return {name: without_secrets(value) if isinstance(value, str) else value for name, value in masked.items()}

    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            told,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            safe,
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
    )


def shown(error: ExcInfo | BaseException, *, messages: bool) -> list[str]:
    """The chain of an error, the innermost last: its type, where it was raised, and its message if that may be told.

    The message of an error that is not tieout's may quote anything: a row, a URL, a card number.
    """
    found = error[1] if isinstance(error, tuple) else error
    lines: list[str] = []
    while found is not None and len(lines) < 40:
        may_be_told = messages or isinstance(found, TieoutError)
        lines.append(f"{type(found).__name__}: {found}" if may_be_told else type(found).__name__)
        frames = traceback.extract_tb(found.__traceback__)[-8:]
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        found = found.__cause__ or found.__context__
    return [without_secrets(line) for line in lines]
