"""Why truth changes: bursts, in which somebody goes through one hotel and changes it again and again."""

from __future__ import annotations

from random import Random

# ruff: noqa: TID252 - it runs as a package of its own, so that it imports nothing of the package it lies in
from .inventory import DAYS, Inventory

LONGEST_STRETCH = 14
HITS = (3, 12)
"""Changes of one burst, at least and at most."""

FACTORS = (0.85, 0.9, 0.95, 1.05, 1.1, 1.2)


class Market:
    """Draws changes of many inventories from a seed; `bursts` begin in each second."""

    def __init__(self, inventories: list[Inventory], bursts: float, seed: int) -> None:
        self._inventories = inventories
        self._bursts = bursts
        self._chance = Random(f"market {seed}")
        self._until = 0.0
        self._going: list[tuple[Inventory, int, int]] = []

    def move(self, seconds: float) -> int:
        """Let this much time go by; how many changes it brought."""
        self._until += seconds * self._bursts
        while self._until > 0:
            self._until -= self._chance.expovariate(1.0)
            inventory = self._chance.choice(self._inventories)
            hotel = int(inventory.size.hotels * self._chance.random() ** 2)
            self._going.append((inventory, hotel, self._chance.randint(*HITS)))
        for inventory, hotel, _ in self._going:
            self._hit(inventory, hotel)
        moved = len(self._going)
        self._going = [(inventory, hotel, left - 1) for inventory, hotel, left in self._going if left > 1]
        return moved

    def _hit(self, inventory: Inventory, hotel: int) -> None:
        """One change of one room; near days change more often than far ones."""
        chance = self._chance
        row = hotel * inventory.size.rooms + chance.randrange(inventory.size.rooms)
        first = int(DAYS * chance.random() ** 2)
        days = min(chance.randint(1, LONGEST_STRETCH), DAYS - first)
        kind = chance.random()
        if kind < 0.6:
            inventory.change(row, first, days, factor=chance.choice(FACTORS))
        elif kind < 0.9:
            inventory.change(row, first, days, sold=1)
        else:
            inventory.change(row, first, days, close=True)
