"""Secrets planted wherever a caller can put one, and the search for them in all that a node says."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import httpx

from tests.server.callbacks import body_for, report, signed
from tests.server.node import BANK_KEY, KEY, Node

numbers = count(1)

SECRET = re.compile(rb"canary[0-9a-f]{24}")


@dataclass
class Planted:
    """The secrets, by where they were planted, and where any of them came to light."""

    secrets: dict[str, str] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    answers: int = 0

    def secret(self, where: str, chance: Random) -> str:
        made = f"canary{chance.getrandbits(96):024x}"
        self.secrets[made] = where
        return made

    def search(self, text: str, where: str) -> None:
        """Look for every secret in a text."""
        if "canary" in text:
            self.found += [f"{planted} in {where}" for made, planted in self.secrets.items() if made in text]


def plant(node: Node, token: str, *, secrets: int, seed: int = 0) -> Planted:
    """Plant so many in requests that succeed, fail, are refused, and make the node's own code raise."""
    chance, planted = Random(seed), Planted()
    with node.client() as http:
        ways = [way(http, token, planted, chance) for way in WAYS]
        for number in range(secrets):
            answer = next(ways[number % len(ways)])
            planted.answers += 1
            if answer is not None and answer.status_code >= 400:
                planted.search(answer.text + str(answer.headers), f"the answer {answer.status_code}")
    return planted


KEPT = {
    "tieout_process": {"params", "calls", "note"},
    "tieout_stray": {"body"},
    "tieout_evidence": {"body"},
}
"""Where the database holds what was accepted: params and arguments as they were sent, the note that quotes a step's
error, and what a rightly signed report said of a call that is not known."""

ACCEPTED = {"a param", "a nested param", "an error of a call", "an error of a step", "a callback"}
"""What was planted where it is accepted. Of everything else the database holds nothing."""


def search_dump(node: Node, planted: Planted) -> int:
    """Look in every column of every table for what must not be there; how many secrets were accepted, and are."""
    accepted = set[str]()
    with closing(sqlite3.connect(node.url.partition("///")[2])) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            found = database.execute(f'SELECT * FROM "{table}"')
            for row in found:
                for (column, *_), value in zip(found.description, row, strict=True):
                    for made in SECRET.findall(value if isinstance(value, bytes) else str(value).encode()):
                        where = planted.secrets.get(made.decode(), "nobody")
                        if where in ACCEPTED and column in KEPT.get(table, ()):
                            accepted.add(made.decode())
                        else:
                            planted.found.append(f"{where} in the dump of {table}.{column}")
    return len(accepted)


def search_node(node: Node, planted: Planted, *told: str) -> None:
    """Look in all that the node has written to its log, and in what else it has told."""
    planted.search(node.log.read_text(errors="replace"), "the log")
    for text in told:
        planted.search(text, "what the node tells")


def seen(node: Node, token: str) -> list[str]:
    """All that a caller is shown of processes and alarms, by list and each by itself."""
    with node.client(token) as http:
        processes, alarms = (http.get(f"/v1/{name}", params={"limit": 500}) for name in ("processes", "alarms"))
        each = [f"/v1/processes/{one['id']}/inspection" for one in processes.json()["items"][:50]]
        each += [f"/v1/alarms/{one['id']}" for one in alarms.json()["items"][:50]]
        return [processes.text, alarms.text, *(http.get(path).text for path in each)]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Idempotency-Key": f"planted-{next(numbers)}"}


def _payment(password: str, number: str, **more: Any) -> dict[str, Any]:
    return {"amount": "1", "currency": "EUR", "card": {"number": number}, "password": password, **more}


Way = Iterator[httpx.Response | None]


