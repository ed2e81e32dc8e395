"""Settings of the project. `POINTS_DB` names the database: `sqlite:///points.db`, or `postgresql://…`."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

DATABASE_URL = os.environ.get("POINTS_DB", "sqlite:///points.db")
PRIZES_URL = os.environ.get("PRIZES_URL", "https://prizes.example")
CALLBACK_TOKEN = os.environ.get("CALLBACK_TOKEN", "a secret that the prize service shares")
PARTNER_TOKEN = os.environ.get("PARTNER_TOKEN", "a secret that the partner shares")

address = urlsplit(DATABASE_URL)
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": address.path[1:],
    "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
}
POSTGRES = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": address.path[1:],
    "HOST": address.hostname,
    "PORT": address.port,
    "USER": address.username,
    "PASSWORD": address.password,
}
DATABASES = {"default": SQLITE if address.scheme == "sqlite" else POSTGRES}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,points").split(",")
INSTALLED_APPS = ["points"]
MIDDLEWARE = ["points.errors.ErrorsAsCodes"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
SECRET_KEY = os.environ.get("SECRET_KEY", "only for trying it out")
