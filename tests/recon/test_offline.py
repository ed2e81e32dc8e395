"""Comparing offline, with differences that are planted in real databases: each is found, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from tests.recon.conftest import DAY, NOON, at, compared, run
from tieout.errors import DefinitionError, NotAllowed, SourceUnreadable
from tieout.recon import csv, epoch, ignore, parquet, reached, same, side, sums, within

CHANGE = {
    "postgres": "CREATE TABLE change (id bigint PRIMARY KEY, state text, sku text, cost numeric, done timestamptz)",
    "mysql": "CREATE TABLE `change` (id BIGINT PRIMARY KEY, state VARCHAR(20), sku VARCHAR(20), cost DECIMAL(30,4),"
    " done DATETIME(6))",
    "sqlite": 'CREATE TABLE "change" (id INTEGER PRIMARY KEY, state TEXT, sku TEXT, cost DECIMAL(30,4), done DATETIME)',
}
PRIZE = {
    "postgres": "CREATE TABLE prize (change_id varchar(40), state text, sku text, value numeric, issued timestamp)",
    "mysql": "CREATE TABLE prize (change_id VARCHAR(40), state VARCHAR(20), sku VARCHAR(20), value DECIMAL(30,2),"
    " issued TIMESTAMP(6) NULL)",
    "sqlite": "CREATE TABLE prize (change_id TEXT, state TEXT, sku TEXT, value DECIMAL(30,2), issued DATETIME)",
}


def change(key: int, sku="'a'", cost="1.50", when=NOON, state="'done'") -> str:
    return f"({key}, {state}, {sku}, {cost}, {'NULL' if when is None else at(when)})"


def prize(key: str, sku="'a'", cost="1.5", when=NOON, state="'issued'") -> str:
    return f"({key}, {state}, {sku}, {cost}, {'NULL' if when is None else at(when)})"


def rule(app, upstream: str, downstream: str, **options):
    app.rule(
        "redemption",
        upstream=side(upstream, table="change", key="id", when=reached("state", {"done"}), at="done"),
        downstream=side(downstream, table="prize", key="change_id", when=reached("state", {"issued"}), at="issued"),
        agree=[same("sku"), same("cost", "value")],
        **options,
    )


async def filled(made, dialect, changes, prizes) -> tuple[str, str]:
    """Both sides with these rows."""
    quoted = "`change`" if dialect == "mysql" else '"change"'
    table = CHANGE[dialect].replace("TABLE change", 'TABLE "change"') if dialect == "postgres" else CHANGE[dialect]
    first = [table, f"INSERT INTO {quoted} VALUES {', '.join(changes)}"] if changes else [table]
    second = [PRIZE[dialect], f"INSERT INTO prize VALUES {', '.join(prizes)}"] if prizes else [PRIZE[dialect]]
    return await made(dialect, "up", *first), await made(dialect, "down", *second)


EDGE = 60_000_000
HOURS = 3_600_000_000


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
async def test_each_planted_difference_is_found_and_nothing_else(app, made, tmp_path, dialect) -> None:
    """Every kind of break, with its keys: among pairs that agree, are late, belong to other periods, or are not due."""
    changes = [
        *(change(n) for n in range(1, 8)),
        change(10),  # missing
        change(11, state="'open'"),  # nothing has happened
        change(12, sku="'b'"),
        change(13, cost="1.5001"),
        change(14),  # issued twice
        change(15, when=DAY.until - 1),  # its partner comes a minute after midnight
        change(16, when=DAY.since - 1),  # of the day before
        change(17, when=DAY.since - 5 * HOURS),  # long before; found by asking for it
        change(18),  # its partner has another state
        change(19, when=DAY.until - 1),  # nobody issued it
        change(20, sku="NULL"),
        change(21, when=None),
    ]
    prizes = [
        *(prize(f"'{n}'") for n in range(1, 7)),
        prize("'7'", when=NOON + HOURS),  # late
        prize("'12'"),
        prize("'13'"),
        prize("'14'"),
        prize("'14'", when=NOON + 8 * HOURS),
        prize("'15'", when=DAY.until + EDGE - 1),
        prize("'16'", when=DAY.since),
        prize("'17'", when=DAY.since + 1),
        prize("'18'", state="'open'"),
        prize("'20'", sku="NULL"),
        prize("'99'"),
        prize("NULL"),
        prize("'007'"),
    ]
    upstream, downstream = await filled(made, dialect, changes, prizes)
    async with app() as opened:
        rule(opened, upstream, downstream, edge="1m")
        ended, breaks = await compared(opened, "redemption", tmp_path / "work")
        alarms = await opened.alarms.list(kind="recon-breaks")
    assert {key: one.outcome for key, one in breaks.items()} == {
        ("10",): "missing",
        ("12",): "differs",
        ("13",): "differs",
        ("14",): "duplicate",
        ("18",): "missing",
        ("19",): "missing",
        ("99",): "orphan",
        ("007",): "orphan",
        (None,): "orphan",
    }
    totals = ended.totals
    assert (totals["tied"], totals["late-tied"], totals["carried"]) == (7, 2, 2)
    assert (totals["undated"], totals["undated-keys"]["upstream"]) == ({"upstream": 1, "downstream": 0}, [["21"]])
    assert breaks["18",].detail["causes"] == ["downstream has it, with state = open"]
    assert breaks["13",].detail["differences"] == [
        {"field": "cost/value", "upstream": "1.5001", "downstream": "1.5", "why": "differs"}
    ]
    assert (ended.state, len(alarms), list((tmp_path / "work").glob("*.parquet"))) == ("broken", 1, [])


@pytest.mark.parametrize(("ours", "theirs"), [("postgres", "mysql"), ("mysql", "sqlite"), ("sqlite", "postgres")])
async def test_each_row_belongs_to_one_day(app, made, tmp_path, ours, theirs) -> None:
    """Pairs at the last and first microseconds of two days are told once, on whichever databases they lie."""
    times = [DAY.since, DAY.since + 1, DAY.until - 1, DAY.until, DAY.until + 1]
    upstream, _ = await filled(made, ours, [change(n, when=time) for n, time in enumerate(times)], [])
    second = [
        PRIZE[theirs],
        "INSERT INTO prize VALUES " + ", ".join(prize(f"'{n}'", when=t) for n, t in enumerate(times)),
    ]
    downstream = await made(theirs, "other", *second)
    async with app() as opened:
        rule(opened, upstream, downstream)
        first, _ = await compared(opened, "redemption", tmp_path)
        length = DAY.until - DAY.since
        after, _ = await compared(
            opened, "redemption", tmp_path, DAY._replace(since=DAY.until, until=DAY.until + length)
        )
    assert [one.totals["tied"] for one in (first, after)] == [3, 2]
    assert [one.state for one in (first, after)] == ["agreed", "agreed"]


async def test_money_and_time_are_exact_on_postgres(app, made, tmp_path) -> None:
    """Unbounded numbers, NaN and infinite times are told apart to the last digit; NaN ties with nothing."""
    huge = "9" * 60
    changes = [
        change(1, cost=f"{huge}.1"),
        change(2, cost=f"{huge}.1"),
        change(3, cost="'NaN'"),
        change(4, when=NOON + 1),
        "(5, 'done', 'a', 1, 'infinity')",
    ]
    prizes = [prize("'1'", cost=f"{huge}.10"), prize("'2'", cost=f"{huge}.2"), prize("'3'", cost="'NaN'"), prize("'4'")]
    upstream, downstream = await filled(made, "postgres", changes, prizes)
    async with app() as opened:
        rule(opened, upstream, downstream, grace="1us")
        ended, breaks = await compared(opened, "redemption", tmp_path)
    assert {key: one.outcome for key, one in breaks.items()} == {("2",): "differs", ("3",): "differs"}
    assert breaks["3",].detail["differences"][0]["why"] == "is no finite number"
    assert (ended.totals["tied"], ended.totals["undated"]["upstream"]) == (2, 1)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
async def test_keys_of_several_columns_are_not_run_together(app, made, tmp_path, dialect) -> None:
    """("a", "bc") and ("ab", "c") are two keys, in snapshots and when they are asked for again."""
    table = "CREATE TABLE t (a VARCHAR(9), b VARCHAR(9), v INTEGER, d BIGINT)"
    ours = await made(dialect, "up", table, f"INSERT INTO t VALUES ('a', 'bc', 1, {NOON}), ('ab', 'c', 2, {NOON})")
    theirs = await made(dialect, "down", table, f"INSERT INTO t VALUES ('a', 'bc', 1, {NOON}), ('ab', 'c', 3, {NOON})")
    async with app() as opened:
        opened.rule(
            "r",
            upstream=side(ours, table="t", key=("a", "b"), at=epoch("d", "us")),
            downstream=side(theirs, table="t", key=("a", "b"), at=epoch("d", "us")),
            agree=[same("v")],
        )
        ended, breaks = await compared(opened, "r", tmp_path)
    assert (ended.totals["tied"], list(breaks), breaks["ab", "c"].outcome) == (1, [("ab", "c")], "differs")


async def test_parts_are_added_up(app, made, tmp_path) -> None:
    """An order's shipments are summed to the last digit, and belong to the order's day whenever they leave."""
    orders = "CREATE TABLE o (id INTEGER PRIMARY KEY, total DECIMAL(10,2), d BIGINT)"
    parts = "CREATE TABLE p (id INTEGER, amount DECIMAL(10,2), d BIGINT)"
    ours = await made("sqlite", "up", orders, f"INSERT INTO o VALUES (1, 1, {NOON}), (2, 1, {NOON}), (3, 1, {NOON})")
    tenths = ", ".join(f"(1, 0.1, {NOON + n})" for n in range(10))
    late = f"(2, 0.5, {NOON}), (2, 0.5, {DAY.until + 20 * HOURS}), (3, 0.5, {NOON})"
    theirs = await made("sqlite", "down", parts, f"INSERT INTO p VALUES {tenths}, {late}")
    async with app() as opened:
        opened.rule(
            "r",
            upstream=side(ours, table="o", key="id", at=epoch("d", "us")),
            downstream=side(theirs, table="p", key="id", at=epoch("d", "us"), many=True),
            agree=[sums("total", "amount")],
        )
        ended, breaks = await compared(opened, "r", tmp_path)
    assert (ended.totals["tied"], ended.totals["late-tied"], list(breaks)) == (1, 1, [("3",)])


async def test_files_are_sides_too(app, made, tmp_path) -> None:
    """A day's CSV is compared with a table; a file that is missing or garbled is told, and changes nothing."""
    ours = await made(
        "sqlite",
        "up",
        "CREATE TABLE t (k TEXT, v DECIMAL(10,2), d BIGINT)",
        f"INSERT INTO t VALUES ('a', 1.5, {NOON}), ('b', 2, {NOON})",
    )
    file = tmp_path / "settled-2026-11-22.csv"
    file.write_text("\ufeffk,v,d\na,1.500,2026-11-22T12:00:01\nb,2.01,2026-11-22T13:00:00+01:00\n")
    types = {"v": "number", "d": "moment"}
    async with app() as opened:
        upstream = side(ours, table="t", key="k", at=epoch("d", "us"))
        theirs = side(csv(f"{tmp_path}/settled-{{date}}.csv"), key="k", at="d", types=types)
        opened.rule("csv", upstream=upstream, downstream=theirs, agree=[same("v")])
        opened.rule(
            "parquet",
            upstream=side(parquet(f"{tmp_path}/x.parquet"), key="k", at="d"),
            downstream=theirs,
            agree=[same("v")],
        )
        ended, breaks = await compared(opened, "csv", tmp_path / "work")
        assert (ended.totals["tied"], list(breaks)) == (1, [("b",)])
        with pytest.raises(SourceUnreadable, match="no file"):
            await opened.recon.check("parquet", DAY)
        file.write_text('k,v,d\na,1.5,"2026-11-22T12:00:01\n')
        with pytest.raises(SourceUnreadable):
            await opened.recon.run("csv", DAY, folder=tmp_path / "work")
        kept = await opened.recon.breaks(ended.id)
    assert [tuple(one.key) for one in kept] == [("b",)]


