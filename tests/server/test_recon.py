"""Rules, comparisons and breaks over HTTP, on each database: what is told to whom, and what a person decides."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tests.server.compared import DAY, broken, compare, fill, run
from tests.server.conftest import Place, place_of
from tests.server.node import Node, inside, migrate, wait_for
from tieout.recon.fact_store import FactStore

OUTCOMES = {"2": "missing", "3": "differs", "4": "differs", "5": "differs", "9": "orphan"}


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mysql"])
def place(request, tmp_path_factory) -> Iterator[Place]:
    """A node on each database, for this module alone."""
    folder = tmp_path_factory.mktemp("node")
    url = f"sqlite:///{folder}/shop.db"
    if request.param != "sqlite":
        server = request.getfixturevalue(f"{'postgres' if request.param == 'postgres' else 'mariadb'}_server")
        url = server.url(server.database())
    node = Node(folder, migrate(url))
    try:
        made = place_of(node.start())
        yield made
        made.close()
    finally:
        node.kill()


@pytest.fixture
def breaks(place) -> dict[str, str]:
    """The ids of open breaks, by key."""
    found = broken(place)
    assert set(found) == set(OUTCOMES)
    return found


def test_a_rule_is_shown_with_its_breaks(place, breaks):
    """What is compared, in which version, and how many breaks of each kind are open."""
    (listed,) = place.viewer.get("/v1/rules").json()["items"]
    assert listed == place.viewer.get("/v1/rules/redemption").json()
    assert (listed["rule"], listed["offline"], listed["grace"]) == ("redemption", True, 30.0)
    assert listed["breaks"] == {"missing": 1, "orphan": 1, "differs": 3}
    missing = place.viewer.get("/v1/rules/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown-rule")


def test_runs_are_paged_and_shown(place, breaks):
    """The last begun comes first; following `next` shows each once; a comparison says what it came to."""
    for day in ("2024-05-02", "2024-05-03"):
        compare(place, day)
    seen, cursor = [], ""
    while cursor is not None:
        page = place.viewer.get("/v1/runs", params={"rule": "redemption", "limit": 1, "cursor": cursor}).json()
        seen += page["items"]
        cursor = page["next"]
    days = [one["since"][:10] for one in seen]
    assert days[:3] == ["2024-05-03", "2024-05-02", DAY] and len(set(days)) == len(days)
    shown = place.viewer.get(f"/v1/runs/{seen[2]['id']}").json()
    assert shown == seen[2] and (shown["state"], shown["totals"]["tied"]) == ("broken", 1)
    empty = place.viewer.get("/v1/runs", params={"state": "empty"}).json()["items"]
    assert {one["since"][:10] for one in empty} >= {"2024-05-02", "2024-05-03"}
    missing = place.viewer.get(f"/v1/runs/{'0' * 32}")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown-run")


def test_breaks_are_filtered_and_paged(place, breaks):
    """By rule, comparison, state and outcome; following `next` shows each break once."""
    seen, cursor = {}, ""
    while cursor is not None:
        page = place.viewer.get("/v1/breaks", params={"state": "open", "limit": 2, "cursor": cursor}).json()
        assert not {one["id"] for one in page["items"]} & set(seen)
        seen |= {one["id"]: one for one in page["items"]}
        cursor = page["next"]
    assert {one["key"][0]: one["outcome"] for one in seen.values()} == OUTCOMES
    (run_id,) = {one["id"] for one in place.viewer.get("/v1/runs").json()["items"] if one["since"].startswith(DAY)}
    of_run = {"run": run_id, "outcome": "differs", "state": "open"}
    assert len(place.viewer.get("/v1/breaks", params=of_run).json()["items"]) == 3
    assert place.viewer.get("/v1/breaks", params={**of_run, "rule": "other"}).json()["items"] == []
    assert place.viewer.get("/v1/breaks", params={"rule": "other"}).json() == {"items": [], "next": None}
    assert place.viewer.get("/v1/breaks", params={"state": "nothing"}).status_code == 400


def test_a_break_is_shown_with_both_records(place, breaks):
    """Both sides' records, what differs, and since when; who only looks on sees no value of a masked field."""
    told = place.operator.get(f"/v1/breaks/{breaks['3']}").json()
    (ours,), (theirs,) = told["upstream"]["records"], told["downstream"]["records"]
    assert ours["values"]["sku"].startswith("mug-") and theirs["values"]["sku"] == "cup"
    assert {one["field"]: (one["upstream"], one["downstream"]) for one in told["differences"]} == {
        "sku": (ours["values"]["sku"], "cup"),
        "card_number": ("4111", "4222"),
    }
    assert told["first_at"] <= told["last_at"] and told["closed_at"] is None
    for document in (
        place.viewer.get(f"/v1/breaks/{breaks['3']}").json(),
        *place.viewer.get("/v1/breaks", params={"state": "open"}).json()["items"],
    ):
        assert "4111" not in str(document) and "4222" not in str(document)
    assert "cup" in place.viewer.get(f"/v1/breaks/{breaks['3']}").text


