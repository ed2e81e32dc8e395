"""Writes deploy/grafana/tieout.json, the Grafana dashboard; `--check` says whether it is what this would write."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "tieout.json"

WIDTH, HEIGHT = 24, 7

SOURCE = {"type": "prometheus", "uid": "prometheus"}

BUCKETS = "rate(tieout_http_request_seconds_bucket{}[5m])"

OF_NODES = 'job=~"$job",instance=~"$instance"'


@dataclass(frozen=True)
class Panel:
    """One panel: its queries by their legends, in PromQL, where {} stands for the chosen nodes."""

    title: str
    tells: str
    queries: dict[str, str]
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"


ROWS: dict[str, list[Panel]] = {
    "What needs somebody": [
        Panel(
            "Nodes",
            "Nodes that answer.",
            {"{{version}}": "sum by (version) (tieout_build_info{})"},
            width=4,
            kind="stat",
        ),
        Panel(
            "Open alarms",
            "Alarms that are not resolved.",
            {"open": "max(sum by (instance) (tieout_alarms{}))"},
            width=4,
            kind="stat",
        ),
        Panel(
            "Overdue",
            "Processes that are overdue for more than a minute: nobody takes them up.",
            {"overdue": "max(sum by (instance) (tieout_overdue{}))"},
            width=4,
            kind="stat",
        ),
        Panel(
            "Dead messages",
            "Messages that could not be taken in, and are not tried again.",
            {"dead": 'max(sum by (instance) (tieout_letters{state="dead",}))'},
            width=4,
            kind="stat",
        ),
        Panel(
            "Outbox",
            "Messages that wait to be sent.",
            {"waiting": "max(sum by (instance) (tieout_outbox{}))"},
            width=4,
            kind="stat",
        ),
        Panel(
            "5xx",
            "Share of requests that failed.",
            {
                "5xx": '(sum(rate(tieout_http_requests_total{status=~"5..",}[5m])) or vector(0))'
                " / sum(rate(tieout_http_requests_total{}[5m]))"
            },
            unit="percentunit",
            width=4,
            kind="stat",
        ),
    ],
    "Processes": [
        Panel(
            "Started",
            "Processes started.",
            {"{{type}}": 'sum by (type) (rate(tieout_moves_total{source="start",}[5m]))'},
            "ops",
        ),
        Panel(
            "Who advances them",
            "Share of moves by who began them. When the sweep's rises, callbacks or immediate answers are broken.",
            {
                "{{source}}": 'sum by (source) (rate(tieout_moves_total{source!="start",}[15m]))'
                ' / ignoring(source) group_left sum(rate(tieout_moves_total{source!="start",}[15m]))'
            },
            "percentunit",
        ),
        Panel(
            "Where they go",
            "Moves by the state that they lead to.",
            {"{{type}} {{state}}": "sum by (type, state) (rate(tieout_moves_total{}[5m]))"},
            "ops",
        ),
        Panel(
            "Overdue by lane", "By the downstream that they wait on.", {"{{lane}}": "max by (lane) (tieout_overdue{})"}
        ),
        Panel("Alarms", "By kind and state.", {"{{kind}} {{state}}": "max by (kind, state) (tieout_alarms{})"}),
        Panel("At work", "Processes that each node is at work on.", {"{{instance}}": "tieout_worker_in_flight{}"}),
    ],
    "HTTP": [
        Panel(
            "Requests",
            "By status.",
            {"{{status}}": "sum by (status) (rate(tieout_http_requests_total{}[5m]))"},
            "reqps",
        ),
        Panel(
            "Time to an answer",
            "Of all routes together.",
            {
                f"p{quantile}": f"histogram_quantile({quantile / 100}, sum by (le) ({BUCKETS}))"
                for quantile in (50, 95, 99)
            },
            "s",
        ),
        Panel(
            "Refused before any route",
            "By the code of the refusal.",
            {"{{code}}": "sum by (code) (rate(tieout_http_refused_total{}[5m]))"},
            "reqps",
        ),
        Panel("Being answered", "Requests at this moment.", {"{{instance}}": "tieout_http_in_flight{}"}),
        Panel(
            "Log-ins",
            "People's log-ins, by how they ended.",
            {"{{outcome}}": "sum by (outcome) (rate(tieout_logins_total{}[15m]))"},
            "ops",
        ),
        Panel(
            "Hints",
            "Listeners, and hints that were dropped because one did not keep up.",
            {"listeners": "sum(tieout_event_clients{})", "dropped": "sum(tieout_event_dropped{})"},
        ),
    ],
    "Messages": [
        Panel(
            "Callbacks",
            "Signed callbacks, by what they did.",
            {"{{sender}} {{effect}}": "sum by (sender, effect) (rate(tieout_callbacks_total{}[5m]))"},
            "reqps",
        ),
        Panel(
            "Pushes",
            "Messages pushed by suppliers.",
            {"{{sender}} {{effect}}": "sum by (sender, effect) (rate(tieout_pushes_total{}[5m]))"},
            "reqps",
        ),
        Panel(
            "Waiting",
            "Messages that wait to be sent, or to be taken in again.",
            {
                "to {{channel}}": "max by (channel) (tieout_outbox{})",
                "from {{source}}, {{state}}": "max by (source, state) (tieout_letters{})",
            },
        ),
    ],
    "Mirrors": [
        Panel(
            "Accuracy",
            "Share of audited cells that were true, in a day.",
            {"{{mirror}} {{supplier}}": "min by (mirror, supplier) (tieout_mirror_accuracy{})"},
            "percentunit",
        ),
        Panel(
            "Age",
            "Age of cells: the median, and the oldest twentieth.",
            {"{{supplier}} p{{quantile}}": "max by (mirror, supplier, quantile) (tieout_mirror_age_seconds{})"},
            "s",
        ),
        Panel(
            "Unknown and suspect",
            "Share of cells that are not known; cells in doubt.",
            {
                "{{supplier}} unknown": "max by (mirror, supplier) (tieout_mirror_unknown{})",
                "{{supplier}} suspect": "max by (mirror, supplier) (tieout_mirror_suspects{})",
            },
        ),
        Panel(
            "Order checks",
            "What orders found against the copy.",
            {"{{supplier}} {{outcome}}": "sum by (mirror, supplier, outcome) (tieout_mirror_order_checks{})"},
        ),
        Panel(
            "View behind",
            "How far behind each node's view is.",
            {"{{instance}} {{mirror}}": "tieout_mirror_view_lag_seconds{}"},
            "s",
        ),
    ],
    "Comparisons": [
        Panel(
            "Agrees",
            "1 while all of a followed rule that is seen agrees: not while a feed is behind, silent or has a gap.",
            {"{{rule}}": "min by (rule) (tieout_recon_agreed{})"},
        ),
        Panel(
            "Open breaks",
            "By rule and outcome, found live or offline.",
            {"{{rule}} {{outcome}}": "max by (rule, outcome) (tieout_recon_breaks{})"},
        ),
        Panel(
            "Waiting",
            "Keys that are not judged yet.",
            {"{{rule}}": "max by (rule) (tieout_recon_waiting{})"},
        ),
        Panel(
            "Coverage",
            "Share of the followed keys that are judged.",
            {"{{rule}}": "min by (rule) (tieout_recon_coverage{})"},
            "percentunit",
        ),
        Panel(
            "Feeds behind",
            "How far each feed is behind its source, and since when nothing of it was kept.",
            {
                "{{feed}} behind": "max by (feed) (tieout_recon_lag_seconds{})",
                "{{feed}} silent": "min by (feed) (tieout_recon_checkpoint_age_seconds{})",
            },
            "s",
        ),
        Panel(
            "Gaps",
            "1 while what a feed has missed is not found.",
            {"{{feed}}": "max by (feed) (tieout_recon_gap{})"},
        ),
    ],
}


def query(text: str) -> str:
    """The PromQL with the chosen nodes in every selector of ours."""
    return text.replace(",}", f",{OF_NODES}}}").replace("{}", f"{{{OF_NODES}}}")


def panel(one: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    """A panel as Grafana has it."""
    return {
        "id": number,
        "type": one.kind,
        "title": one.title,
        "description": one.tells,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": one.width, "h": 4 if one.kind == "stat" else HEIGHT},
        "fieldConfig": {"defaults": {"unit": one.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(65 + n), "datasource": SOURCE, "expr": query(text), "legendFormat": legend}
            for n, (legend, text) in enumerate(one.queries.items())
        ],
    }


def panels() -> list[dict[str, Any]]:
    """Every row, and its panels from left to right."""
    made: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        made.append({"id": len(made) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
                     "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})  # fmt: skip
        x, y = 0, y + 1
        for one in row:
            if x + one.width > WIDTH:
                x, y = 0, y + HEIGHT
            made.append(panel(one, len(made) + 1, x, y))
            x += one.width
        y += 4 if row[-1].kind == "stat" else HEIGHT
    return made


def variable(name: str, of: str) -> dict[str, Any]:
    """A choice of one label's values."""
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": of, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> str:
    """The whole file."""
    told = {
        "uid": "tieout",
        "title": "tieout",
        "tags": ["tieout"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                variable("job", "label_values(tieout_build_info, job)"),
                variable("instance", 'label_values(tieout_build_info{job=~"$job"}, instance)'),
            ]
        },
        "panels": panels(),
    }
    return json.dumps(told, indent=2) + "\n"


if __name__ == "__main__":
    written = dashboard()
    if sys.argv[1:] == ["--check"]:
        sys.exit(written != PAGE.read_text())
    PAGE.write_text(written)
