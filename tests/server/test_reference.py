"""The description of the API, its viewer and its pages are whole, true, and ask nothing of another host."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from scripts import http_reference
from tieout.server.routes.reference import FILES
from tieout.server.settings import Oidc, Proxy, Sender, Settings

SETTINGS = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text()


def test_the_page_of_routes_and_metrics_is_current():
    """The reference has a row for each route and metric, as `scripts/http_reference.py` writes it."""
    text = http_reference.PAGE.read_text()
    assert http_reference.page(text) == text


@pytest.mark.parametrize(
    ("heading", "struct"),
    [("## The server", Settings), ("### Senders", Sender), ("### Proxy", Proxy), ("### OpenID", Oidc)],
)
def test_each_setting_is_explained(heading, struct):
    """Every setting has its line, and no other has."""
    part = re.search(rf"^{heading}.*?\n(.*?)(?=^##|\Z)", SETTINGS, re.MULTILINE | re.DOTALL)[1]
    rows = re.findall(r"^\| (`[^|]*?) \|", part, re.MULTILINE)
    assert {word for row in rows for word in re.findall(r"`([^`]+)`", row)} == set(struct.__struct_fields__)


def test_plain_defaults_are_those_of_the_code():
    """Where the page says a plain number, the code has the same."""
    part = re.search(r"^## The server\n(.*?)(?=^###)", SETTINGS, re.MULTILINE | re.DOTALL)[1]
    said = [
        (name, float(value))
        for names, values in re.findall(r"^\| ([^|]*) \| ([\d., ]+) \|", part, re.MULTILINE)
        for name, value in zip(re.findall(r"`(\w+)`", names), values.split(", "), strict=True)
    ]
    assert len(said) > 8
    assert all(getattr(Settings(), name) == value for name, value in said)


def test_every_operation_is_described(place):
    """OpenAPI 3.1, each operation with a summary of its own, problems for its refusals, and the token it needs."""
    document = place.nobody.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    names = []
    for methods in document["paths"].values():
        for operation in methods.values():
            names.append(operation["operationId"])
            assert operation["description"]
            assert "application/problem+json" in operation["responses"]["401"]["content"]
    assert len(set(names)) == len(names)
    start = document["paths"]["/v1/types/payment/processes"]["post"]
    assert {"201", "200", "202", "400", "410", "422", "429"} <= set(start["responses"])


def test_the_viewer_asks_nothing_of_another_host(place):
    """Page, scripts, styles and icon come from the node, and its policy lets nothing else be asked."""
    page = place.nobody.get("/v1/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "script-src 'self';" in page.headers["content-security-policy"]
    used = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {one.rpartition("/")[2] for one in used} == set(FILES)
    for one in used:
        assert one.startswith("/v1/docs/")
        assert place.nobody.get(one).status_code == 200
    assert place.nobody.get("/v1/docs/../app.py").status_code == 404
    assert place.nobody.get("/v1/docs/index.html").status_code == 404


def test_the_description_can_be_closed(node_of):
    """With `open_docs = false` the viewer and the description need a token."""
    node = node_of(settings="[server]\nopen_docs = false\n")
    with node.client() as http:
        assert [http.get(path).status_code for path in ("/v1/docs", "/v1/openapi.json")] == [401, 401]


def test_documents_are_plain_json(place):
    """What is answered can be read as it is described: the description's own JSON has no surprises."""
    document = place.nobody.get("/v1/openapi.json").content
    assert msgspec.json.decode(document)["info"]["title"] == "tieout"