def test_a_break_is_settled_or_ignored(place, breaks):
    """By an operator, with a reason that stays in its history; it stays decided when the same is found again."""
    settled = place.operator.post(f"/v1/breaks/{breaks['2']}/settle", json={"reason": "sent by hand"}).json()
    ignored = place.operator.post(f"/v1/breaks/{breaks['3']}/ignore", json={"reason": "a cup is a mug"}).json()
    assert (settled["state"], ignored["state"]) == ("settled", "ignored")
    name = place.operator.get("/v1/me").json()["name"]
    assert (settled["actor"], settled["note"]) == (name, "sent by hand")
    assert [(one["action"], one["reason"]) for one in settled["acts"]][-1] == ("break-settle", "sent by hand")
    compare(place)
    left = place.viewer.get("/v1/breaks", params={"state": "open"}).json()["items"]
    assert {one["key"][0] for one in left} == {"4", "5", "9"}
    for path, status, code in (
        (f"/v1/breaks/{'0' * 32}/settle", 404, "unknown-break"),
        (f"/v1/breaks/{breaks['2'][:-1]}/settle", 400, "invalid-request"),
    ):
        refused = place.operator.post(path, json={"reason": "x"})
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert place.operator.post(f"/v1/breaks/{breaks['4']}/settle", json={"reason": " "}).status_code == 400
    assert place.viewer.post(f"/v1/breaks/{breaks['4']}/settle", json={"reason": "x"}).status_code == 403


def test_a_period_is_stated(place, breaks):
    """What was matched and found, who has decided what and why; what is no period is refused."""
    place.operator.post(f"/v1/breaks/{breaks['2']}/settle", json={"reason": "sent by hand"})
    where = "/v1/rules/redemption/statement"
    said = place.viewer.get(where, params={"period": DAY}).json()
    assert (said["state"], said["matched"]["tied"], said["settled"]) == ("open", 1, {"missing": 1})
    assert (said["open"], said["closing"], said["coverage"]) == ({"differs": 3, "orphan": 1}, 4, 1.0)
    assert [(one["key"], one["reason"]) for one in said["decided"]] == [(["2"], "sent by hand")]
    assert said["run"]["totals"]["missing"] == 1 and said["versions"] == [said["version"]]
    assert place.viewer.get(where, params={"since": DAY, "until": "2024-05-02"}).json() == said
    after = place.viewer.get(where, params={"period": "2024-06-01"}).json()
    assert (after["state"], after["run"], sum(after["opening"].values())) == ("incomplete", None, 4)
    for params in ({}, {"period": "yesterday"}, {"period": DAY, "since": DAY}):
        refused = place.viewer.get(where, params=params)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid-params")
    assert place.viewer.get("/v1/rules/nothing/statement", params={"period": DAY}).status_code == 404


def test_a_break_is_judged_again(place, breaks):
    """Both sources are asked as they are now: what agrees is closed and cannot be settled, what does not stays open."""
    sku = place.operator.get(f"/v1/breaks/{breaks['4']}").json()["upstream"]["records"][0]["values"]["sku"]
    run(place.node.folder, "prizes", f"UPDATE prize SET sku = '{sku}', card_number = '4111' WHERE change_id = 4")
    agreed = place.operator.post(f"/v1/breaks/{breaks['4']}/judge", json={"reason": "mended"}).json()
    assert (agreed["state"], agreed["acts"][-1]["action"]) == ("closed", "break-judge-again")
    still = place.operator.post(f"/v1/breaks/{breaks['5']}/judge", json={"reason": "mended?"}).json()
    assert still["state"] == "open"
    late = place.operator.post(f"/v1/breaks/{breaks['4']}/settle", json={"reason": "x"})
    assert (late.status_code, late.json()["code"]) == (409, "not-allowed")


