"""Peers beside us, in environments of their own with pinned packages; DBOS in both its forms, at its best pool."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.turns import HERE, run, tell

if TYPE_CHECKING:
    from bench.redeem import OnServer

REQUIREMENTS = HERE / "dbos_requirements.txt"
ENVIRONMENTS = HERE.parent / ".cache" / "bench"
FORMS = ("async", "sync")
POOLS = (8, 16, 32)
IN_FLIGHT = (8, 32, 128)
REDEMPTIONS = 160
OURS_REDEMPTIONS = 2_000


def environment(name: str = "dbos", requirements: Path = REQUIREMENTS) -> Path | None:
    """The Python of an environment with exactly a peer's pinned packages; None, and a word why, without PyPI."""
    wanted = hashlib.blake2b(requirements.read_bytes() + sys.version.encode(), digest_size=6).hexdigest()
    folder = ENVIRONMENTS / f"{name}-{wanted}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists():
        return python
    tell(f"installing {name} into {folder}")
    venv.create(folder, clear=True, with_pip=True)
    install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--require-hashes"]
    try:
        subprocess.run([*install, "--only-binary=:all:", "-r", requirements], check=True, timeout=300)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        tell(f"{name} is left out: its packages could not be installed, is PyPI reached? ({error})")
        return None
    ready.touch()
    return python


def compare(ours: OnServer) -> list[str]:
    """The line of DBOS on this PostgreSQL: the best of its forms, pools and loads beside the best of ours."""
    python = environment()
    if python is None:
        return []
    pinned = next(row for row in REQUIREMENTS.read_text().splitlines() if row.startswith("dbos==")).split()[0]
    tell(f"{pinned}: forms {FORMS}, pool sizes {POOLS}, in flight {IN_FLIGHT}, {REDEMPTIONS} redemptions each")
    tell("its system tables and its datasource are in the same database; transactions at READ COMMITTED; fsync on")
    theirs = {load: _best(ours, python, load) for load in IN_FLIGHT}
    mine = {load: _ours(ours, load) for load in IN_FLIGHT}
    best, rate = max(theirs.items(), key=lambda item: item[1]["rate"]), max(mine.values())
    told = {
        "bench": "redeem",
        "db": "postgres",
        "peer": pinned.replace("==", " "),
        "ours": {str(load): round(one) for load, one in mine.items()},
        "theirs": {str(load): round(one["rate"]) for load, one in theirs.items()},
        "best": {"in_flight": best[0], "form": best[1]["form"], "pool": best[1]["pool"]},
        "ratio_peer": round(rate / best[1]["rate"], 1),
    }
    return [json.dumps(told)]


def _best(ours: OnServer, python: Path, load: int) -> dict[str, Any]:
    """The fastest of DBOS's forms and pools with so many in flight."""
    _, port, _, database = ours.server.address
    url = f"127.0.0.1:{port}/{database}"
    found: list[dict[str, Any]] = []
    for form in FORMS:
        for pool in POOLS:
            ours.reset()
            result = run("-m", "bench.redeem_dbos", form, url, pool, load, REDEMPTIONS, python=str(python))
            tell(f"dbos {form:5} pool {pool:2} in flight {load:3} {result['rate']:7.0f}/s")
            found.append({**result, "form": form, "pool": pool})
    return max(found, key=lambda one: float(one["rate"]))


def _ours(ours: OnServer, load: int) -> float:
    ours.reset()
    result = run("-m", "bench.redeem_ours", ours.url, load, OURS_REDEMPTIONS)
    tell(f"ours pool {ours.options.pool:2} in flight {load:3} {result['rate']:7.0f}/s")
    return float(result["rate"])
