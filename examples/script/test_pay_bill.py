"""The script against a bank that pays and hangs up, over real HTTP; killed in between, and run again."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from aiohttp import web

SCRIPT = Path(__file__).with_name("pay_bill.py")


class Bank:
    """Pays once for each key, and does not answer `silent` of those who ask it to."""

    def __init__(self) -> None:
        self.payments = {}
        self.asked = asyncio.Event()
        self.silent = 1
        self.url = ""

    async def pay(self, request):
        """Pay, then perhaps say nothing."""
        key = request.match_info["key"]
        self.payments.setdefault(key, (await request.json())["amount"])
        self.asked.set()
        if self.silent:
            self.silent -= 1
            request.transport.abort()
        return await self.find(request)

    async def find(self, request):
        """Tell what became of a key."""
        key = request.match_info["key"]
        if key not in self.payments:
            return web.json_response({}, status=404)
        if self.payments[key] > 1_000:
            return web.json_response({}, status=402)
        return web.json_response({"receipt": f"receipt for {self.payments[key]}"})


@pytest.fixture
async def bank():
    """A bank on a free port."""
    made, service = Bank(), web.Application()
    service.add_routes([web.put("/payments/{key}", made.pay), web.get("/payments/{key}", made.find)])
    runner = web.AppRunner(service)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def begin(bank, tmp_path, number="bill-17", amount=900):
    """Begin the script as a person would."""
    command = [sys.executable, SCRIPT, number, str(amount), bank.url]
    return await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE)


async def say(script):
    """What it prints."""
    out, _ = await asyncio.wait_for(script.communicate(), 30)
    return out.decode().strip()


async def test_an_answer_is_lost(bank, tmp_path):
    """The bank is asked what became of it, and again on no later run."""
    assert await say(await begin(bank, tmp_path)) == "bill-17: paid receipt for 900"
    assert await say(await begin(bank, tmp_path)) == "bill-17: paid receipt for 900"
    assert list(bank.payments.values()) == [900]


async def test_the_bank_refuses(bank, tmp_path):
    """A refusal is a result like any other."""
    bank.silent = 0
    assert await say(await begin(bank, tmp_path, amount=2_000)) == "bill-17: refused no_money"


async def test_killed_and_run_again(bank, tmp_path):
    """Killed when the bank has paid and not answered: the next run finds out."""
    killed = await begin(bank, tmp_path)
    await asyncio.wait_for(bank.asked.wait(), 20)
    killed.kill()
    assert await say(killed) == ""
    assert await say(await begin(bank, tmp_path)) == "bill-17: paid receipt for 900"
    assert list(bank.payments.values()) == [900]
