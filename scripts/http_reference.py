"""Prints the tables of docs/reference/http.md: every route with who may use it, and every metric."""

from __future__ import annotations

import sys
from pathlib import Path

import tieout
from tieout.access.rules import PERMISSIONS
from tieout.server.app import routes_of
from tieout.server.front import SIGNED
from tieout.server.metrics import Metrics
from tieout.server.settings import Oidc, Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "http.md"
BEGIN, END = "<!-- written by scripts/http_reference.py -->", "<!-- end -->"


def routes() -> list[str]:
    """One row for each route."""
    rows = ["| route | does | for |", "|---|---|---|"]
    provider = Oidc("https://id.example.com", "tieout", "a secret")
    for method, path, summary, opt in routes_of(tieout.App("sqlite://"), Settings(oidc=provider)):
        wanted = set(opt.get("permits", ()))
        roles = [role for role, has in PERMISSIONS.items() if wanted & has]
        who = "everybody" if opt.get("open") else ", ".join(roles)
        who = "whoever signs it" if path.startswith(SIGNED) else who
        rows.append(f"| `{method} {path}` | {summary} | {who} |")
    return rows


def metrics() -> list[str]:
    """One row for each metric."""
    rows = ["| metric | tells |", "|---|---|"]
    for family in sorted(Metrics().registry.collect(), key=lambda one: one.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.documentation} |")
    return rows


def page(text: str) -> str:
    """The page with its tables written anew."""
    parts = text.split(BEGIN)
    for number, rows in enumerate((routes(), metrics()), 1):
        rest = parts[number].partition(END)[2]
        parts[number] = "\n\n" + "\n".join(rows) + f"\n\n{END}{rest}"
    return BEGIN.join(parts)


if __name__ == "__main__":
    written = page(PAGE.read_text())
    if sys.argv[1:] == ["--check"]:
        sys.exit(written != PAGE.read_text())
    PAGE.write_text(written)
