"""Nodes drain, with listeners connected too; share a database; run in parts; and do not start where they are open."""

from __future__ import annotations

import signal
import threading

import pytest

import tieout.blocking
from tests.server.node import stored, token, wait_for
from tieout.cli.serve import parts_of
from tieout.errors import ConfigError
from tieout.server import asgi
from tieout.server.settings import Settings, read_settings

EVERYWHERE = "0.0.0.0"  # noqa: S104 - a value under test: nothing listens there


def test_a_node_drains_with_listeners_connected(node_of):
    """On SIGTERM the requests in flight are answered, streams are told that they end, and the status is 0."""
    node = node_of()
    text = token(node.url, "c", "client")
    answers = []

    def ask() -> None:
        with node.client(text) as http:
            headers = {"Idempotency-Key": "drained", "Prefer": "wait=20"}
            body = {"user": "b", "sku": "second"}
            answers.append(http.post("/v1/types/redeem/processes", json=body, headers=headers))

    with node.client(text) as http, http.stream("GET", "/v1/events") as events, node.client() as other:
        lines = events.iter_lines()
        asking = threading.Thread(target=ask)
        asking.start()
        assert next(line for line in lines if "issue" in line)
        node.signal()
        assert "event: closed" in list(lines)
        assert node.said() == "draining"
        asking.join()
        assert (answers[0].status_code, answers[0].json()["state"]) == (201, "completed")
        assert node.said() == "stopped"
        del other
    assert node.ended() == 0


def test_a_second_signal_stops_at_once(node_of):
    """Whoever signals twice does not wait for anything; what was accepted is still there."""
    node = node_of()
    text = token(node.url, "c", "client")
    with node.client(text) as http:
        process = http.post(
            "/v1/types/redeem/processes", json={"user": "b", "sku": "second"}, headers={"Idempotency-Key": "twice"}
        ).json()["id"]
        node.signal()
        assert node.said() == "draining"
        node.signal(signal.SIGINT)
        assert node.ended() in (0, 128 + signal.SIGINT)
    assert stored(node.url, process).status in ("running", "final")


def test_several_nodes_share_one_database(node_of, postgres_url):
    """What one node has accepted is found, replayed and finished through another; a killed one loses nothing."""
    one, two = node_of(postgres_url), node_of(postgres_url)
    text = token(one.url, "c", "client")
    with one.client(text) as first, two.client(text) as second:

        def start(http, key: str, sku: str = "mug"):
            headers = {"Idempotency-Key": key, "Prefer": "wait=20"}
            return http.post("/v1/types/redeem/processes", json={"user": "b", "sku": sku}, headers=headers)

        begun = [start(first, f"k{number}").json()["id"] for number in range(5)]
        again = [start(second, f"k{number}") for number in range(5)]
        assert [answer.json()["id"] for answer in again] == begun
        assert {answer.status_code for answer in again} == {200}
        left = first.post(
            "/v1/types/redeem/processes", json={"user": "b", "sku": "second"}, headers={"Idempotency-Key": "left"}
        ).json()["id"]
        one.kill()
        assert second.get(f"/v1/processes/{left}").json()["state"] == "issue"
        with two.client(token(two.url, "o", "operator")) as operator:

            def is_done() -> bool:
                operator.post(f"/v1/processes/{left}/retry", json={"reason": "its node is gone"})
                return stored(two.url, left).state == "completed"

            wait_for(is_done, "what the killed node has left")


def test_parts_run_alone(node_of):
    """A node of the API alone sweeps nothing; one of the worker alone listens nowhere, and finishes what is due."""
    api = node_of("", "--run", "api")
    text = token(api.url, "o", "admin")
    with api.client(text) as http:
        process = http.post("/v1/types/reminder/processes", json={}, headers={"Idempotency-Key": "r"}).json()["id"]
        http.post(f"/v1/processes/{process}/cancel", json={"reason": "not needed"})
        assert stored(api.url, process).state == "later"
        worker = node_of("", "--run", "worker")
        wait_for(lambda: stored(api.url, process).state == "dropped", "the worker")
        assert worker.stop() == 0


def test_a_port_belongs_to_one_node(node_of):
    """Who is to listen where another node does is told so, and the other goes on: they would take turns otherwise."""
    node = node_of()
    with pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1:{node.port}: Address already in use"):
        node_of(port=node.port)
    assert "Warning" not in node.log.read_text()
    with node.client() as http:
        assert {http.get("/healthz").status_code for _ in range(20)} == {200}