def test_a_break_is_repaired_by_a_process(place, breaks):
    """An approver starts it, once for what was found; the break names it, and stays open until it agrees."""
    first = place.approver.post(f"/v1/breaks/{breaks['2']}/repair", json={"reason": "send it"}).json()
    again = place.second.post(f"/v1/breaks/{breaks['2']}/repair", json={"reason": "send it"}).json()
    assert (first["state"], first["process"]) == ("open", again["process"])
    assert place.viewer.get(f"/v1/processes/{first['process']}").json()["type"] == "reminder"
    assert [one["action"] for one in again["acts"]][-2:] == ["break-repair", "break-repair"]
    place.operator.post(f"/v1/breaks/{breaks['2']}/settle", json={"reason": "done"})
    late = place.approver.post(f"/v1/breaks/{breaks['2']}/repair", json={"reason": "send it"})
    assert (late.status_code, late.json()["code"]) == (409, "not-allowed")
    assert place.operator.post(f"/v1/breaks/{breaks['3']}/repair", json={"reason": "x"}).status_code == 403
    other = place.approver.post(f"/v1/breaks/{breaks['3']}/repair", json={"reason": "send it"}).json()
    assert other["process"] != first["process"]


def begin(place, **body):
    return place.operator.post("/v1/rules/redemption/runs", json={"reason": "asked for", **body})


def ended(place, where: str) -> dict:
    """A comparison, once it does not run any more."""
    return wait_for(lambda: (found := place.viewer.get(where).json())["state"] != "running" and found, "its end")


