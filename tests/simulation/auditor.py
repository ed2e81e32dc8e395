"""Compares what everybody has written down, and says what does not tie out. Knows nothing of tieout.

Reads the clients' log, the business tables, the downstreams' effects and claims, the operators' acts and the list of
alarms: `evidence.Evidence`, no more. Each check yields one line for each violation, naming the invariant.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.simulation.evidence import Asked, Claim, Evidence, Polled, Raised

REPEATS = {"prizes": True, "parcels": False, "messages": False}
"""Which downstreams know a repeated key."""

CALLS = {
    "redeem": ("prizes",),
    "gift": ("prizes", "parcels"),
    "message": ("messages",),
    "bundle": ("parcels", "prizes"),
    "trip": ("prizes", "parcels"),
    "party": (),
}
"""The downstream of each call of a process; the two of a trip are made at the same time."""

SECOND_CALL = {"gift": "ship", "bundle": "issue"}
"""The state of a process that waits on its second call."""

COMPARED = {"prizes": ("code", "sku"), "parcels": ("code",), "messages": ()}
"""In which fields of two successes a contradiction counts."""

HOLDS = ("conflict", "sent-once", "key-expired", "operator")
KEY_VALID = {
    ("redeem", 1): 60_000_000,
    ("gift", 1): 45_000_000,
    ("message", 1): 40_000_000,
    ("bundle", 2): 60_000_000,
    ("trip", 1): 60_000_000,
}
"""For how long the key of a call may be used, by kind and number, in microseconds."""

EARLY = 12_000_000
"""By how much a key may seem older: two jumps of the server's clock, and the time-out of a call."""


def violations(evidence: Evidence) -> list[str]:
    """Everything that is wrong."""
    return list(Auditor(evidence).run())