def in_params(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In the params of a process that succeeds."""
    while True:
        body = _payment(planted.secret("a param", chance), planted.secret("a nested param", chance))
        yield http.post("/v1/types/payment/processes", json=body, headers=_bearer(token))


def in_volatile_params(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In a param that is not stored."""
    while True:
        body = _payment("", "1", code=planted.secret("a volatile param", chance))
        yield http.post("/v1/types/payment/processes", json=body, headers=_bearer(token))


def in_errors_of_calls(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In what a call step raises, which quotes its arguments."""
    while True:
        secret = planted.secret("an error of a call", chance)
        body = _payment(secret, secret, mood="raise")
        yield http.post("/v1/types/payment/processes", json=body, headers=_bearer(token))


def in_errors_of_steps(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In what a transaction step raises, which quotes a card."""
    while True:
        body = _payment("", planted.secret("an error of a step", chance))
        body["card"]["holder"] = "nobody"
        yield http.post("/v1/types/payment/processes", json=body, headers=_bearer(token))


def in_wrong_types(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """Where another type, another name or another value is wanted."""
    while True:
        secret = planted.secret("a param of a wrong type", chance)
        wrong = chance.choice(
            [
                {"amount": secret},
                {"currency": secret},
                {secret: 1},
                {"card": secret},
                {"at": secret},
                {"tags": [secret * 2]},
            ]
        )
        yield http.post("/v1/types/payment/processes", json=_payment("", "1") | wrong, headers=_bearer(token))


def in_broken_json(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In JSON that is cut off, or has a name twice."""
    while True:
        secret = planted.secret("broken JSON", chance)
        body = chance.choice([f'{{"password":"{secret}"', f'{{"{secret}":1,"{secret}":2}}', secret])
        headers = _bearer(token) | {"Content-Type": "application/json"}
        yield http.post("/v1/types/payment/processes", content=body, headers=headers)


def in_changed_params(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In a repetition that changes a param."""
    while True:
        headers = _bearer(token)
        http.post("/v1/types/payment/processes", json=_payment("a", "1"), headers=headers)
        body = _payment(planted.secret("a changed param", chance), planted.secret("a changed card", chance))
        yield http.post("/v1/types/payment/processes", json=body, headers=headers)


def in_tokens(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In what is sent as a token or a password, right or wrong."""
    while True:
        secret = planted.secret("a token", chance)
        scheme = chance.choice(["Bearer", "Basic", "bearer tieout_"])
        yield http.get("/v1/me", headers={"Authorization": f"{scheme} {secret}"})


def in_headers(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In cookies, keys and other headers."""
    while True:
        secret = planted.secret("a header", chance)
        name = chance.choice(["Cookie", "X-Api-Key", "Referer", "User-Agent", "X-Forwarded-User"])
        yield http.get("/v1/processes", headers=_bearer(token) | {name: f"session={secret}", "Prefer": secret})


def in_addresses(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In the path and the query of addresses, which proxies and browsers write down; ours does not."""
    while True:
        secret = planted.secret("an address", chance)
        path = chance.choice([f"/{secret}", f"/v1/processes/{secret}", f"/v1/processes?note={secret}&limit=9999"])
        yield http.get(path, headers=_bearer(token))


def in_callbacks(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In the body of callbacks that are rightly signed, for calls that there are not, or make no sense."""
    while True:
        secret = planted.secret("a callback", chance)
        call = f"{chance.getrandbits(128):032x}:1"
        body = chance.choice(
            [
                body_for(call, value={"password": secret}),
                body_for(call, outcome=secret),
                json.dumps({"call_key": call, secret: 1}).encode(),
            ]
        )
        yield report(http, call, body, signed(chance.choice([KEY, BANK_KEY]), body))


def in_signatures(http: httpx.Client, token: str, planted: Planted, chance: Random) -> Way:
    """In the signature of a callback."""
    while True:
        secret = planted.secret("a signature", chance)
        call = f"{chance.getrandbits(128):032x}:1"
        body = body_for(call)
        headers = signed(KEY, body) | {"webhook-signature": f"v1,{secret}"}
        answer = None
        with suppress(httpx.HTTPError):
            answer = report(http, call, body, headers)
        yield answer


WAYS = (
    in_params,
    in_volatile_params,
    in_errors_of_calls,
    in_errors_of_steps,
    in_wrong_types,
    in_broken_json,
    in_changed_params,
    in_tokens,
    in_headers,
    in_addresses,
    in_callbacks,
    in_signatures,
)
