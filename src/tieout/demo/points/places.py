"""Where a run keeps things: a folder, and a database for each of the two services."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tieout.demo.ground import Ground, make_ground

FILES = {"mall": "mall.db", "prizes": "prizes/prizes.db"}
RECON = {"recon": "recon.db"}
"""The services' databases where there is no server; the prize service has a folder of its own."""


class Places(NamedTuple):
    """What lies where on the ground of a run."""

    ground: Ground

    @property
    def folder(self) -> Path:
        return self.ground.folder

    @property
    def mall_db(self) -> str:
        return self.ground.databases["mall"]

    @property
    def prizes_db(self) -> str:
        return self.ground.databases["prizes"]

    @property
    def mall_url(self) -> str:
        """The mall's database as tieout names it."""
        return self.ground.url("mall")

    @property
    def client_log(self) -> Path:
        return self.folder / "clients.jsonl"

    @property
    def conflict_log(self) -> Path:
        """Where the prize service writes its contradictions; the mall is not told of it."""
        return self.folder / "prizes" / "conflicts.jsonl"


async def make_places(db: str, *, recon: bool = False) -> Places:
    """New ones: files, or databases on the server of a URL; with one more for what follows them."""
    return Places(await make_ground(db, FILES | RECON if recon else FILES))