async def test_what_is_put_right_is_closed(app, made, tmp_path) -> None:
    """The next comparison of the period closes what it does not find any more, and opens again what comes back."""
    upstream, downstream = await filled(made, "sqlite", [change(1), change(2)], [prize("'2'")])
    async with app() as opened:
        rule(opened, upstream, downstream)
        first, breaks = await compared(opened, "redemption", tmp_path)
        await run(downstream, f"INSERT INTO prize VALUES {prize(chr(39) + '1' + chr(39))}")
        second, none = await compared(opened, "redemption", tmp_path)
        await run(downstream, "DELETE FROM prize WHERE change_id = '1'")
        third, again = await compared(opened, "redemption", tmp_path)
    assert [one.state for one in (first, second, third)] == ["broken", "agreed", "broken"]
    assert (list(breaks), none, second.totals["closed"], list(again)) == ([("1",)], {}, 1, [("1",)])
    assert again["1",].first_at == breaks["1",].first_at


async def test_nothing_compared_is_not_agreement(app, made, tmp_path) -> None:
    """Two empty sides are no success: the comparison says that it was empty, and raises an alarm."""
    upstream, downstream = await filled(made, "sqlite", [], [])
    async with app() as opened:
        rule(opened, upstream, downstream)
        ended, _ = await compared(opened, "redemption", tmp_path)
        alarms = await opened.alarms.list()
    assert (ended.state, [alarm.kind for alarm in alarms]) == ("empty", ["recon-breaks"])


