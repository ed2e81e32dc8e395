"""What an earlier comparison has read is taken up only where it stands for what is to be compared now."""

from __future__ import annotations

import asyncio

import pytest

from tests.recon.conftest import DAY, compared, run
from tests.recon.test_offline import change, filled, prize, rule
from tieout.recon.offline import Offline


async def stopped(app, folder, **options) -> None:
    """A comparison that ends once both sides are read, and leaves their snapshots."""

    async def stop(what: str, count: int) -> None:
        if what == "comparing":
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await app.recon.run("redemption", DAY, folder=folder, progress=stop, **options)


@pytest.fixture
def passed(monkeypatch):
    """Says from when on the period is over, whatever the clock says."""

    def says(*, is_over: bool) -> None:
        async def told(_: Offline) -> bool:
            return is_over

        monkeypatch.setattr(Offline, "_has_passed", told)

    return says


async def looked_at_work(opened, made, passed, folder) -> None:
    """One who looks at a period that is not over, and ends; then comes a change without its prize."""
    upstream, downstream = await filled(made, "sqlite", [change(1)], [prize("'1'")])
    rule(opened, upstream, downstream)
    passed(is_over=False)
    await stopped(opened, folder, unfinished=True)
    await run(upstream, f'INSERT INTO "change" VALUES {change(2)}')


async def test_what_was_read_before_the_period_was_over_is_not_taken_up(app, made, tmp_path, passed) -> None:
    """Rows that came behind a snapshot of a period at work are compared: their breaks would be seen by nobody."""
    async with app() as opened:
        await looked_at_work(opened, made, passed, tmp_path / "work")
        passed(is_over=True)
        ended, breaks = await compared(opened, "redemption", tmp_path / "work")
    assert {key: one.outcome for key, one in breaks.items()} == {("2",): "missing"}
    assert (ended.state, ended.totals["tied"]) == ("broken", 1)


async def test_what_is_unfinished_is_read_anew_each_time(app, made, tmp_path, passed) -> None:
    """Who looks at a period at work twice sees what has come in between."""
    async with app() as opened:
        await looked_at_work(opened, made, passed, tmp_path / "work")
        ended = await opened.recon.run("redemption", DAY, folder=tmp_path / "work", unfinished=True)
    assert (ended.totals["tied"], ended.totals["missing"]) == (1, 1)


async def test_what_was_read_of_another_source_is_not_taken_up(app, made, tmp_path) -> None:
    """A rule whose side is now another database compares that one, whatever was left of the one before."""
    (tmp_path / "other").mkdir()
    upstream, downstream = await filled(made, "sqlite", [change(1)], [prize("'1'")])
    async with app() as opened:
        rule(opened, upstream, downstream)
        await stopped(opened, tmp_path / "work")
    other = upstream.replace("up.db", "other/up.db")
    (tmp_path / "other" / "up.db").write_bytes((tmp_path / "up.db").read_bytes())
    await run(other, f'INSERT INTO "change" VALUES {change(2)}')
    async with app() as opened:
        rule(opened, other, downstream)
        _, breaks = await compared(opened, "redemption", tmp_path / "work")
    assert {key: one.outcome for key, one in breaks.items()} == {("2",): "missing"}


async def test_a_sample_closes_no_break_that_it_has_not_looked_at(app, made, tmp_path) -> None:
    """Breaks of keys outside of it stay open, however often it is compared; those of all keys that agree are closed."""
    upstream, downstream = await filled(made, "sqlite", [change(n) for n in range(40)], [])

    async def found(**options) -> tuple[int, int]:
        async with app() as opened:
            rule(opened, upstream, downstream, **options)
            ended = await opened.recon.run("redemption", DAY, folder=tmp_path / "work")
            return ended.totals["missing"], len(await opened.recon.breaks(ended.id))

    assert await found() == (40, 40)
    missing, still_open = await found(sample=0.2)
    assert 0 < missing < 40 and still_open == 40
    await run(downstream, f"INSERT INTO prize VALUES {', '.join(prize(repr(str(n))) for n in range(40))}")
    assert await found(sample=0.2) == (0, 40 - missing)
    assert await found() == (0, 0)
