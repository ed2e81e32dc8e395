"""The table of a proof as one HTML page that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))

GOOD = "held"
QUIET = "absent"

WORDS = {
    "held": "held",
    "violated": "violated",
    "too little": "reached too little",
    "broken": "did not finish",
    "stopped": "stopped by hand",
    "absent": "not built yet",
}


def page(table: Mapping[str, Any]) -> str:
    """The page of a table, as `prove.json` holds it."""
    kinds = table["kinds"]
    run = [kind for kind in kinds if kind["verdict"] != QUIET]
    return PAGE.substitute(
        verdict="It held." if table["held"] else "It did not hold.",
        tone="good" if table["held"] else "bad",
        lead=lead(table, run),
        facts=definitions(facts(table)),
        rows="".join(row(kind) for kind in kinds),
        sections="".join(section(kind) for kind in run),
    )


def lead(table: Mapping[str, Any], run: list[Mapping[str, Any]]) -> str:
    """The first sentence: how much was tried, and what came of it."""
    held = sum(kind["verdict"] == GOOD for kind in run)
    size = " A small share of each was run." if table["small"] else ""
    return escape(
        f"{held} of {len(run)} kinds of proof held, in {duration(table['seconds'])}. "
        f"Each tries to make two systems disagree, and counts what it has tried.{size}"
    )


def facts(table: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What it ran on."""
    about = table["environment"]
    changed = {0: "", 1: ", and a changed file"}.get(
        about["changed_files"], f", and {about['changed_files']} changed files"
    )
    yield "tieout", about["tieout"]
    yield "commit", about["commit"][:12] + changed
    yield "began", table["began"]
    yield "seed", str(table["seed"])
    yield "Python", about["python"]
    yield from ((name, version or "not installed") for name, version in about["databases"].items())
    yield "drivers", ", ".join(f"{name} {version}" for name, version in about["drivers"].items() if version)
    yield "machine", about["machine"]


def row(kind: Mapping[str, Any]) -> str:
    """A kind's line of the overview."""
    name = escape(kind["title"])
    title = name if kind["verdict"] == QUIET else f'<a href="#{escape(kind["name"])}">{name}</a>'
    counts = kind.get("counts", {})
    return (
        f"<tr><th scope=row>{title}</th><td>{chip(kind)}</td><td>{headline(counts)}</td>"
        f"<td class=n>{len(kind.get('never', ())) or '-'}</td>"
        f"<td class=n>{len(kind.get('violations', ())) or '-'}</td>"
        f"<td class=n>{duration(kind['seconds']) if kind['seconds'] else '-'}</td></tr>\n"
    )


def headline(counts: Mapping[str, int]) -> str:
    """The first count, which says how much a kind has run."""
    name, count = next(iter(counts.items()), ("", 0))
    return f"<b>{number(count)}</b> {escape(name)}" if name else "-"


def section(kind: Mapping[str, Any]) -> str:
    """All that a kind has told."""
    parts = [
        f'<section id="{escape(kind["name"])}"><h2>{escape(kind["title"])} {chip(kind)}</h2>',
        f"<p>{escape(kind['does'])}</p>" if kind["does"] else "",
        f"<pre>{escape(kind['why'])}</pre>" if kind["why"] else "",
        listed("Violations", "violations", kind.get("violations", ())),
        listed("Never reached", "never", kind.get("never", ())),
        counted(kind.get("counts", {})),
        seeds(kind.get("seeds") or ()),
        f"<p class=again>Again: <code>{escape(kind['command'])}</code></p>" if kind["command"] else "",
        "</section>\n",
    ]
    return "".join(parts)


def counted(counts: Mapping[str, int]) -> str:
    """Every count, in the order in which the kind has told them."""
    cells = "".join(f"<div><dd>{number(count)}</dd><dt>{escape(name)}</dt></div>" for name, count in counts.items())
    return f"<dl class=counts>{cells}</dl>" if cells else ""


def seeds(found: Any) -> str:
    shown = ", ".join(map(str, found)) if isinstance(found, (list, tuple)) else str(found)
    return f"<p class=again>Seeds: {escape(shown)}</p>" if shown else ""


def listed(title: str, kind: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(str(line))}</li>" for line in lines)
    return f'<div class="{kind}"><h3>{title}</h3><ul>{items}</ul></div>' if items else ""


def chip(kind: Mapping[str, Any]) -> str:
    tone = {GOOD: "good", QUIET: "quiet"}.get(kind["verdict"], "bad")
    return f'<span class="chip {tone}">{WORDS[kind["verdict"]]}</span>'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs if value)


def number(count: float) -> str:
    """A count, its thousands apart."""
    return f"{count:,}".replace(",", "\N{THIN SPACE}")


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
