"""The site of test_rights.py: its folder and its ports come from the environment."""

import os
from pathlib import Path

BASE_DIR = Path(os.environ["HALL_DIR"])
SECRET_KEY = "of the tests in a browser, and long enough to sign with"
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "tests.client.hall.urls"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "instant",
    "tests.client.hall",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "instant.middleware.StateMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "DIRS": [BASE_DIR / "recipes"],
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
# For tickets, which are refused where each process has a cache of its own.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": BASE_DIR / "cache",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "/static/"
CENTRIFUGO_PORT = int(os.environ["HALL_WS_PORT"])
INSTANT = {
    "PROXY_URL": f"http://127.0.0.1:{os.environ['HALL_PORT']}",
    "JOBS": {"RUNNER": "runjobs"},
    "LITE": True,
    "AUTOSTART": False,  # runserver would start one, too, while the tests restart theirs
    # On a busy machine a page would begin without a state, as it should.
    "TIMEOUT": 30,
}
if sockets := os.environ.get("HALL_SOCKETS"):
    INSTANT["PUBLIC_URL"] = sockets
if public_port := os.environ.get("HALL_PUBLIC_PORT"):
    INSTANT["PUBLIC_URL"] = f"wss://localhost:{public_port}/connection/websocket"
    CSRF_TRUSTED_ORIGINS = [f"https://localhost:{public_port}"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
