"""The command line: one module for each noun. `main` turns what happens into an exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence

EXTRA = ("cyclopts", "rich")
"""What the command line needs beyond the core."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status, one of `tieout.cli.exits`; never raises an `Exception`."""
    try:
        from tieout.cli.commands import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        print(f"tieout: [config] the command line needs {error.name}: pip install 'tieout[cli]'", file=sys.stderr)
        return 2
    return run(sys.argv[1:] if argv is None else list(argv))
