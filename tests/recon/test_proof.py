"""The proof in small: every kind of difference, a worker that is killed, and exactly what was planted is found."""

from __future__ import annotations

from tests.recon.prove import is_proved, proved


async def test_what_is_planted_is_found_and_nothing_else() -> None:
    """Live through kills, and offline, each difference gets its verdict; harmless changes get none."""
    figures = await proved(rows=3_000, each=2, kills=3)
    assert is_proved(figures), figures
    assert (figures["kinds"], figures["kills"]) == (23, 3)
