"""Run many schedules of a mirror, and say what they came to: `python -m tests.mirror_simulation.prove`.

Fails when a schedule is violated, and also when some fault or rare state never came. A violation prints its seed;
`--replay SEED` runs that one schedule again and tells all that happens in it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.mirror_simulation.mutants import MUTANTS
from tests.mirror_simulation.runs import Tally, run
from tests.prove.seeded import Seeded

KIND = Seeded("mirror_simulation", __doc__, run, Tally, whole=3_000, small=400, chunk=5, mutants=MUTANTS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    return KIND.prove(arguments)


if __name__ == "__main__":
    sys.exit(main())
