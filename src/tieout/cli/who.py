"""Who gives an operator's command, and why."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from tieout.errors import ConfigError
from tieout.process.operating import Act


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Who:
    """A person and a reason: both are kept in the audit."""

    reason: Annotated[str, Parameter(help="Why; kept in the audit.", allow_leading_hyphen=True)]
    actor: Annotated[str | None, Parameter(help="Who. Default: $TIEOUT_ACTOR, else the login name.")] = None

    @property
    def name(self) -> str:
        """The actor; raise `ConfigError` when nobody can be told."""
        if self.actor is not None:
            return self.actor
        try:
            return os.environ.get("TIEOUT_ACTOR") or getpass.getuser()
        except (KeyError, OSError) as error:
            raise ConfigError("say who you are: --actor NAME or $TIEOUT_ACTOR") from error

    @property
    def act(self) -> Act:
        return Act(self.name, self.reason)
