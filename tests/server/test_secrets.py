"""No secret comes to light: not in logs, not in answers to failed requests, not in metrics or descriptions."""

from __future__ import annotations

import io
import json
import logging

import pytest

from tests.server import planting
from tests.server.node import KEY, token
from tieout.errors import NotAllowed
from tieout.server.logs import formatter
from tieout.server.masking import MASK, Masking, without_secrets
from tieout.server.settings import SECRET_NAMES


def test_no_planted_secret_is_found(node_of):
    """A thousand secrets in params, errors, headers, addresses, callbacks and tokens: none is told by the node.

    Nor is any in a dump of its database, but for what was accepted, in the columns that hold that; and a viewer sees
    none of it.
    """
    senders = f'[server.senders.prizes]\nkeys = ["{KEY}"]\n'
    mask = '"*password*", "card.number"'
    settings = f"[server]\nrate = 1e6\nburst = 1e6\nmask = [{mask}]\n{senders}"
    node = node_of("", "--log-level", "debug", settings=settings)
    planted = planting.plant(node, token(node.url, "c", "client"), secrets=1_000)
    with node.client(token(node.url, "m", "admin")) as http:
        told = [http.get(path).text for path in ("/metrics", "/v1/openapi.json", "/v1/audit", "/v1/docs", "/readyz")]
    told += planting.seen(node, token(node.url, "v", "viewer"))
    node.stop()
    planting.search_node(node, planted, *told)
    assert planting.search_dump(node, planted) > 0
    assert len(planted.secrets) >= 1_000
    assert set(planted.secrets.values()) >= {"a param", "an error of a call", "an error of a step", "a signature"}
    log = node.log.read_text()
    assert "ConnectionError" in log or "ValueError" in log, "the node's own code has to have raised"
    assert planted.found == []


@pytest.mark.parametrize(
    ("patterns", "path", "is_hidden"),
    [
        (SECRET_NAMES, "params.password", True),
        (SECRET_NAMES, "calls.args.Old_Password_2", True),
        (SECRET_NAMES, "params.user", False),
        (("card.number",), "params.card.number", True),
        (("card.number",), "params.number", False),
        (("params.*.number",), "params.card.number", True),
        (("card.number",), "params.discard.number", False),
        ((), "params.password", False),
    ],
)
def test_fields_are_hidden_by_name_or_path(patterns, path, is_hidden):
    """A pattern without a stop is a name at any depth; one with stops is the end of a path."""
    value: object = "seen"
    for name in reversed(path.split(".")):
        value = {name: value}
    assert (MASK in json.dumps(Masking(patterns).masked(value))) is is_hidden


@pytest.mark.parametrize(
    "text",
    [
        "token tieout_0123456789ab_" + "0" * 64,
        "key whsec_c2VjcmV0",
        "signature v1," + "A" * 43 + "=",
        "postgresql://shop:hunter2@db/shop",
        "Authorization: Bearer abcdef.ghi",
    ],
)
def test_what_has_the_form_of_a_secret_is_masked(text):
    """Tokens, webhook keys, signatures, passwords of URLs and what follows Bearer."""
    masked = without_secrets(text)
    assert MASK in masked
    assert not any(part in masked for part in ("0" * 64, "c2VjcmV0", "A" * 43, "hunter2", "abcdef"))


def fail(error: Exception) -> None:
    raise error


def logged(error: Exception, *, messages: bool) -> str:
    """What the log has of an error."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(Masking(()), messages=messages))
    logger = logging.Logger("tieout.test")  # noqa: LOG001 - apart from every other
    logger.addHandler(handler)
    try:
        fail(error)
    except Exception:
        logger.exception("it failed")
    return stream.getvalue()


def test_messages_of_foreign_errors_are_left_out():
    """Type and place of an error are logged, its message only if it is tieout's, or if that is wished."""
    told = json.loads(logged(ValueError("card 4111"), messages=False))
    assert told["error"][0] == "ValueError"
    assert "test_secrets.py" in told["error"][1]
    assert "4111" not in json.dumps(told)
    assert "card 4111" in logged(ValueError("card 4111"), messages=True)
    assert "only a held one" in logged(NotAllowed("only a held one"), messages=False)
