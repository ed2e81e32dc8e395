"""Run many schedules of both sides followed, and say what they came to: `python -m tests.recon_simulation.prove`.

Fails when a schedule is violated, and also when some fault or rare state never came. A violation prints its seed;
`--replay SEED` runs that one schedule again and tells all that happens in it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.prove.seeded import Seeded
from tests.recon_simulation.mutants import MUTANTS
from tests.recon_simulation.runs import Tally, run

KIND = Seeded("recon_simulation", __doc__, run, Tally, whole=3_000, small=200, chunk=5, mutants=MUTANTS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    return KIND.prove(arguments)


if __name__ == "__main__":
    sys.exit(main())
