"""A provider, a node whose people log in there, and their browsers."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx

from tests.server.conftest import ROLES
from tests.server.node import SETTINGS, Node, migrate, token
from tests.servers.openid import CLIENT, SECRET, Browser, OpenId
from tests.servers.process import free_port

AUDIENCE = "https://tieout.example/api"


@dataclass
class House:
    """A provider, a node whose people log in there, and their browsers."""

    openid: OpenId
    node: Node
    browsers: list[Browser]

    def browser(self) -> Browser:
        self.browsers.append(Browser(self.node.address))
        return self.browsers[-1]

    def person(self, name: str) -> Browser:
        """The browser of somebody who has logged in."""
        browser = self.browser()
        answer = browser.login(name)
        assert answer.status_code == 303, answer.text
        return browser

    def audit(self) -> list[dict]:
        """What the audit tells of people, the latest first."""
        with self.node.client(token(self.node.url, "auditor", "operator")) as http:
            return [row for row in http.get("/v1/audit").json()["items"] if row["actor"] != "tests"]


def settings(openid: OpenId, *more: str) -> str:
    roles = ", ".join(f'{role}s = "{role}"' for role in ROLES)
    return "\n".join(
        (
            SETTINGS,
            "[server.oidc]",
            f'issuer = "{openid.issuer}"',
            f'client_id = "{CLIENT}"',
            f"client_secret = {json.dumps(SECRET)}",
            f"roles = {{{roles}}}",
            'name_claim = "preferred_username"',
            f'audience = "{AUDIENCE}"',
            *more,
        )
    )


def made(folder: Path) -> House:
    port = free_port()
    (folder / "openid").mkdir()
    openid = OpenId(folder / "openid", f"http://127.0.0.1:{port}/v1/login/callback").start()
    node = Node(folder, migrate(f"sqlite:///{folder}/shop.db"), settings=settings(openid), port=port)
    return House(openid, node.start(), [])


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def changed(address: str, **more: str) -> str:
    parts = urlsplit(address)
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()} | more
    return urlunsplit(parts._replace(query=urlencode({name: value for name, value in asked.items() if value})))


def claims_of(text: str) -> dict:
    body = text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def program_claims(house: House, **more) -> dict:
    now = int(time.time())
    claims = {"iss": house.openid.issuer, "aud": AUDIENCE, "sub": "billing", "client_id": "billing"}
    return claims | {"iat": now, "exp": now + 60, "groups": ["viewers"], **more}
