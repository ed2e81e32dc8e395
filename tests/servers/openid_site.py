"""An OpenID provider of Django OAuth Toolkit, a program of its own: `openid_site.py FOLDER PORT ISSUER REDIRECT`.

FOLDER holds its database, and `keys.json`: private keys in PEM, of which the first signs. People log in by a form.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import django
import waitress
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

FOLDER, PORT, ISSUER, REDIRECT = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]

CLIENT, SECRET = "tieout", "a secret with: colons / and spaces"

ROLES = ("client", "viewer", "operator", "approver", "admin", "metrics")

PEOPLE = {"ann": ["staff", "operators"], "eve": ["staff"], **{f"one-{role}": [f"{role}s"] for role in ROLES}}
"""Groups by name; the password is the name."""

LOGIN = "<form method='post'>{% csrf_token %}{{ form.as_p }}</form>"


def configure() -> None:
    keys = json.loads((FOLDER / "keys.json").read_text())
    settings.configure(
        SECRET_KEY="of the provider's own",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "openid.db"}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN})],
                    "context_processors": ["django.template.context_processors.request"],
                },
            }
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGIN_URL="/accounts/login/",
        SESSION_COOKIE_NAME="provider-session",
        USE_TZ=True,
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": ISSUER,
            "OIDC_RSA_PRIVATE_KEY": keys[0],
            "OIDC_RSA_PRIVATE_KEYS_INACTIVE": keys[1:],
            "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
            "OAUTH2_VALIDATOR_CLASS": f"{__name__}.Claims",
            "SCOPES": {"openid": "to log in", "groups": "one's groups"},
            "PKCE_REQUIRED": True,
            "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
        },
    )
    django.setup()


configure()

from django.contrib.auth.models import Group, User  # noqa: E402 - models exist once Django is set up
from django.contrib.auth.views import LoginView  # noqa: E402 - it needs those models
from oauth2_provider.models import Application  # noqa: E402 - it needs those models
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402 - it needs those models


class Claims(OAuth2Validator):
    """Tells people's names and groups."""

    oidc_claim_scope = None

    def get_additional_claims(self, request):
        groups = [group.name for group in request.user.groups.all()]
        return {"preferred_username": request.user.username, "groups": groups}


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("accounts/login/", LoginView.as_view()),
]


def people() -> None:
    for name, groups in PEOPLE.items():
        user = User.objects.create_user(name, password=name)
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    Application.objects.create(
        client_id=CLIENT,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=REDIRECT,
        algorithm=Application.RS256_ALGORITHM,
        skip_authorization=True,
    )


if __name__ == "__main__":
    sys.modules["openid_site"] = sys.modules[__name__]
    if not (FOLDER / "openid.db").exists():
        call_command("migrate", verbosity=0)
        people()
    waitress.serve(get_wsgi_application(), host="127.0.0.1", port=PORT, threads=4, _quiet=True)
