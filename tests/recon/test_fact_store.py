"""What is kept of keys, on each database: written, read and added as it is, in any script."""

from __future__ import annotations

import pytest

import tieout
from tieout.errors import UniqueViolation
from tieout.recon.fact_store import FactStore
from tieout.recon.facts import Body, Kept, Seen
from tieout.recon.rules import Record

KEYS = ['["ключ","日本"]', '["a\\\\u0000b "]', '["A"]', '["a"]']
PARTED = '["a\\u001eb"]'


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
async def test_keys_and_records_stay_as_they_are(made, dialect) -> None:
    """Keys of any script and case are kept apart, with NULL, quotes and times; adding leaves what is there."""
    url = await made(dialect, "kept")
    store = FactStore(dialect)
    records = [Record(5, ("ü\\ \"'", None)), Record(None, ("日", ""))]
    kept = {key: Kept("waiting", n, 7, n == 1, Body(records, [], [Seen(1, "x:1"), None])) for n, key in enumerate(KEYS)}
    async with tieout.App(url, sweep=False, migrate=True) as app:
        await app.database.transact(lambda tx: store.write(tx, 3, kept))
        await app.database.transact(lambda tx: store.add(tx, 3, {KEYS[0]: Kept("tied"), '["new"]': Kept("tied")}))
        found = await app.database.read(lambda tx: store.kept(tx, 3, [*KEYS, '["none"]']))
        assert found.keys() == set(KEYS)
        for n, key in enumerate(KEYS):
            one = found[key]
            assert (one.outcome, one.due, one.changed, one.told) == ("waiting", n, 7, n == 1)
            assert (one.records[0], one.records[1], one.body.seen) == (records, [], [Seen(1, "x:1"), None])
        await app.database.transact(lambda tx: store.write(tx, 3, {KEYS[2]: Kept("tied", None, 9)}))
        assert await app.database.read(lambda tx: store.due(tx, 3, 10, 10)) == [KEYS[0], KEYS[1], KEYS[3]]
        assert dict(await app.database.read(lambda tx: store.count(tx, 3))) == {"waiting": 3, "tied": 2}
        last = await app.database.transact(lambda tx: store.forget(tx, 3, "", 100, 10))
        assert last == ""
        assert dict(await app.database.read(lambda tx: store.count(tx, 3))) == {"waiting": 3}


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
async def test_what_is_begun_was_not_kept_before(made, dialect) -> None:
    """What a key is begun with is kept as it is, one or many, with any character; what was kept before is not lost."""
    url = await made(dialect, "begun")
    store = FactStore(dialect)
    record = Record(None, ("a\x1eb", "\x1f\n\t", ""))
    async with tieout.App(url, sweep=False, migrate=True) as app:
        await app.database.transact(lambda tx: store.begin(tx, 3, {PARTED: Kept("tied", None, 7, body=Body([record]))}))
        many = {key: Kept("waiting", n or None, n) for n, key in enumerate(KEYS)}
        await app.database.transact(lambda tx: store.begin(tx, 3, many))
        found = await app.database.read(lambda tx: store.kept(tx, 3, [PARTED, *KEYS]))
        assert (found[PARTED].outcome, found[PARTED].due, found[PARTED].body) == ("tied", None, Body([record]))
        assert [(found[key].due, found[key].changed) for key in KEYS] == [(None, 0), (1, 1), (2, 2), (3, 3)]
        with pytest.raises(UniqueViolation):
            await app.database.transact(lambda tx: store.begin(tx, 3, {'["new"]': Kept("tied"), PARTED: Kept()}))
        assert await app.database.read(lambda tx: store.kept(tx, 3, [PARTED, '["new"]'])) == {PARTED: found[PARTED]}
