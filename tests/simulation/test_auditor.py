"""The auditor finds what is planted, and nothing where all is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.auditor import violations
from tests.simulation.evidence import Act, Asked, Claim, Effect, Evidence, Lease, Polled, Raised, Sent

ARGS = {"sku": "mug", "quantity": 2, "user": "ann"}


def change(what: str, points: int = 0, code: str = "") -> dict[str, object]:
    return {"process": "p", "what": what, "points": points, "code": code}


def completed() -> Evidence:
    """A redemption of two mugs at ten points that went well."""
    return Evidence(
        asked=[Asked(1, "p", "redeem", "ann", "mug", 2, altered=False, said="accepted", answered=2)],
        polled=[Polled(9, 9, "p", "final", "completed", "", "A1", 10, 5, 7)],
        sent=[Sent(3, "node1", "prizes", "p:1", ARGS)],
        leases=[Lease("node1", "p", 9)],
        effects=[Effect(4, "prizes", "p:1", "A1", ARGS)],
        claims=[Claim(4, "p:1", "succeeded", "A1", "mug", heard=False)],
        changes=[change("deduct", 20), change("complete", 0, "A1")],
        points={"ann": 80, "house": 20},
        opening={"ann": 100, "house": 0},
    )


def held() -> Evidence:
    """A message that may have been sent, and about which a person has to decide."""
    evidence = completed()
    evidence.asked = [replace(evidence.asked[0], kind="message")]
    evidence.polled = [Polled(9, 9, "p", "held", "tell", "sent-once", "", 10, 0)]
    evidence.sent = [Sent(3, "node1", "messages", "p:1", ARGS)]
    evidence.effects = [Effect(4, "messages", "p:1", "A1", ARGS)]
    evidence.changes = [change("deduct", 20)]
    evidence.alarms = [Raised(5, "unconfirmed", "p", "p", "open", ["{}"])]
    return evidence


def cancelled() -> Evidence:
    """A trip of which the seat was taken, and which was then cancelled."""
    evidence = completed()
    evidence.asked = [replace(evidence.asked[0], kind="trip")]
    evidence.polled = [replace(evidence.polled[0], state="cancelled", code="")]
    evidence.changes = [change("deduct", 20), change("refund", 20)]
    evidence.points = dict(evidence.opening)
    return evidence


def partied() -> Evidence:
    """A party of one guest, who was told."""
    evidence = held()
    party = replace(evidence.asked[0], process="party", kind="party", quantity=2)
    evidence.asked = [party, replace(evidence.asked[0], said="child")]
    evidence.children = {"p": "party"}
    evidence.polled = [
        Polled(9, 9, "p", "final", "completed", "", "A1", 10, 5, 7),
        Polled(9, 9, "party", "final", "completed", "", "completed", 10, 6, 8),
    ]
    evidence.changes = [change("deduct", 20), change("complete", 0, "A1")]
    evidence.changes += [{**change, "process": "party"} for change in evidence.changes]
    evidence.points = {"ann": 60, "house": 40}
    evidence.alarms = []
    return evidence


@pytest.mark.parametrize("made", [completed, held, cancelled, partied])
def test_what_ties_out_is_silent(made):
    """Nothing is wrong with what went well, was cancelled in time, or is held for a reason."""
    assert violations(made()) == []


def lose(evidence: Evidence) -> None:
    evidence.polled = []


def keep_though_refused(evidence: Evidence) -> None:
    evidence.asked[0].said = "refused"


def accept_altered(evidence: Evidence) -> None:
    evidence.asked.append(replace(evidence.asked[0], altered=True, quantity=7))


def deduct_twice(evidence: Evidence) -> None:
    evidence.changes.append(change("deduct", 20))


def refund_too(evidence: Evidence) -> None:
    evidence.changes.append(change("refund", 20))


def lose_points(evidence: Evidence) -> None:
    evidence.points["ann"] = 70


def take_another_price(evidence: Evidence) -> None:
    evidence.changes[0]["points"] = 40
    evidence.points = {"ann": 60, "house": 40}


def change_the_final(evidence: Evidence) -> None:
    evidence.polled.append(replace(evidence.polled[0], asked=10, at=10, state="refunded"))


def do_nothing(evidence: Evidence) -> None:
    evidence.effects = []


def do_it_twice(evidence: Evidence) -> None:
    evidence.effects.append(replace(evidence.effects[0], code="A2"))


def hand_out_another(evidence: Evidence) -> None:
    evidence.effects[0].code = "A2"


def contradict(evidence: Evidence) -> None:
    evidence.claims[0].heard = True
    evidence.claims.append(Claim(6, "p:1", "failed", "no", "", heard=True))


def echo_another(evidence: Evidence) -> None:
    evidence.claims.append(Claim(6, "p:1", "succeeded", "A1", "pen", heard=True))


def cry_wolf(evidence: Evidence) -> None:
    evidence.alarms.append(Raised(6, "conflict", "p:1", "p", "open", ["a", "b"]))


def tell_half(evidence: Evidence) -> None:
    contradict(evidence)
    evidence.alarms.append(Raised(6, "conflict", "p:1", "p", "open", ["a"]))


def go_on_in_spite(evidence: Evidence) -> None:
    contradict(evidence)
    evidence.alarms.append(Raised(4, "conflict", "p:1", "p", "open", ["a", "b"]))


def leave_running(evidence: Evidence) -> None:
    evidence.polled[0].status, evidence.polled[0].state = "running", "issue"
    evidence.changes = [change("deduct", 20)]


def hold_without_a_word(evidence: Evidence) -> None:
    evidence.alarms = []


def hold_for_no_reason(evidence: Evidence) -> None:
    evidence.polled[0].note = "operator: nobody knows"


def send_other_args(evidence: Evidence) -> None:
    evidence.sent.append(replace(evidence.sent[0], args={**ARGS, "quantity": 3}))


def send_twice(evidence: Evidence) -> None:
    evidence.sent.append(replace(evidence.sent[0], at=4))


def send_late(evidence: Evidence) -> None:
    evidence.sent[0].at = 10


def send_by_another(evidence: Evidence) -> None:
    evidence.sent[0].node = "node2"


def raise_something(evidence: Evidence) -> None:
    evidence.surprises.append("KeyError: 'x'")


def settle_against(evidence: Evidence) -> None:
    contradict(evidence)
    evidence.planted.add("p:1")
    evidence.alarms.append(Raised(4, "conflict", "p:1", "p", "resolved", ["a", "b"]))
    evidence.acts.append(Act(5, "p", "settle", "p:1", "failed", done=True))


def act_after_the_end(evidence: Evidence) -> None:
    evidence.effects[0].at = 8


def complete_half_a_trip(evidence: Evidence) -> None:
    evidence.polled[0].state = "completed"
    evidence.changes = [change("deduct", 20), change("complete", 0, "A1")]
    evidence.points = {"ann": 80, "house": 20}


def end_before_the_child(evidence: Evidence) -> None:
    evidence.polled[0].moved = 7


def forget_the_child(evidence: Evidence) -> None:
    evidence.polled[0] = Polled(9, 9, "p", "held", "tell", "sent-once", "", 10, 0)


def run_without_a_parent(evidence: Evidence) -> None:
    del evidence.polled[1]


PLANTED = [
    (completed, act_after_the_end, "agreement"),
    (cancelled, act_after_the_end, "agreement"),
    (cancelled, complete_half_a_trip, "agreement"),
    (partied, end_before_the_child, "children"),
    (partied, forget_the_child, "children"),
    (partied, run_without_a_parent, "children"),
    (completed, lose, "I2"),
    (completed, keep_though_refused, "I2"),
    (completed, accept_altered, "I1"),
    (completed, deduct_twice, "I3"),
    (completed, refund_too, "I3"),
    (completed, lose_points, "I3"),
    (completed, take_another_price, "I7"),
    (completed, change_the_final, "I4"),
    (completed, do_nothing, "agreement"),
    (completed, do_it_twice, "effects"),
    (completed, hand_out_another, "agreement"),
    (completed, contradict, "I4"),
    (completed, echo_another, "I4"),
    (completed, cry_wolf, "I4"),
    (completed, tell_half, "I4"),
    (completed, go_on_in_spite, "I4"),
    (completed, leave_running, "I5"),
    (held, hold_without_a_word, "I5"),
    (held, hold_for_no_reason, "I5"),
    (completed, send_other_args, "I6"),
    (held, send_twice, "effects"),
    (completed, send_late, "I8"),
    (completed, send_by_another, "I8"),
    (completed, raise_something, "surprise"),
    (completed, settle_against, "agreement"),
]


@pytest.mark.parametrize(("made", "planted", "invariant"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_what_is_planted_is_found(made, planted, invariant):
    """Each inconsistency is found, and under the invariant that it breaks."""
    evidence = made()
    planted(evidence)
    assert invariant in {violation.partition(":")[0] for violation in violations(evidence)}


def test_the_auditor_knows_nothing_of_tieout():
    """It stands alone: it imports plain data and the standard library only."""
    import ast
    from pathlib import Path

    for name in ("auditor.py", "evidence.py"):
        tree = ast.parse(Path(__file__).with_name(name).read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert imported <= {"__future__", "collections", "collections.abc", "dataclasses", "typing"} | {
            "tests.simulation.evidence"
        }
