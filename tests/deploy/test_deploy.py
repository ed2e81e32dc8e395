"""What stands in deploy/ is of one piece: names, files, ports and settings that it mentions are there."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import yaml

from scripts import dashboard
from tests.tidy import tree
from tieout import Failed, Succeeded
from tieout.access.rules import ROLES
from tieout.server.metrics import Metrics
from tieout.server.settings import Settings, read_settings
from tieout.testing import play

DEPLOY = tree.ROOT / "deploy"
COMPOSE = DEPLOY / "compose"
CHART = DEPLOY / "helm" / "tieout"

SELECTOR = re.compile(r"\b(tieout_\w+)(?:\{([^}]*)\})?")
GROUPS = re.compile(r"\bby \(([^)]*)\)")


def metrics() -> dict[str, set[str]]:
    """The series that a node has, as they are queried, and their labels."""
    found: dict[str, set[str]] = {}
    for one in vars(Metrics()).values():
        name = getattr(one, "_name", None)
        if name is None:
            continue
        kind, labels = one._type, one._labelnames  # noqa: SLF001 - the library tells of labels only with their values
        for suffix in {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(kind, ("",)):
            found[name + suffix] = {*labels, *(["le"] if suffix == "_bucket" else [])}
    return found


def expressions() -> list[str]:
    panels = json.loads((DEPLOY / "grafana" / "tieout.json").read_text())["panels"]
    alerts = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    rules = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())] + rules


def composed() -> dict[str, Any]:
    return yaml.safe_load((COMPOSE / "compose.yaml").read_text())


def test_the_dashboard_is_current() -> None:
    """The dashboard is as `scripts/dashboard.py` writes it."""
    assert dashboard.PAGE.read_text() == dashboard.dashboard()


def test_panels_do_not_overlap() -> None:
    """Each panel has a place of its own, and an id."""
    panels = json.loads(dashboard.dashboard())["panels"]
    cells = [
        (x, y)
        for where in (panel["gridPos"] for panel in panels)
        for x in range(where["x"], where["x"] + where["w"])
        for y in range(where["y"], where["y"] + where["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == dashboard.WIDTH - 1
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_that_is_asked_for_exists(expression: str) -> None:
    """Panels and alerts ask for metrics that nodes have, and for labels that those have."""
    known = metrics()
    asked = SELECTOR.findall(expression) or [("up", "")]
    labels: set[str] = {"job", "instance"}
    for name, selected in asked:
        if name == "up":
            assert expression.startswith("up{")
            continue
        assert name in known
        labels |= known[name]
        assert {one.partition("=")[0].rstrip("!") for one in selected.split(",") if one} <= labels
    assert {label.strip() for group in GROUPS.findall(expression) for label in group.split(",")} <= labels


def test_every_metric_is_shown() -> None:
    """The dashboard shows each metric that a node has."""
    shown = {name for expression in expressions() for name, _ in SELECTOR.findall(expression)}
    assert {name for name in metrics() if not name.endswith(("_sum", "_count"))} - shown == set()


def test_alerts_say_what_they_mean() -> None:
    """Each alert has a name of its own, a severity that alarms have too, and a sentence with labels that it keeps."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "serious", "critical")
        kept = {label.strip() for group in GROUPS.findall(rule["expr"]) for label in group.split(",")} | {"instance"}
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= kept


def test_files_that_are_mounted_exist() -> None:
    """Whatever a service mounts from the tree is there, and whatever volume it names is declared."""
    told = composed()
    for service in told["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists(), source
            else:
                assert source in told["volumes"]
        if "build" in service:
            context = COMPOSE / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).exists()
            assert context.resolve() == tree.ROOT


def test_services_wait_for_each_other() -> None:
    """A service waits for services that are there; for a healthy one that says how healthy it is."""
    services = composed()["services"]
    for service in services.values():
        waits = service.get("depends_on", {})
        for name in waits:
            assert name in services
            condition = waits[name]["condition"] if isinstance(waits, dict) else "service_started"
            assert condition != "service_healthy" or "healthcheck" in services[name]


def test_nothing_is_published_to_others() -> None:
    """Ports are published to this machine alone, images have a version, and no password has a default."""
    text = (COMPOSE / "compose.yaml").read_text()
    for service in composed()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert ":" in service["image"] or "build" in service
    assert all(one.startswith(":?") for one in re.findall(r"\$\{\w+(.*?)\}", text))


