"""A site on django-tenants, as its documentation sets it up."""

import json
import os

from tests.settings import *  # noqa: F403

given = json.loads(os.environ["INSTANT_TESTS_TENANTS"])

DATABASES = {
    "default": {
        "ENGINE": "django_tenants.postgresql_backend",
        "NAME": "tenants",
        "USER": "postgres",
        "HOST": given["postgres"],
    }
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
SHARED_APPS = ["django_tenants", "tests.tenancy.customers", "django.contrib.contenttypes"]
TENANT_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "instant",
]
INSTALLED_APPS = list(dict.fromkeys([*SHARED_APPS, *TENANT_APPS]))
TENANT_MODEL = "customers.Customer"
TENANT_DOMAIN_MODEL = "customers.Domain"
MIDDLEWARE = [
    "django_tenants.middleware.main.TenantMainMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "tests.tenancy.customers.urls"
ALLOWED_HOSTS = [".localhost", "127.0.0.1"]
CENTRIFUGO_HMAC_KEY = CENTRIFUGO_API_KEY = None
CENTRIFUGO_PORT = given["port"]
INSTANT = {
    "DIR": given["folder"],
    "TENANT": "instant.tenants.SchemaTenants",
    "PROXY_URL": f"http://127.0.0.1:{given['web']}",
    "ALLOWED_ORIGINS": [],
    "AUTOSTART": False,
    "TOKEN_USE": 3,
    "TIMEOUT": 60,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
