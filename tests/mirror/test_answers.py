"""Answers of suppliers: a sound one becomes arrays, and of one that is not, nothing is used."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mirror.cells import HOTEL
from tieout.mirror.answers import below_each_other, read_answer, read_answers
from tieout.mirror.digests import digest_of
from tieout.mirror.observed import Observed
from tieout.mirror.words import Garbled, Words

GOOD = {"price": [100, 90], "stock": [3, 0], "open": [True, False], "rules": [{"a": 1}, None]}
LIMIT = (1 << 31) - 1


def read(items, count=2, words=None):
    return read_answer(HOTEL, Words({}) if words is None else words, items, count)


def test_a_sound_answer():
    """Each field of each cell is read; a cell of which a field is None is absent."""
    words = Words({1: '"no"'})
    answer = read({"a": GOOD, "b": {**GOOD, "rules": [{"a": 1.0}, "no"]}}, words=words)
    assert answer.items == ["a", "b"]
    assert answer.present.tolist() == [[True, False], [True, True]]
    assert answer.values["price"].tolist() == [[100, 90], [100, 90]]
    assert answer.values["open"].tolist() == [[True, False], [True, False]]
    assert answer.values["rules"].tolist() == [[2, 0], [2, 1]]
    assert words.added == {2: '{"a":1}'}
    assert answer.values["price"].dtype == np.dtype("<i4")


@pytest.mark.parametrize(
    "field",
    [
        {"price": [100]},
        {"price": [100, 90, 80]},
        {"price": "12"},
        {"price": None},
        {"price": [1.0, 2.0]},
        {"price": [True, False]},
        {"price": ["1", "2"]},
        {"price": [LIMIT + 1, 0]},
        {"price": [0, -LIMIT - 1]},
        {"price": [1 << 70, 0]},
        {"stock": [1 << 15, 0]},
        {"open": [1, 0]},
        {"open": ["yes", "no"]},
        {"rules": [float("nan"), None]},
        {"rules": [[[1]], float("inf")]},
        {"extra": [1, 2]},
    ],
    ids=repr,
)
def test_a_garbled_answer(field):
    """Lists of another length, values of another type or out of bounds, and fields that nobody knows are refused."""
    with pytest.raises(Garbled):
        read({"a": GOOD, "b": {**GOOD, **field}})


@pytest.mark.parametrize("field", [{"price": [True, 90]}, {"price": [90, False]}, {"stock": [False, False]}], ids=repr)
@pytest.mark.parametrize("is_plain", [True, False])
def test_flags_are_no_numbers_where_many_are_read(field, is_plain):
    """True and false are refused wherever numbers stand; ones and noughts are numbers."""
    sound = {"a": {**GOOD, "price": [1, 0]}, "b": {**GOOD, "price": [2, 500]}}
    first, _ = read_answers(HOTEL, Words({}), [sound, {"c": GOOD}], 2, is_plain=is_plain)
    assert first.values["price"].tolist() == [[1, 0], [2, 500]]
    with pytest.raises(Garbled):
        read_answers(HOTEL, Words({}), [sound, {"c": GOOD, "d": {**GOOD, **field}}], 2, is_plain=is_plain)


@pytest.mark.parametrize("number", [1, 2])
def test_numbers_of_other_libraries_are_refused(number):
    """Whatever their value is: an answer that has some has no digest either."""
    odd = {"a": {**GOOD, "price": [np.int64(number), 90]}}
    assert digest_of(Observed("h1", 20_000, 2, 1, 2, odd, "sync", complete=True, whole=True)) is None
    with pytest.raises(Garbled):
        read_answers(HOTEL, Words({}), [odd], 2)


def test_an_answer_without_anything():
    """No items is no answer."""
    with pytest.raises(Garbled):
        read({})


@pytest.mark.parametrize(
    "odd", [{"price": [1, 2]}, {**GOOD, "rate": [1, 2]}, defaultdict(lambda: [1, 1], price=[1, 2])], ids=repr
)
def test_fields_of_another_mirror(odd):
    """Each item has all fields and no others, whatever its neighbours have; what is missing is not made up."""
    with pytest.raises(Garbled, match="'b' has not the fields of this mirror"):
        read({"a": GOOD, "b": odd})


def test_answers_that_stand_in_a_row_are_one():
    """The items and their cells are the same, in the same order; where one is missing another piece begins."""
    told = [{f"{hotel}{room}": {**GOOD, "price": [hotel, room]} for room in range(hotel)} for hotel in range(1, 6)]
    first, second, *_, last = answers = read_answers(HOTEL, Words({}), told, 2)
    (whole,) = below_each_other(answers)
    assert list(whole.items) == [name for answer in answers for name in answer.items]
    assert whole.values["price"].tolist() == [row for answer in answers for row in answer.values["price"].tolist()]
    assert [len(one) for one in below_each_other([first, second, last])] == [3, 5]
    assert [len(one) for one in below_each_other([second, first])] == [2, 1]
    assert [len(one) for one in below_each_other([first, *read_answers(HOTEL, Words({}), told[1:2], 2)])] == [1, 2]
    assert not list(below_each_other([]))


numbers = st.none() | st.integers(-LIMIT, LIMIT)


@given(st.lists(st.tuples(numbers, st.none() | st.booleans()), min_size=1, max_size=8))
def test_whatever_is_given_is_read(cells):
    """Present cells have exactly the values that were given, and the others are absent."""
    count = len(cells)
    prices, opens = map(list, zip(*cells, strict=True))
    answer = read({"a": {"price": prices, "stock": [1] * count, "open": opens, "rules": [0] * count}}, count)
    for at, (price, is_open) in enumerate(cells):
        there = price is not None and is_open is not None
        assert answer.present[0, at] == there
        if there:
            assert (answer.values["price"][0, at], answer.values["open"][0, at]) == (price, is_open)


def test_too_many_different_values():
    """A field whose values are all different is no field for a dictionary: that is said before the numbers run out."""
    words = Words({number: f'"{number}"' for number in range(1, 1 << 16)})
    with pytest.raises(Garbled):
        words.number("new")
    assert words.number("7") == 7


def test_a_value_without_a_bottom():
    """What is nested more deeply than can be written is garbled as everything else that cannot be stored."""
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Garbled):
        Words({}).number(deep)
