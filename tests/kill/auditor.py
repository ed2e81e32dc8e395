"""Compares what the business, the other companies and the client have after all lives: it knows nothing of tieout.

I1 one process for a request. I2 what was accepted is there. I3 each business write once. I4 what a client was told
stays true. I5 everything has come to an end, or waits for a person. I6 what is sent again is what was sent first. I7 a
snapshot is whole.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

ENDS = ("complete", "refund", "cancel")
"""Notes of which a process has one, once it has ended."""

ENDED_AS = {"completed": "complete", "refunded": "refund", "cancelled": "cancel", "bought": "bought"}
"""Which note a final state that a client is told stands for."""

ONCE_IN_ITS_LIFE = "pigeons"
"""The company that knows no keys: a call to it may end with nobody knowing."""


class Note(NamedTuple):
    """One business write."""

    request: str
    process: str
    what: str
    points: int
    code: str


class Sent(NamedTuple):
    """What a company was sent."""

    key: str
    service: str
    args: str


class Effect(NamedTuple):
    """What a company has done."""

    key: str
    service: str
    code: str


class Evidence(NamedTuple):
    """All that is left at the end. `states` are the status of each process row; `alarms` the kinds of alarms."""

    first_points: int
    points: int
    notes: list[Note]
    sent: list[Sent]
    effects: list[Effect]
    client: list[dict[str, Any]]
    states: dict[str, str]
    alarms: list[str]


def violations(left: Evidence) -> list[str]:
    """What does not agree, in words."""
    return [
        *one_process(left),
        *accepted(left),
        *written_once(left),
        *told(left),
        *ended(left),
        *both_sides(left),
        *sent_alike(left),
        *kept_whole(left),
        *quiet(left),
    ]


def one_process(left: Evidence) -> Iterator[str]:
    begun = defaultdict(list)
    for note in left.notes:
        if note.what == "begin":
            begun[note.request].append(note.process)
    for request, processes in begun.items():
        if len(processes) > 1:
            yield f"I1: {request} was begun {len(processes)} times, as {sorted(set(processes))}"


def accepted(left: Evidence) -> Iterator[str]:
    there = {note.request for note in left.notes if note.what in ("begin", "bought")}
    for line in left.client:
        if line["what"] in ("accepted", "told") and line["request"] not in there:
            yield f"I2: {line['request']} was accepted, and nothing of it is there"
    for request in {line["request"] for line in left.client if line["what"] == "asked"} - there:
        yield f"I2: {request} was asked for until it was accepted, and nothing of it is there"


def written_once(left: Evidence) -> Iterator[str]:
    for (process, what), times in Counter((note.process, note.what) for note in left.notes).items():
        if times > 1:
            yield f"I3: {what} of {process} was written {times} times"
    moved = sum(note.points for note in left.notes)
    if left.points != left.first_points + moved:
        yield f"I3: the account holds {left.points} and not {left.first_points + moved}"
    begun = {note.request for note in left.notes if note.what == "begin"}
    for note in left.notes:
        if note.what == "own" and note.request not in begun:
            yield f"I3: what the user wrote with the start of {note.request} stands without it"


def told(left: Evidence) -> Iterator[str]:
    by_request = defaultdict(set)
    for line in left.client:
        if line["what"] == "told":
            by_request[line["request"]].add((line["state"], line["result"]))
    for request, finals in by_request.items():
        if len(finals) > 1:
            yield f"I4: the client was told of {request}: {sorted(finals)}"
        wanted = {ENDED_AS[state] for state, _ in finals}
        written = {note.what for note in left.notes if note.request == request}
        if not wanted <= written:
            yield f"I4: the client was told that {request} is {finals}; the business has {sorted(written)}"
    bought = {note.request: note.code for note in left.notes if note.what == "bought"}
    for request, code in bought.items():
        if any(result != code for _, result in by_request[request]):
            yield f"I4: the answer to {request} was {by_request[request]} and not {code}"


def ended(left: Evidence) -> Iterator[str]:
    begun = {note.process for note in left.notes if note.what == "begin"}
    ends = defaultdict(list)
    for note in left.notes:
        if note.what in ENDS:
            ends[note.process].append(note.what)
    for process in begun:
        state = left.states.get(process, "gone")
        if state == "held" and not ends[process] and may_be_held(left, process):
            continue
        if state != "final" or len(ends[process]) != 1:
            yield f"I5: {process} is {state}, with the ends {ends[process]}"
    for process in left.states.keys() - begun:
        yield f"I1: {process} has a row, and nothing in the business"
    asked_off = {line["request"] for line in left.client if line["what"] == "cancel noted"}
    called_off = {note.request for note in left.notes if note.what == "cancel"}
    for request in asked_off - called_off:
        yield f"I2: that {request} is called off was noted, and did not happen"


def may_be_held(left: Evidence, process: str) -> bool:
    """Whether a person has to look: the company knows no keys, nobody was told, and a person was."""
    services = {sent.service for sent in left.sent if sent.key.startswith(process)}
    return services <= {ONCE_IN_ITS_LIFE} and "unconfirmed" in left.alarms


def both_sides(left: Evidence) -> Iterator[str]:
    for (key, service), times in Counter((effect.key, effect.service) for effect in left.effects).items():
        if times > 1:
            yield f"I3: {service} did {key} {times} times"
    done = defaultdict(list)
    for effect in left.effects:
        done[effect.key.partition(":")[0]].append(effect)
    for note in left.notes:
        codes = {effect.code for effect in done[note.process]}
        if note.what == "complete" and not {note.code} <= codes and not note.code.startswith("completed "):
            yield f"the business has {note.process} complete as {note.code}, the companies have {sorted(codes)}"
        if note.what == "refund":
            kept = [effect for effect in done[note.process] if effect.service not in ("bank", "givebacks")]
            paid = Counter(effect.service for effect in done[note.process])
            if kept or paid["bank"] != paid["givebacks"]:
                yield f"{note.process} was refunded, and the companies have {done[note.process]}"
        if note.what == "cancel" and bool(done[note.process]) is not (note.code == "too late"):
            yield f"{note.process} was called off ({note.code!r}), and the companies have {done[note.process]}"


def sent_alike(left: Evidence) -> Iterator[str]:
    by_key = defaultdict(set)
    times: Counter[str] = Counter()
    for sent in left.sent:
        by_key[sent.key].add((sent.service, sent.args))
        times[sent.key] += sent.service == ONCE_IN_ITS_LIFE
    for key, forms in by_key.items():
        if len(forms) > 1:
            yield f"I6: {key} was sent as {sorted(forms)}"
    for key, count in times.items():
        if count > 1:
            yield f"I6: {key} was sent {count} times to whom it may be sent once"


def kept_whole(left: Evidence) -> Iterator[str]:
    """The price that was taken from the account is the one that was sent."""
    begun = {note.process: -note.points for note in left.notes if note.what == "begin"}
    for sent in left.sent:
        price = json.loads(sent.args).get("price")
        process = sent.key.partition(":")[0]
        if price is not None and price != begun.get(process):
            yield f"I7: {sent.key} was sent with the price {price}, and {begun.get(process)} was taken"


def quiet(left: Evidence) -> Iterator[str]:
    """Nobody has contradicted anybody: no person is told so."""
    for kind in left.alarms:
        if kind != "unconfirmed":
            yield f"I4: an alarm of the kind {kind}, and nothing to tell"