async def test_a_row_without_a_time_keeps_both_sides_from_agreeing(app, made, tmp_path) -> None:
    """No period would ever hold it: it is counted and named, and the comparison does not agree."""
    upstream, downstream = await filled(made, "sqlite", [change(1), change(2, when=None)], [prize("'1'")])
    async with app() as opened:
        rule(opened, upstream, downstream)
        ended, breaks = await compared(opened, "redemption", tmp_path)
    assert (ended.state, ended.totals["undated-keys"]["upstream"], breaks) == ("broken", [["2"]], {})


async def test_a_pair_belongs_to_the_day_of_its_anchor(app, made, tmp_path) -> None:
    """What is found far away only by asking for it is carried, not late and not an orphan, on its partner's day."""
    before = DAY._replace(since=DAY.since - 24 * HOURS, until=DAY.since)
    changes, prizes = [change(1), change(2, when=DAY.since - 9 * HOURS)], [prize("'1'"), prize("'2'")]
    upstream, downstream = await filled(made, "postgres", changes, prizes)
    async with app() as opened:
        rule(opened, upstream, downstream)
        first, _ = await compared(opened, "redemption", tmp_path, before)
        second, _ = await compared(opened, "redemption", tmp_path)
    counts = [[one.totals[name] for name in ("tied", "late-tied", "carried", "orphan")] for one in (first, second)]
    assert counts == [[0, 1, 0, 0], [1, 0, 1, 0]]


