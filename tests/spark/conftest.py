"""A Spark cluster: started once, since that takes half a minute."""

from __future__ import annotations

import pytest

from tests.servers.spark import SparkCluster


@pytest.fixture(scope="session")
def cluster():
    """A master and two workers, and a Spark Connect server."""
    made = SparkCluster()
    try:
        made.start()
        yield made
    finally:
        made.remove()