class Auditor:
    """One audit, with what it looks up again and again."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.kinds = {asked.process: asked.kind for asked in evidence.asked}
        self.last: dict[str, Polled] = {polled.process: polled for polled in evidence.polled}
        self.changes: dict[str, Counter[str]] = defaultdict(Counter)
        self.codes: dict[tuple[str, str], str] = {}
        for change in evidence.changes:
            self.changes[change["process"]][change["what"]] += 1
            self.codes[change["process"], change["what"]] = change["code"]
        self.conflicts = {alarm.about: alarm for alarm in evidence.alarms if alarm.kind == "conflict"}
        self.effects = defaultdict(list)
        for effect in evidence.effects:
            self.effects[effect.key].append(effect)
        self.claims: dict[str, list[Claim]] = defaultdict(list)
        for claim in evidence.claims:
            self.claims[claim.key].append(claim)
        settled = [act for act in evidence.acts if act.action == "settle"]
        self.wished = {act.key: act.choice for act in settled}
        self.settled = {act.key: act.choice for act in settled if act.done}

    def run(self) -> Iterator[str]:
        """All checks, one after the other."""
        yield from (f"surprise: {surprise}" for surprise in self.evidence.surprises)
        yield from self.accepted_is_kept()
        yield from self.children_end_first()
        yield from self.writes_happen_once()
        yield from self.points_add_up()
        yield from self.finals_stay()
        yield from self.finals_agree()
        yield from self.conflicts_are_told()
        yield from self.conflicts_hold()
        yield from self.everything_rests()
        yield from self.sends_are_equal()
        yield from self.sends_are_single()
        yield from self.sends_are_leased()

    def accepted_is_kept(self) -> Iterator[str]:
        """I1, I2: what was accepted is there, what was refused for good is not, and nothing altered was accepted."""
        attempts: dict[str, list[Asked]] = defaultdict(list)
        for asked in self.evidence.asked:
            if asked.process not in self.evidence.children:
                attempts[asked.process].append(asked)
        for process, all_asked in attempts.items():
            said = {asked.said for asked in all_asked}
            if "accepted" in said and process not in self.last:
                yield f"I2: {process} was accepted and is not there"
            if process in self.last and said <= {"refused"}:
                yield f"I2: {process} is there, and everybody who asked for it was refused"
            if any(asked.altered and asked.said == "accepted" for asked in all_asked):
                yield f"I1: {process} was accepted with altered params"
            if any(asked.said == "changed" and not asked.altered for asked in all_asked):
                yield f"I1: {process} was refused as changed and was not"

    def children_end_first(self) -> Iterator[str]:
        """A child is there only when its parent is; when the parent has ended, each child has, or never started."""
        for child, parent in self.evidence.children.items():
            mine, theirs = self.last.get(child), self.last.get(parent)
            if mine is not None and theirs is None:
                yield f"children: {child} is there, and {parent}, which runs it, is not"
            if mine is None or theirs is None or theirs.status not in ("final", "retired"):
                continue
            if mine.status not in ("final", "retired"):
                yield f"children: {parent} has ended, and its child {child} is {mine.status} {mine.state}"
            elif mine.moved > theirs.moved:
                yield f"children: {parent} ended before its child {child}"

    def writes_happen_once(self) -> Iterator[str]:
        """I3: each step's business writes are there once, and only those of the way that the process went."""
        for process in self.changes.keys() | self.last.keys():
            there, polled = self.changes[process], self.last.get(process)
            if any(count > 1 for count in there.values()):
                yield f"I3: {process} wrote twice: {dict(there)}"
            if polled is None:
                yield f"I3: {process} wrote and is not there: {dict(there)}"
            elif set(there) not in self._ways(polled):
                yield f"I3: {process} is {polled.status} {polled.state} and wrote {sorted(there)}"

    def _ways(self, polled: Polled) -> list[set[str]]:
        if polled.status in ("final", "retired"):
            done = {"deduct", "complete"} if polled.state == "completed" else {"deduct", "refund"}  # or cancelled
        else:
            done = {"deduct"}
        second = SECOND_CALL.get(self.kinds[polled.process])
        if second is None:
            return [done]
        if polled.state in ("completed", second):
            return [done | {"packed"}]
        return [done, done | {"packed"}] if polled.state == "refunded" else [done]

    def points_add_up(self) -> Iterator[str]:
        """I3, I7: balances follow from the changes, and each change from the price that was looked up for it."""
        evidence, users = self.evidence, {asked.process: asked.user for asked in self.evidence.asked}
        expected = dict(evidence.opening)
        for change in evidence.changes:
            sign = {"deduct": 1, "refund": -1}.get(change["what"], 0)
            expected[users[change["process"]]] -= sign * change["points"]
            expected["house"] += sign * change["points"]
        if expected != evidence.points:
            yield f"I3: balances are {evidence.points}, the changes say {expected}"
        quantities = {asked.process: asked.quantity for asked in evidence.asked if not asked.altered}
        for change in evidence.changes:
            polled = self.last.get(change["process"])
            if change["what"] == "complete" or change["what"] == "packed" or not polled or polled.status == "retired":
                continue
            if change["points"] != polled.price * quantities[polled.process]:
                yield f"I7: {polled.process} moved {change['points']} points at a price of {polled.price}"

    def finals_stay(self) -> Iterator[str]:
        """I4: whoever saw a final state sees it for ever."""
        seen: dict[str, Polled] = {}
        for polled in self.evidence.polled:
            first = seen.get(polled.process)
            if first is None or polled.asked <= first.at:
                if polled.status in ("final", "retired"):
                    seen[polled.process] = first or polled
            elif polled.state != first.state or polled.status not in ("final", "retired"):
                yield f"I4: {polled.process} was {first.state} and is {polled.status} {polled.state}"
            elif polled.status == first.status == "final" and polled.code != first.code:
                yield f"I4: {polled.process} ended with {first.code} and has {polled.code}"

    def finals_agree(self) -> Iterator[str]:
        """Both sides agree: completed with exactly its effects, refunded with none, unless a downstream lied."""
        for process, polled in self.last.items():
            if polled.status not in ("final", "retired"):
                continue
            keys = [f"{process}:{n}" for n in range(1, len(CALLS[self.kinds[process]]) + 1)]
            lied = [key for key in keys if key in self.evidence.planted]
            if not lied:
                yield from (self._trip_agrees if self.kinds[process] == "trip" else self._agrees)(polled, keys)
                yield from self._nothing_follows(polled, keys)
            elif all(self.settled.get(key) for key in lied) and polled.status == "final":
                yield from self._followed(polled, lied)

    def _agrees(self, polled: Polled, keys: list[str]) -> Iterator[str]:
        completed = polled.state == "completed"
        for key in keys:
            codes = [effect.code for effect in self.effects[key]]
            last = key == keys[-1]
            if completed and len(codes) != 1:
                yield f"agreement: {polled.process} is completed, and {key} had {len(codes)} effects"
            if not completed and last and codes:
                yield f"agreement: {polled.process} is {polled.state}, and {key} had an effect"
            if completed and last and codes[:1] != [self.codes.get((polled.process, "complete"))]:
                yield f"agreement: {polled.process} is completed with another code than {codes}"
            for effect in self.effects[key]:
                if effect.args["user"] != self._asked(polled.process).user:
                    yield f"agreement: {key} was done for {effect.args}"

    def _trip_agrees(self, polled: Polled, keys: list[str]) -> Iterator[str]:
        done = [len(self.effects[key]) for key in keys]
        if polled.state == "completed" and done != [1, 1]:
            yield f"agreement: {polled.process} is completed, and had {done} effects"
        if polled.state == "refunded" and done == [1, 1]:
            yield f"agreement: {polled.process} is refunded, and both its calls succeeded"
        seat = [effect.code for effect in self.effects[keys[0]]]
        if polled.state == "completed" and seat != [self.codes.get((polled.process, "complete"))]:
            yield f"agreement: {polled.process} is completed with another code than {seat}"

    def _nothing_follows(self, polled: Polled, keys: list[str]) -> Iterator[str]:
        for key in keys:
            if any(effect.at > polled.ended for effect in self.effects[key]):
                yield f"agreement: {polled.process} had ended as {polled.state} when {key} had its effect"

    def _followed(self, polled: Polled, lied: list[str]) -> Iterator[str]:
        for key in lied:
            if any(alarm.about == key and alarm.at > polled.moved for alarm in self.conflicts.values()):
                continue
            succeeded = self.settled[key] == "succeeded"
            if self.kinds[polled.process] == "trip":
                agrees = succeeded or polled.state != "completed"
            elif self._is_last(key):
                agrees = succeeded == (polled.state == "completed")
            else:
                agrees = succeeded == ("packed" in self.changes[polled.process])
            if not agrees:
                yield f"agreement: {key} was settled as {self.settled[key]}, and {polled.process} is {polled.state}"

    def _asked(self, process: str) -> Asked:
        return next(asked for asked in self.evidence.asked if asked.process == process and not asked.altered)

    def _is_last(self, key: str) -> bool:
        process, _, n = key.partition(":")
        return int(n) == len(CALLS[self.kinds[process]])

    def _service(self, key: str) -> str:
        process, _, n = key.partition(":")
        return CALLS[self.kinds[process]][int(n) - 1]

    def _contradict(self, key: str, claims: list[Claim]) -> bool:
        """Whether these claims contradict each other, or one of them what was asked for."""
        service = self._service(key)
        compared = COMPARED[service]
        if "sku" in compared:
            sku = self._asked(key.partition(":")[0]).sku
            if any(claim.kind == "succeeded" and claim.sku != sku for claim in claims):
                return True
        identities = {claim.code for claim in claims if claim.kind == "succeeded"} if "code" in compared else set()
        return len({claim.kind for claim in claims}) > 1 or len(identities) > 1

    def _overruled(self, key: str, claims: list[Claim]) -> bool:
        """Whether a person wished what the downstream said otherwise: a decision is a claim like any other."""
        return key in self.wished and any(claim.kind != self.wished[key] for claim in claims)

    def conflicts_are_told(self) -> Iterator[str]:
        """I4: one alarm, with both claims, for each call whose claims contradicted each other, and no other alarm."""
        told = Counter(alarm.about for alarm in self.evidence.alarms if alarm.kind == "conflict")
        for key, claims in self.claims.items():
            heard = [claim for claim in claims if claim.heard]
            if self._contradict(key, heard) and key not in told:
                yield f"I4: {key} was claimed {_spelled(heard)} and nobody was told"
            if not self._contradict(key, claims) and not self._overruled(key, claims) and key in told:
                yield f"I4: an alarm about {key}, of which all agree: {_spelled(claims)}"
        for key, count in told.items():
            if count > 1:
                yield f"I4: {count} alarms about {key}"
            if key not in self.claims:
                yield f"I4: an alarm about {key}, of which nobody said anything"
            elif len(self.conflicts[key].pieces) < 2:
                yield f"I4: the alarm about {key} rests on {self.conflicts[key].pieces}"
        for key in self.evidence.planted:
            if key not in told and self.last.get(key.partition(":")[0]) is not None:
                yield f"I4: the lie about {key} was never noticed"

    def conflicts_hold(self) -> Iterator[str]:
        """A conflict about a process that was not final holds it, until somebody lets it go on."""
        touched = {act.process for act in self.evidence.acts if act.action in ("resume", "settle")}
        for alarm in self.conflicts.values():
            polled = self.last.get(alarm.process)
            if polled is not None and polled.moved > alarm.at and alarm.process not in touched:
                yield f"I4: {alarm.process} went on to {polled.state} after the conflict about {alarm.about}"

    def everything_rests(self) -> Iterator[str]:
        """I5: when the faults have stopped, everything is final, or held for a reason that is true."""
        for process, polled in self.last.items():
            if polled.status == "running" and not self._waits_for_held(process):
                yield f"I5: {process} still runs: {polled.state} ({polled.note})"
            elif polled.status == "held" and not self._is_reason(polled):
                yield f"I5: {process} is held, because: {polled.note}"

    def _waits_for_held(self, process: str) -> bool:
        mine = [child for child, parent in self.evidence.children.items() if parent == process]
        return any(child in self.last and self.last[child].status == "held" for child in mine)

    def _is_reason(self, polled: Polled) -> bool:
        process, reason = polled.process, polled.note.partition(":")[0]
        kind = self.kinds[process]
        calls = [1, 2] if polled.state == "book" else [2 if polled.state == SECOND_CALL.get(kind) else 1]
        mine: list[Raised] = [alarm for alarm in self.evidence.alarms if alarm.process == process]
        match reason:
            case "conflict":
                return any(alarm.kind == "conflict" for alarm in mine)
            case "sent-once":
                told = any(alarm.kind == "unconfirmed" for alarm in mine)
                return told and not all(REPEATS[CALLS[kind][n - 1]] for n in calls)
            case "key-expired":
                told = any(alarm.kind == "unconfirmed" for alarm in mine)
                age = polled.at - min(asked.at for asked in self.evidence.asked if asked.process == process)
                return told and any(age + EARLY >= KEY_VALID.get((kind, n), age + EARLY + 1) for n in calls)
            case "operator":
                return any(act.process == process and act.action == "hold" for act in self.evidence.acts)
        return False

    def sends_are_equal(self) -> Iterator[str]:
        """I6: whatever is sent for one call is sent with the same arguments each time."""
        first: dict[str, str] = {}
        for sent in self.evidence.sent:
            spelled = json.dumps(sent.args, sort_keys=True)
            if first.setdefault(sent.key, spelled) != spelled:
                yield f"I6: {sent.key} was sent with {first[sent.key]} and with {spelled}"

    def sends_are_single(self) -> Iterator[str]:
        """Nothing happens twice: neither with a repeated key, nor where a downstream does not know repeats."""
        for key, effects in self.effects.items():
            if len(effects) > 1:
                yield f"effects: {key} had {len(effects)} effects at {effects[0].service}"
        sends = Counter(sent.key for sent in self.evidence.sent if not REPEATS[sent.service])
        for key, count in sends.items():
            if count > 1:
                yield f"effects: {key} was sent {count} times to {self._service(key)}, which does not know repeats"

    def sends_are_leased(self) -> Iterator[str]:
        """I8: a node sends only while a lease of its own runs."""
        until: dict[tuple[str, str], int] = {}
        for lease in self.evidence.leases:
            owned = (lease.node, lease.process)
            until[owned] = max(until.get(owned, 0), lease.until)
        for sent in self.evidence.sent:
            process = sent.key.partition(":")[0]
            if sent.at > until.get((sent.node, process), 0):
                yield f"I8: {sent.node} sent {sent.key} past its lease"


def _spelled(claims: list[Claim]) -> list[str]:
    return [f"{claim.kind} {claim.code} {claim.sku}" for claim in claims]