@pytest.mark.parametrize("port", [0, 65_536])
def test_a_port_is_one(port):
    """A port that is none is refused; nobody would find a node on port 0."""
    with pytest.raises(ConfigError, match="1 to 65535"):
        read_settings(None, {}, port=port)


@pytest.mark.parametrize("parts", ["", "api,", "sweeper", "api,worker,all"])
def test_unknown_parts_are_refused(parts):
    """Who names a part that there is not is told which ones there are."""
    with pytest.raises(ConfigError, match="api, relay, worker"):
        parts_of(parts)


def test_health_and_readiness(place):
    """Alive and ready without a token; the version is that of the package."""
    assert place.nobody.get("/healthz").json() == {"status": "alive"}
    assert place.nobody.get("/readyz").json() == {"status": "ready"}
    assert place.nobody.get("/version").json()["version"]


def test_a_node_without_its_database_is_not_ready(node_of, postgres_server):
    """503 from /readyz while the database is gone, and alive all the same; what was refused may be repeated."""
    url = postgres_server.url(postgres_server.database(), connect_timeout=3, deadline=3)
    node = node_of(url)
    text = token(url, "c", "client")
    postgres_server.freeze()
    try:
        with node.client(text) as http:
            assert http.get("/healthz").status_code == 200
            assert http.get("/readyz").status_code == 503
            answer = http.get("/v1/me")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    finally:
        postgres_server.thaw()
    with node.client(text) as http:
        wait_for(lambda: http.get("/readyz").status_code == 200, "the database")


def test_metrics_tell_what_happened(place):
    """Requests by route and status, moves by who began them, alarms and what is overdue, in Prometheus's format."""
    place.started()
    told = place.metrics.get("/metrics")
    assert told.headers["content-type"].startswith("text/plain")
    assert 'tieout_moves_total{source="immediate",state="completed",type="redeem"}' in told.text
    assert 'route="/v1/types/redeem/processes",status="201"' in told.text
    assert "tieout_http_request_seconds_bucket" in told.text


@pytest.mark.parametrize(
    ("settings", "tokens", "is_refused"),
    [
        (Settings(), 0, False),
        (Settings(host=EVERYWHERE), 1, True),
        (Settings(host=EVERYWHERE, behind_proxy=True), 0, True),
        (Settings(host=EVERYWHERE, behind_proxy=True), 1, False),
        (Settings(host="::", tls_cert="c", tls_key="k"), 1, False),
        (Settings(host="192.0.2.1"), 1, True),
    ],
)
def test_other_addresses_need_tls_and_a_token(settings, tokens, is_refused):
    """Where others reach it, a node starts only with TLS or behind a proxy, and when somebody has a token."""
    if is_refused:
        with pytest.raises(ConfigError):
            settings.check_exposure(tokens)
    else:
        settings.check_exposure(tokens)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 70_000}, "port"),
        ({"prefix": "tieout"}, "slash"),
        ({"tls_cert": "cert.pem"}, "tls_key"),
        ({"rate": 0}, "rate"),
        ({"colour": "red"}, "colour"),
        ({"senders": {"a": {"keys": ["whsec_short"]}}}, "webhook key"),
        ({"proxy": {"addresses": ["nowhere"]}}, "proxy.addresses"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, said):
    """A wrong setting is named before anything listens."""
    with pytest.raises(ConfigError, match=said):
        read_settings(None, {}, **change)


def test_what_is_given_comes_before_the_environment_and_the_file(tmp_path):
    """The command line before the environment, that before the file, that before the default."""
    file = tmp_path / "t.toml"
    file.write_text('[server]\nport = 1\nhost = "::1"\nmax_body = 5\n')
    found = read_settings(file, {"TIEOUT_PORT": "2", "TIEOUT_MAX_BODY": "7"}, port=3, prefix=None)
    assert (found.port, found.max_body, found.host, found.rate) == (3, 7, "::1", 200.0)


def test_a_blocking_app_is_not_served():
    """An App without an event loop is refused by name."""
    with pytest.raises(ConfigError, match="blocking"):
        asgi(tieout.blocking.App("sqlite://").core)
