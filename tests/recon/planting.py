"""Kinds of differences and of harmless changes: what each does to both sides, and what has to become of its keys.

A kind is given a number of its own, and says statements in three rounds: with the first rows, once those have tied, and
late. `{n}` is the number; a key is (shop, id).
"""

from __future__ import annotations

from typing import NamedTuple

UP = (
    "CREATE TABLE change (shop text NOT NULL, id text, state text, sku text, quantity int, cost numeric, fee numeric,"
    " seen timestamptz, class text, done timestamptz)"
)
DOWN = (
    "CREATE TABLE prize (shop text NOT NULL, change_id varchar(40), state text, sku text, qty int, value numeric(20,4),"
    " fee numeric, seen timestamp, kind text, issued timestamptz)"
)


SEEN = "'2030-01-31 12:00:00'"
"""A moment that both sides have seen; both sessions are in UTC."""


OURS = {"shop": "'s'", "key": "'{n}'", "state": "'done'", "sku": "'mug'", "quantity": "1", "cost": "12.5", "fee": "1"}
THEIRS = {**OURS, "state": "'issued'", "cost": "12.50"}


def change(**given: str) -> str:
    row = {**OURS, "seen": SEEN, "kind": "'a'", "at": "now()", **given}
    return f"INSERT INTO change VALUES ({', '.join(row.values())})"


def prize(**given: str) -> str:
    row = {**THEIRS, "seen": SEEN, "kind": "'A'", "at": "now()", **given}
    return f"INSERT INTO prize VALUES ({', '.join(row.values())})"


class Kind(NamedTuple):
    """`up` and `down` come first, `then_up` and `then_down` after the tie, `late` downstream behind the grace.

    `outcomes` are the breaks by key; all other keys have to agree.
    """

    name: str
    outcomes: dict[str, str]
    up: str = ""
    down: str = ""
    then_up: str = ""
    then_down: str = ""
    late: str = ""


def differing(name: str, **downstream) -> Kind:
    return Kind(name, {"s/{n}": "differs"}, up=change(), down=prize(**downstream))


KINDS = (
    Kind("never issued", {"s/{n}": "missing"}, up=change()),
    Kind("issued for nothing", {"s/{n}": "orphan"}, down=prize()),
    differing("another sku", sku="'cup'"),
    differing("no sku", sku="NULL"),
    differing("another quantity", quantity="2"),
    differing("the last digit of an amount", cost="12.5001"),
    differing("a fee beyond its tolerance", fee="1.0501"),
    differing("a time beyond its tolerance", seen="'2030-01-31 12:00:05.000001'"),
    differing("a class that nobody knows", kind="'C'"),
    Kind("an amount that is no number", {"s/{n}": "differs"}, up=change(cost="'NaN'"), down=prize(cost="'NaN'")),
    Kind("issued twice", {"s/{n}": "duplicate"}, up=change(), down=f"{prize()}; {prize()}"),
    Kind("issued again later", {"s/{n}": "duplicate"}, up=change(), down=prize(), then_down=prize(quantity="3")),
    Kind("charged twice", {"s/{n}": "duplicate"}, up=f"{change()}; {change()}", down=prize()),
    Kind(
        "deleted downstream",
        {"s/{n}": "missing"},
        change(),
        prize(),
        then_down="DELETE FROM prize WHERE change_id = '{n}'",
    ),
    Kind("deleted upstream", {"s/{n}": "orphan"}, change(), prize(), then_up="DELETE FROM change WHERE id = '{n}'"),
    Kind(
        "changed downstream",
        {"s/{n}": "differs"},
        change(),
        prize(),
        then_down="UPDATE prize SET value = value + 1 WHERE change_id = '{n}'",
    ),
    Kind(
        "changed upstream",
        {"s/{n}": "differs"},
        change(),
        prize(),
        then_up="UPDATE change SET sku = 'x' WHERE id = '{n}'",
    ),
    Kind(
        "taken back downstream",
        {"s/{n}": "missing"},
        change(),
        prize(),
        then_down="UPDATE prize SET state = 'void' WHERE change_id = '{n}'",
    ),
    Kind("never done upstream", {"s/{n}": "orphan"}, change(state="'open'"), prize()),
    Kind(
        "moved to another key",
        {"s/{n}": "missing", "s/{n}-b": "orphan"},
        change(),
        prize(),
        then_down="UPDATE prize SET change_id = '{n}-b' WHERE change_id = '{n}'",
    ),
    Kind("written differently", {"s/{n}K": "missing", "s/{n}k": "orphan"}, change(key="'{n}K'"), prize(key="'{n}k'")),
    Kind(
        "concatenated alike",
        {"s1/{n}": "missing", "s/1{n}": "orphan"},
        change(shop="'s1'"),
        prize(key="'1{n}'"),
    ),
    Kind("of another shop", {"s/{n}": "missing", "t/{n}": "orphan"}, change(), prize(shop="'t'")),
)
"""Differences."""

HARMLESS = (
    Kind("plain", {}, change(), prize()),
    Kind("within its tolerances", {}, change(fee="1.05"), prize(fee="1.10", seen="'2030-01-31 11:59:55'")),
    Kind("late", {}, change(), late=prize()),
    Kind("mapped", {}, change(kind="'b'", state="'closed'"), prize(kind="'B'")),
    Kind(
        "changed and changed back",
        {},
        change(),
        prize(),
        then_down="UPDATE prize SET qty = 2 WHERE change_id = '{n}'; UPDATE prize SET qty = 1 WHERE change_id = '{n}'",
    ),
    Kind("undone at once", {}, f"{change()}; DELETE FROM change WHERE id = '{{n}}'"),
    Kind(
        "gone on both sides",
        {},
        change(),
        prize(),
        "DELETE FROM change WHERE id = '{n}'",
        "DELETE FROM prize WHERE change_id = '{n}'",
    ),
    Kind("neither", {}, change(state="'open'"), prize(state="'void'")),
    Kind("moved within its row", {}, change(), prize(), then_up="UPDATE change SET state = 'closed' WHERE id = '{n}'"),
)


class Planted(NamedTuple):
    """One kind at one place."""

    kind: Kind
    number: str

    def statement(self, name: str) -> str:
        return getattr(self.kind, name).replace("{n}", self.number)

    @property
    def outcomes(self) -> dict[str, str]:
        return {key.replace("{n}", self.number): outcome for key, outcome in self.kind.outcomes.items()}