def test_prometheus_asks_the_composed_node() -> None:
    """Prometheus is given the rules that are mounted, asks the node at its port, and with the token that is made."""
    told = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert set(told) == {"global", "rule_files", "scrape_configs"}
    mounted = [volume.split(":")[1] for volume in composed()["services"]["prometheus"]["volumes"]]
    assert [f"/etc/prometheus/{name}" in mounted for name in told["rule_files"]] == [True]
    (job,) = told["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    service, port = target.split(":")
    assert composed()["services"][service]["ports"] == [f"127.0.0.1:{port}:{port}"]
    folder, name = Path(job["authorization"]["credentials_file"]).parts[1:]
    assert f"tokens:/{folder}:ro" in composed()["services"]["prometheus"]["volumes"]
    roles = re.search(r"for role in (.*); do", (COMPOSE / "prepare.sh").read_text())[1].split()
    assert name in roles
    assert set(roles) <= set(ROLES)


def test_the_composed_settings_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's settings are read, and let others in behind a proxy only."""
    settings = read_settings(COMPOSE / "tieout.toml", {})
    assert (settings.host, settings.behind_proxy) == ("0.0.0.0", True)  # noqa: S104 - what is asserted


@pytest.mark.parametrize(("answer", "state"), [(Succeeded("p1"), "sent"), (Failed("sold-out"), "given_up")])
async def test_the_composed_app_works(monkeypatch: pytest.MonkeyPatch, answer: Any, state: str) -> None:
    """Its process comes to its end."""
    monkeypatch.setenv("TIEOUT_DB", "sqlite://")
    gift = runpy.run_path(str(COMPOSE / "service.py"))["Gift"]
    run = play(gift)
    run.script("send", answer)
    assert (await run.start(number="1", what="mug")).state == state


def test_grafana_finds_what_is_provisioned() -> None:
    """The data source has the id that panels ask for, and dashboards lie where they are looked for."""
    provisioning = COMPOSE / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["uid"] == dashboard.SOURCE["uid"]
    assert source["url"].split("/")[2].split(":")[0] in composed()["services"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "tieout.yaml").read_text())["providers"]
    mounted = dict(volume.split(":")[:2] for volume in composed()["services"]["grafana"]["volumes"])
    assert (COMPOSE / {where: what for what, where in mounted.items()}[provider["options"]["path"]]).resolve() == (
        dashboard.PAGE.parent
    )


def values() -> dict[str, Any]:
    return yaml.safe_load((CHART / "values.yaml").read_text())


def test_the_charts_values_are_of_its_schema() -> None:
    """The schema takes the values as they are, knows each of them, and refuses unknown ones."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    validator = jsonschema_rs.validator_for(schema)
    assert validator.is_valid(values())
    assert set(schema["properties"]) - {"global"} == set(values())
    assert not validator.is_valid(values() | {"replica": 3})
    assert not validator.is_valid(values() | {"app": "no app"})
    assert not validator.is_valid(values() | {"settings": {"server": {"host": "::"}}})


def test_every_value_that_a_template_reads_is_there() -> None:
    """Templates read values that values.yaml has, call templates that are defined, and close what they open."""
    templates = "\n".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))
    for path in set(re.findall(r"\.Values\.([\w.]+)", templates)):
        found: Any = values()
        for part in path.split("."):
            assert part in found, path
            found = found[part]
    defined = re.findall(r'define "([\w.]+)"', templates)
    assert len(set(defined)) == len(defined)
    assert set(re.findall(r'include "([\w.]+)"', templates)) == set(defined)
    actions = re.findall(r"\{\{-?\s*(if|range|with|define|end)\b", templates)
    assert actions.count("end") * 2 == len(actions)


def test_the_charts_settings_are_settings() -> None:
    """What values.yaml says of the server, commented examples included, is what the server takes."""
    text = (CHART / "values.yaml").read_text()
    told = yaml.safe_load(re.sub(r"^    # (?=\S|  )", "    ", text, flags=re.MULTILINE))["settings"]
    settings = msgspec.convert(told["server"] | {"host": "0.0.0.0", "behind_proxy": True}, Settings)  # noqa: S104 - not bound
    assert settings.oidc.roles == {"ops": "operator"}
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["name"] == "tieout"