async def test_breaks_in_an_ignored_time_are_counted_only(app, made, tmp_path) -> None:
    """A time in which breaks are known of hides them from the list and from the verdict, not from the totals."""
    upstream, downstream = await filled(made, "sqlite", [change(1), change(2)], [prize("'2'")])
    async with app() as opened:
        known = ignore("2026-11-22T11:00Z", "2026-11-22T12:30Z", "the prize service was restored")
        rule(opened, upstream, downstream, ignore=[known])
        ended, breaks = await compared(opened, "redemption", tmp_path)
    assert (ended.state, ended.totals["ignored"], breaks) == ("agreed", 1, {})


async def test_a_period_that_has_not_passed_is_refused(app, made, tmp_path) -> None:
    """Before its end and the grace behind it, what comes late would be called missing."""
    upstream, downstream = await filled(made, "sqlite", [change(1)], [prize("'1'")])
    ahead = DAY._replace(until=DAY.until + 100 * 365 * 24 * HOURS)
    async with app() as opened:
        rule(opened, upstream, downstream)
        with pytest.raises(NotAllowed, match="have not passed"):
            await opened.recon.run("redemption", ahead, folder=tmp_path)
        ended = await opened.recon.run("redemption", ahead, folder=tmp_path, unfinished=True)
    assert ended.state == "agreed"


