"""URLs: which database they name, and what is said of wrong ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tieout.database import connect
from tieout.database.postgres_hosts import parse
from tieout.database.url import sqlite_path
from tieout.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///points.db", Path("points.db")),
        ("sqlite:///sub/points.db", Path("sub/points.db")),
        ("sqlite:////var/points.db", Path("/var/points.db")),
        ("sqlite:////a%20b/c%3F.db", Path("/a b/c?.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
    ],
)
def test_sqlite_urls_name_a_file_or_memory(url, path):
    """Three slashes are relative, four absolute, and nothing is in memory."""
    assert sqlite_path(url) == path
    assert connect(url).dialect == "sqlite"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:points.db",
        "sqlite://host/points.db",
        "sqlite:///points.db?mode=ro",
        "oracle://u@h/db",
        "points.db",
        "",
        "postgresql://u@h/db?pool=0",
        "postgresql://u@h/db?pool=many",
        "postgresql://u@h/db?deadline=nan",
        "postgresql://[::1/db",
    ],
)
def test_wrong_urls_are_refused(url):
    """A URL that names nothing is a wrong setting, found before anything is opened."""
    with pytest.raises(ConfigError):
        connect(url)


def test_no_secret_is_repeated():
    """An error about a URL does not show the password in it."""
    for url in ("postgresql://u:hunter2@h/db?pool=x", "oracle://u:hunter2@h/db", "sqlite://u:hunter2@h/db"):
        with pytest.raises(ConfigError) as caught:
            connect(url)
        assert "hunter2" not in str(caught.value)


def test_several_hosts_are_separate_addresses():
    """Each host gets the user, the database and the driver's options; ours are taken out."""
    settings = parse("postgresql://u:p@h1:1,h2:2/db?pool=3&sslmode=disable&target_session_attrs=any")
    assert settings.dsns == [f"postgresql://u:p@h{n}:{n}/db?sslmode=disable" for n in (1, 2)]
    assert (settings.hosts, settings.pool) == (["h1:1", "h2:2"], 3)


def test_a_missing_driver_says_how_to_install_it(monkeypatch):
    """Without asyncpg a PostgreSQL URL names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for module in [name for name in sys.modules if name.startswith("tieout.database.postgres")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ConfigError, match=r"pip install tieout\[postgres\]"):
        connect("postgresql://u@h/db")
