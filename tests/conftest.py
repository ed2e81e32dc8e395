"""What holds for every suite: tests that can be replayed, that no setting of the machine changes, and their servers."""

from __future__ import annotations

import os

from hypothesis import settings

from tests.servers.fixtures import mariadb_server, postgres_server  # noqa: F401 - fixtures are found here by name

# The same examples on every run: what fails on one machine fails on all. No deadline: machines differ in speed.
settings.register_profile("tieout", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("tieout")

for setting in [name for name in os.environ if name.startswith("TIEOUT_")]:
    del os.environ[setting]