async def test_two_at_once_are_refused(app, made, tmp_path) -> None:
    """One comparison of a rule and period is at work at a time; the other is told so."""
    upstream, downstream = await filled(made, "sqlite", [change(1)], [prize("'1'")])
    async with app() as opened:
        rule(opened, upstream, downstream)
        both = [opened.recon.run("redemption", DAY, folder=tmp_path / str(n)) for n in range(2)]
        results = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["NotAllowed", "Run"]


async def test_an_interrupted_comparison_goes_on_from_whole_snapshots(app, made, tmp_path) -> None:
    """A side that was read is not read again; half of a file is never taken for one; the run is noted as failed."""
    upstream, downstream = await filled(
        made, "sqlite", [change(n) for n in range(9)], [prize(f"'{n}'") for n in range(9)]
    )

    async def stop(what: str, count: int) -> None:
        if what == "comparing":
            raise asyncio.CancelledError

    async with app() as opened:
        rule(opened, upstream, downstream)
        with pytest.raises(asyncio.CancelledError):
            await opened.recon.run("redemption", DAY, folder=tmp_path / "work", progress=stop)
        failed = await opened.recon.read("redemption", DAY)
        files = sorted((tmp_path / "work").iterdir())
        await run(upstream, 'DELETE FROM "change"')
        ended, breaks = await compared(opened, "redemption", tmp_path / "work")
    assert (failed.state, [file.suffix for file in files]) == ("failed", [".parquet", ".parquet"])
    assert (ended.attempt, ended.totals["tied"], breaks) == (2, 9, {})


@pytest.mark.parametrize(
    ("agree", "message"),
    [
        ([same("nothing")], "has no column 'nothing'"),
        ([same("done", "sku")], "cannot be compared"),
        ([within("sku", "sku", 1)], "text agrees or does not"),
        ([within("done", "issued", 5)], "write a duration"),
        ([within("cost", "value", "5s")], "write a number"),
    ],
)
async def test_a_rule_is_held_against_its_sources(app, made, agree, message) -> None:
    """Columns that are not there or cannot be compared are told before anything is read."""
    upstream, downstream = await filled(made, "sqlite", [], [])
    async with app() as opened:
        opened.rule(
            "r",
            upstream=side(upstream, table="change", key="id", at="done"),
            downstream=side(downstream, table="prize", key="change_id", at="issued"),
            agree=agree,
        )
        with pytest.raises(DefinitionError, match=message):
            await opened.recon.check("r")


async def test_hostile_names_and_states_are_only_text(app, made, tmp_path) -> None:
    """What stands in names, states and values reaches no statement as a part of it."""
    odd = "it's\"; DROP TABLE t; --"
    table = 'CREATE TABLE "t;" ("k""y" TEXT, s TEXT, v TEXT, d BIGINT)'
    values = odd.replace("'", "''")
    insert = f"""INSERT INTO "t;" VALUES ('{values}', '{values}', 'x', {NOON}), ('b', '{values}', 'x', {NOON})"""
    ours, theirs = await made("sqlite", "up", table, insert), await made("sqlite", "down", table)
    async with app() as opened:
        for_both = {"table": "t;", "key": 'k"y', "when": reached("s", {odd}), "at": epoch("d", "us")}
        opened.rule("r", upstream=side(ours, **for_both), downstream=side(theirs, **for_both), agree=[same("v")])
        _, breaks = await compared(opened, "r", tmp_path)
    assert set(breaks) == {(odd,), ("b",)}
