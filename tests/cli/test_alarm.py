"""`tieout alarm`: what machines could not decide."""

from __future__ import annotations

import tieout


def alarm_of(shop, key: str = "r-1") -> str:
    process = shop.conflict(key)
    return shop.run("process", "show", process, "--json").document["alarms"][0]["id"]


def test_lists_by_kind_and_state(shop):
    """Alarms are listed the latest first, narrowed by kind and state, in pages that follow each other."""
    alarms = [alarm_of(shop, f"r-{n}") for n in range(3)]
    assert shop.run("alarm", "acknowledge", alarms[0], "--reason", "mine").status == 0

    def listed(*filters: str) -> list[str]:
        return [one["id"] for one in shop.run("alarm", "list", "--json", *filters).documents]

    assert listed() == alarms[::-1]
    assert listed("--state", "open") == alarms[:0:-1]
    assert listed("--state", "acknowledged") == alarms[:1]
    assert listed("--kind", "deadline") == []
    assert listed("--limit", "2") == alarms[:0:-1]
    assert listed("--after", alarms[1]) == alarms[:1]
    page = shop.run("alarm", "list", "--limit", "2")
    assert [line.split()[0] for line in page.out.splitlines()] == ["ID", alarms[2], alarms[1]]
    assert f"--after {alarms[1]}" in page.err


def test_claims_stand_beside_each_other(shop):
    """An alarm is shown with both claims in columns, a line for each field, and with the command that decides."""
    process = shop.start()
    shop.report(process, lambda module: tieout.Succeeded(module.Prize("A1", "mug")))
    shop.report(process, lambda _: tieout.Failed("sold-out", "none left"))
    alarm = shop.run("alarm", "list", "--json").document["id"]
    lines = shop.run("alarm", "show", alarm).out.splitlines()
    claims = {tuple(line.split()) for line in lines}
    assert ("kind", "succeeded", "failed") in claims or ("kind", "failed", "succeeded") in claims
    assert ("source", "push", "push") in claims
    assert f"tieout process settle {process} --call 1" in lines[-1]
    evidence = shop.run("alarm", "show", alarm, "--json").document["evidence"]
    assert {piece["body"]["kind"] for piece in evidence} == {"succeeded", "failed"}


def test_resolving_is_kept(shop):
    """A resolved alarm keeps its resolution, who chose it and why; it cannot be resolved twice or acknowledged then.

    Where money may have moved two persons have to choose the same; the first one's wish is recorded, with status 1.
    """
    alarm = alarm_of(shop)
    act = ["--as", "settled-outside", "--reason", "checked by phone", "--json"]
    for _ in range(2):
        wished = shop.run("alarm", "resolve", alarm, *act)
        assert (wished.status, "approval-needed" in wished.err) == (1, True)
    assert shop.run("alarm", "resolve", alarm, "--as", "accepted", "--reason", "no", "--actor", "eve").status == 1
    assert shop.run("alarm", "resolve", alarm, *act, "--actor", "Eve ").status == 1
    document = shop.run("alarm", "resolve", alarm, *act, "--actor", "bob").document
    assert (document["state"], document["resolution"]) == ("resolved", "settled-outside")
    assert (document["resolved_by"], document["note"]) == ("bob", "checked by phone")
    for command in (["resolve", alarm, "--as", "accepted"], ["acknowledge", alarm]):
        refused = shop.run("alarm", *command, "--reason", "again")
        assert refused.status == 3
        assert "[not-allowed]" in refused.err


def test_wrong_alarms_are_refused(shop):
    """An unknown id, what is no id, and a resolution that is none are told apart."""
    alarm = alarm_of(shop)
    for wrong in ("ab" * 16, "nonsense", "ab"):
        refused = shop.run("alarm", "show", wrong)
        assert (refused.status, refused.out) == (3, "")
        assert "[unknown-alarm]" in refused.err
    assert shop.run("alarm", "resolve", alarm, "--as", "forgotten", "--reason", "x").status == 2
    assert shop.run("alarm", "resolve", alarm, "--as", "accepted").status == 2
    assert shop.run("alarm", "resolve", alarm, "--as", "accepted", "--reason", " ").status == 3
    assert shop.run("alarm", "show", alarm, "--json").document["state"] == "open"


def test_an_alarm_has_an_owner_and_is_snoozed(shop):
    """Owning acknowledges; alarms are listed by owner; for how long one is snoozed, and what happened, is shown."""
    alarm, other = alarm_of(shop, "r-1"), alarm_of(shop, "r-2")
    owned = shop.run("alarm", "own", alarm, "--to", "bob", "--reason", "he knows it", "--json").document
    assert (owned["state"], owned["owner"]) == ("acknowledged", "bob")
    assert shop.run("alarm", "own", other, "--reason", "mine", "--json").document["owner"] == "alice"
    assert [one["id"] for one in shop.run("alarm", "list", "--json", "--owned-by", "bob").documents] == [alarm]
    snoozed = shop.run("alarm", "snooze", alarm, "--for", "2h", "--reason", "at lunch", "--json").document
    assert snoozed["snoozed_until"] > snoozed["last_at"]
    assert [(one["happening"], one["actor"], one["note"]) for one in snoozed["history"]] == [
        ("opened", "tieout", ""),
        ("owned", "alice", "he knows it"),
        ("snoozed", "alice", "at lunch"),
    ]
    shown = shop.run("alarm", "show", alarm).out
    assert "he knows it" in shown and "snoozed" in shown
    for wrong in ("0s", "31d"):
        assert shop.run("alarm", "snooze", alarm, "--for", wrong, "--reason", "x").status == 3
    assert shop.run("alarm", "own", alarm, "--to", " ", "--reason", "x").status == 3