def test_a_comparison_is_begun(place, breaks):
    """It goes on by itself and is watched where the answer says; who began it, and why, is audited."""
    begun = begin(place, period=DAY)
    assert begun.status_code == 202 and begun.json()["attempt"] >= 2
    run = ended(place, begun.headers["location"])
    assert (run["state"], run["totals"]["missing"], run["aborted"]) == ("broken", 1, False)
    acts = place.operator.get("/v1/audit", params={"object": "rule:redemption"}).json()["items"]
    assert (acts[0]["action"], acts[0]["reason"]) == ("recon-run", "asked for")
    spelt = begin(place, since="2024-05-01T00:00", until="2024-05-02").json()
    assert spelt["id"] == run["id"]
    ended(place, begun.headers["location"])
    late = place.operator.post(f"/v1/runs/{run['id']}/abort", json={"reason": "x"})
    assert (late.status_code, late.json()["code"]) == (409, "not-allowed")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-params"),
        ({"period": "yesterday"}, 422, "invalid-params"),
        ({"period": DAY, "since": DAY}, 422, "invalid-params"),
        ({"since": "2024-05-02", "until": "2024-05-01"}, 422, "invalid-params"),
        ({"period": "2124-05-01"}, 409, "not-allowed"),
        ({"period": DAY, "folder": "/"}, 400, "invalid-request"),
    ],
)
def test_what_cannot_be_compared_is_not_begun(place, body, status, code):
    """What is no period, or has not passed, is refused, and nothing is stored."""
    refused = begin(place, **body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_a_comparison_is_aborted(place):
    """One that would take hours tells how far it is, ends when somebody wants that, and can be begun again at once."""
    folder = place.node.folder
    fill(folder, "prizes", (1, "mug", "4111"))
    fill(folder, "points", *((n, "mug", "4111") for n in range(1_000)))
    endless = "SELECT a.id, a.sku, a.card_number, a.at FROM base AS a, base AS b, base AS c, base AS d"
    run(folder, "points", "ALTER TABLE change RENAME TO base", f"CREATE VIEW change AS {endless}")
    begun = begin(place, period=DAY)
    assert begun.status_code == 202
    where = begun.headers["location"]
    wait_for(lambda: place.viewer.get(where).json()["progress"].get("reading upstream"), "some rows")
    twice = begin(place, period=DAY)
    assert (twice.status_code, twice.json()["code"]) == (409, "not-allowed")
    asked = place.operator.post(f"{where}/abort", json={"reason": "too long"}).json()
    assert asked["aborted"]
    assert ended(place, where)["state"] == "aborted"
    run(folder, "points", "DROP VIEW change", "DROP TABLE base")
    fill(folder, "points", (1, "mug", "4111"))
    again = begin(place, period=DAY)
    assert again.status_code == 202
    assert ended(place, where)["state"] == "agreed"


def test_a_comparison_that_fails_says_why(place):
    """Its sources are not as the rule needs them: the comparison is there, and names what is missing."""
    run(place.node.folder, "points", "DROP TABLE IF EXISTS change")
    begun = begin(place, period=DAY)
    assert begun.status_code == 202
    failed = ended(place, begun.headers["location"])
    assert failed["state"] == "failed" and "there is no table 'change'" in failed["note"]


def test_a_comparison_whose_program_has_gone_is_lost(place, breaks):
    """It is not told to be at work for ever."""

    async def lose(app):
        sql = "UPDATE tieout_recon_run SET state = 'running', seen_at = 0 WHERE rule = 'redemption'"
        await app.database.transact(lambda tx: tx.execute(sql))

    inside(place.url, lose)
    assert {one["state"] for one in place.viewer.get("/v1/runs").json()["items"]} == {"lost"}
    compare(place)


def measured(place) -> dict[str, float]:
    lines = place.metrics.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_breaks_are_measured(place, breaks):
    """Open breaks are metrics by rule and outcome, zero where there are none."""
    told = measured(place)
    counts = {
        name: told[f'tieout_recon_breaks{{outcome="{name}",rule="redemption"}}']
        for name in ("missing", "orphan", "differs", "duplicate")
    }
    assert counts == {"missing": 1, "orphan": 1, "differs": 3, "duplicate": 0}


def follow(place, gap: str | None) -> None:
    """Note in the database what a worker notes there that follows the rule, and was heard a moment ago."""

    async def work(app):
        store = FactStore(app.database.dialect)

        async def kept(tx):
            for name in ("points", "prizes"):
                await store.add_feed(tx, name)
                feed = (await store.feeds(tx))[name]
                passed = msgspec.structs.replace(feed, checkpoint="{}", watermark=feed.asked_at, fence=feed.fence + 1)
                assert await store.pass_feed(tx, passed)
            await store.note_gap(tx, "points", gap)
            await store.activate(tx, "redemption", 1, "v1", ["points", "prizes"])
            await store.go_live(tx, "redemption", "v1")
            await store.count_rule(tx, "redemption", {"tied": 30, "waiting": 10, "late-tied": 0})

        await app.database.transact(kept)

    inside(place.url, work)


def test_how_a_followed_rule_stands(place, breaks):
    """Feeds with lag, age and gap, rules with coverage and what waits; nothing is green behind a gap."""
    for found in breaks.values():
        place.operator.post(f"/v1/breaks/{found}/settle", json={"reason": "done"})
    follow(place, gap=None)
    live = place.viewer.get("/v1/rules/redemption").json()["live"]
    assert (live["health"], live["waiting"], live["coverage"]) == ("agreed", 10, 0.75)
    told = measured(place)
    assert told['tieout_recon_agreed{rule="redemption"}'] == 1
    assert told['tieout_recon_coverage{rule="redemption"}'] == 0.75
    assert told['tieout_recon_waiting{rule="redemption"}'] == 10
    follow(place, gap="the slot is gone")
    feeds = {one["feed"]: one for one in place.viewer.get("/v1/feeds").json()["items"]}
    assert (feeds["points"]["health"], feeds["points"]["gap"]) == ("gap", "the slot is gone")
    assert feeds["prizes"]["health"] == "up-to-date" and 0 <= feeds["prizes"]["lag"] <= feeds["prizes"]["age"] + 1
    assert place.viewer.get("/v1/rules/redemption").json()["live"]["health"] == "blind"
    told = measured(place)
    assert told['tieout_recon_agreed{rule="redemption"}'] == 0
    assert (told['tieout_recon_gap{feed="points"}'], told['tieout_recon_gap{feed="prizes"}']) == (1, 0)
    assert told['tieout_recon_lag_seconds{feed="prizes"}'] >= 0
    assert told['tieout_recon_checkpoint_age_seconds{feed="prizes"}'] >= 0
