"""Receivers on this machine that check what they are sent, fail as a test tells them to, and come back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from tests.servers.process import free_port
from tieout.wire.standard_webhooks import Signed, parse_key, verify

KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
SECRET = "SEC-of-the-robot"
LOOPBACK = ("127.0.0.0/8",)


class Hooks:
    """An HTTP server: a webhook at /hook, robots at /dingtalk, /feishu, /wecom and /slack.

    `moods` are what the next requests meet, in turn: a status, "drop" (the connection is cut before anything is kept),
    "forget" (kept, but the answer is cut off) or "refuse" (200, with a robot's error). Without moods all is taken.
    What is not signed as it has to be stands in `wrong`.
    """

    def __init__(self):
        self.taken = []
        self.wrong = []
        self.moods = []
        self.requests = 0
        self._runner = None
        self.port = free_port()

    async def start(self):
        app = web.Application()
        app.router.add_post("/{kind}", self._receive)
        app.router.add_post("/moved/{kind}", self._redirect)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self):
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def url(self, kind, host="127.0.0.1"):
        return f"http://{host}:{self.port}/{kind}"

    async def _redirect(self, request):
        raise web.HTTPTemporaryRedirect(f"/{request.match_info['kind']}")

    async def _receive(self, request):
        self.requests += 1
        body = await request.read()
        mood = self.moods.pop(0) if self.moods else None
        if mood == "drop":
            request.transport.abort()
            return web.Response()
        if isinstance(mood, int):
            return web.Response(status=mood)
        if mood == "refuse":
            return web.json_response({"errcode": 130101, "errmsg": "send too fast", "code": 11232})
        try:
            told = CHECKS[request.match_info["kind"]](request, body)
        except (AssertionError, KeyError) as error:
            self.wrong.append(f"{type(error).__name__}: {error}")
            raise
        self.taken.append(told)
        if mood == "forget":
            request.transport.abort()
            return web.Response()
        return web.Response(text="ok") if request.path == "/slack" else web.json_response({"errcode": 0, "code": 0})


def _webhook(request, body):
    headers = {name.lower(): [value] for name, value in request.headers.items()}
    signed = verify(headers, body, {"tieout": [parse_key(KEY)]}, time.time())
    assert isinstance(signed, Signed), signed
    return signed.id, json.loads(body)


def _digest(key, text):
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def _dingtalk(request, body):
    query = dict(parse_qsl(urlsplit(str(request.rel_url)).query))
    assert abs(int(query["timestamp"]) / 1_000 - time.time()) < 3_600
    assert query["sign"] == _digest(SECRET, f"{query['timestamp']}\n{SECRET}")
    assert query["access_token"] == "t"
    return json.loads(body)["text"]["content"]


def _feishu(request, body):
    told = json.loads(body)
    assert abs(int(told["timestamp"]) - time.time()) < 3_600
    assert told["sign"] == _digest(f"{told['timestamp']}\n{SECRET}", "")
    return told["content"]["text"]


def _wecom(request, body):
    assert request.query["key"] == "k"
    return json.loads(body)["text"]["content"]


def _slack(request, body):
    return json.loads(body)["text"]


CHECKS = {
    "hook": _webhook,
    "dingtalk": _dingtalk,
    "feishu": _feishu,
    "wecom": _wecom,
    "slack": _slack,
}


class Post:
    """An SMTP server. `moods` are what the next messages meet: an answer such as "451 later", "drop", or "forget"."""

    def __init__(self):
        self.taken = []
        self.moods = []
        self.port = 0
        self._server = None

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader, writer):
        try:
            await self._talk(reader, writer)
        finally:
            writer.close()

    async def _talk(self, reader, writer):
        def say(line):
            writer.write(line.encode() + b"\r\n")

        say("220 here")
        while line := (await reader.readline()).decode().strip():
            match line.split(" ", maxsplit=1)[0].upper():
                case "DATA":
                    say("354 go on")
                    text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                    mood = self.moods.pop(0) if self.moods else None
                    if mood == "drop":
                        return
                    if mood in (None, "forget"):
                        self.taken.append(text)
                    if mood == "forget":
                        return
                    say(mood or "250 taken")
                case "QUIT":
                    say("221 bye")
                    return
                case _:
                    say("250 fine")
