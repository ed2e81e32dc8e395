"""What people want is drawn from a seed and a curve, and what goes wrong is planned before it does."""

from __future__ import annotations

import zipfile
from collections import Counter
from random import Random

import pytest

from tieout import ConfigError
from tieout.demo.hotels import chaos, run
from tieout.demo.hotels.demand import Demand, lead_times
from tieout.demo.hotels.director import size_of

CSV = "hotel,lead_time\nA,0\nA,0\nA,3\nA,59\nA,400\n"


def test_the_built_in_curve():
    """It has a share for each day and falls: two of five bookings within the horizon are for the next ten days."""
    curve = lead_times(None, 60)
    assert len(curve) == 60 and sum(curve) == pytest.approx(1)
    assert sum(curve[:10]) == pytest.approx(0.396, abs=0.005)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_curve_of_real_bookings(tmp_path, zipped):
    """Bookings of a file, plain or zipped, are counted by days ahead; those beyond the horizon are left out."""
    file = tmp_path / "bookings"
    if zipped:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("__MACOSX/._bookings.csv", "no table")
            archive.writestr("bookings.csv", CSV)
    else:
        file.write_text(CSV)
    curve = lead_times(file, 60)
    assert (curve[0], curve[3], curve[59]) == (0.5, 0.25, 0.25) and sum(curve) == 1


@pytest.mark.parametrize("text", ["hotel,days\nA,1\n", "lead_time\nsoon\n", "lead_time\n400\n", None])
def test_a_file_without_bookings(tmp_path, text):
    """A file without the column, with other values, without any within the horizon, or not there is refused."""
    file = tmp_path / "bookings.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError):
        lead_times(file, 60)


def test_wishes_fit_and_are_skewed():
    """Each stay ends within the horizon, the same seed wants the same, and few hotels have most of the demand."""
    demand, again = (Demand([10] * 100, lead_times(None, 60), seed=4) for _ in range(2))
    chance, other = Random(1), Random(1)
    wishes = [demand.wish(chance) for _ in range(3_000)]
    assert wishes == [again.wish(other) for _ in range(3_000)]
    assert all(wish.nights >= 1 and wish.ahead + wish.nights <= 60 for wish in wishes)
    hotels = Counter(wish.room // 10 for wish in wishes)
    assert sum(count for _, count in hotels.most_common(10)) > 0.45 * len(wishes)


def test_classes_by_demand():
    """Popular rooms make up half of the demand and are the fewest; every room has a class."""
    demand = Demand([10] * 100, lead_times(None, 60), seed=4)
    weights = Counter()
    for kind, weight in zip(demand.classes, demand.weights, strict=True):
        weights[kind] += weight
    assert weights["popular"] == pytest.approx(0.5, abs=0.02) and weights["rare"] == pytest.approx(0.1, abs=0.02)
    assert Counter(demand.classes)["popular"] < 100


@pytest.mark.parametrize("seconds", [3, 8, 120])
def test_every_supplier_fails_in_some_way(seconds):
    """The plan is the seed's; each supplier has calm in it, and all kinds of faults occur among five."""
    names = [f"s{number}" for number in range(5)]
    plan = chaos.episodes(7, names, seconds)
    assert plan == chaos.episodes(7, names, seconds) != chaos.episodes(8, names, seconds)
    assert {one.kind for one in plan} == {*chaos.SHARES, *chaos.LONG_KINDS}
    for name in names:
        mine = [one for one in plan if one.supplier == name and one.kind in chaos.SHARES]
        assert len(mine) >= 3 and all(0 <= one.begin < one.end <= seconds for one in mine)
        assert sum(one.end - one.begin for one in mine) <= 0.6 * seconds


@pytest.mark.parametrize(
    "options",
    [{"seconds": 1}, {"speed": 0.5}, {"per_minute": 0}, {"full": True}, {"db": "oracle://x"}, {"bookings": "/no/file"}],
)
def test_options_out_of_bounds(options):
    """What cannot work is refused before anything is started."""
    with pytest.raises(ConfigError):
        run(**options)


def test_sizes():
    """The full size is the one that the mirror is designed for; with other numbers visits and changes go along."""
    full, small = size_of(full=True), size_of(full=False)
    assert (full.suppliers, full.hotels, full.rooms) == (200, 150, 10)
    assert (small.suppliers, small.suppliers * small.hotels) == (5, 300)
    half = size_of(full=True, suppliers=100)
    assert (half.suppliers, half.hotels, half.visits, half.bursts) == (100, 150, full.visits / 2, full.bursts / 2)
