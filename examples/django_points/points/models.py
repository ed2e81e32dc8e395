"""The service's own tables, in the database that tieout's tables are in too."""

from __future__ import annotations

from django.db import models


class Account(models.Model):
    """A user's points."""

    name = models.CharField(max_length=100, primary_key=True)
    points = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Visit(models.Model):
    """Who wanted what: one row for each redemption, since both commit together."""

    user = models.CharField(max_length=100)
    sku = models.CharField(max_length=100)

    def __str__(self) -> str:
        return f"{self.sku} for {self.user}"
