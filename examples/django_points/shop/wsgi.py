"""What a server loads, in each of its worker processes."""

from __future__ import annotations

import atexit
import os

from django.core.wsgi import get_wsgi_application

from tieout import HttpRules
from tieout.once.wsgi import IdempotencyMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django_application = get_wsgi_application()

from points.redeem import app  # noqa: E402 - once Django is set up
from points.views import caller  # noqa: E402 - once Django is set up

once = app.http_once(owner=caller, rules=HttpRules(paths=("/grants",), wait="2s"))
application = IdempotencyMiddleware(django_application, once=once)
atexit.register(app.__enter__().close)
