"""What a process that has begun takes out of the sight of the collector of garbage."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from tieout.cli.lasting import settled

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ring:
    """Refers to itself: only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def unsettled() -> Iterator[None]:
    """No process that runs tests keeps what they have made."""
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()
    gc.collect()


@pytest.mark.parametrize("at_once", [False, True])
def test_what_is_there_is_not_looked_at_again(at_once: bool) -> None:
    """What a process is made of is out of the collector's sight, however it was settled."""
    ring = Ring()
    settled(at_once=at_once)
    assert gc.get_freeze_count() > 0
    assert all(one is not ring for one in gc.get_objects())


@pytest.mark.parametrize("at_once", [False, True])
def test_garbage_is_looked_for_unless_it_has_to_be_done_at_once(at_once: bool) -> None:
    """Garbage goes before the rest is settled; what settles at once holds nobody up, and passes over it."""
    seen = weakref.ref(Ring())
    settled(at_once=at_once)
    assert (seen() is not None) == at_once
