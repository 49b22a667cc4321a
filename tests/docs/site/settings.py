"""The project in which the documents' samples are run."""

from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "samples-only"
DEBUG = True
ROOT_URLCONF = "urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "guardian",
    "rest_framework.authtoken",
    "instant",
    "shop",
    "chat",
    "projects",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
CENTRIFUGO_HMAC_KEY = CENTRIFUGO_API_KEY = "samples-only-0123456789-0123456789-0123456789"
INSTANT = {"BACKEND": "instant.backends.locmem.LocmemBackend"}
# Tables are made at once: Instant's own migrations have tests of their own.
MIGRATION_MODULES = {app.rsplit(".", 1)[-1]: None for app in INSTALLED_APPS}
ANONYMOUS_USER_NAME = None
SILENCED_SYSTEM_CHECKS = ["guardian.W001"]
