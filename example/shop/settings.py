"""
Settings of the demo: nothing here fits a site on the internet.

Variables that the demo and the browser tests set, so that both can run beside a site that is
open already: EXAMPLE_DB, EXAMPLE_CENTRIFUGO_DIR, EXAMPLE_IMPORTS (files and folders),
EXAMPLE_WS_PORT (where the server listens), EXAMPLE_WS_URL (where browsers find it), EXAMPLE_PORT
(of the site).
"""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "everybody-can-read-this-key-in-the-repository"
DEBUG = True  # runserver serves the static files
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "instant",
    "assistant",
    "catalogue",
    "desk",
    "notices",
    "orders",
    "reports",
    "talk",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "shop.csp.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # Pages begin with the state of their lists, which is nobody else's business.
    "instant.middleware.StateMiddleware",
    # A page's own messages are known as such: see static/shop/js/desk.js.
    "instant.middleware.TabMiddleware",
]
ROOT_URLCONF = "shop.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.context.own_channel",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("EXAMPLE_DB", BASE_DIR / "db.sqlite3"),
        # An import writes while pages are read and orders move.
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
LANGUAGE_CODE = "en"
USE_TZ = True
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "board"
LOGOUT_REDIRECT_URL = "board"
# One line a request would bury what the demo has to say.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django.server": {"level": "WARNING"}},
}

IMPORTS = Path(os.environ.get("EXAMPLE_IMPORTS", BASE_DIR / "imports"))
MAX_IMPORT = 20 * 1024 * 1024
# A report takes so long, whatever there is to count: of its own it would be done before one looks.
REPORT_SECONDS = 6
# And the assistant so long for a word: a machine that is faster would need no stream.
ASSISTANT_SECONDS = 0.07

SITE_NAME = "Threadwell"
INSTANT = {
    "DIR": os.environ.get("EXAMPLE_CENTRIFUGO_DIR", BASE_DIR / "centrifugo"),
    "PUBLIC_URL": os.environ.get("EXAMPLE_WS_URL"),
    # Where the server asks what becomes of what pages publish: see talk/realtime.py.
    "PROXY_URL": f"http://127.0.0.1:{os.environ.get('EXAMPLE_PORT', '8000')}",
    # demo.py runs the server itself, and stops both in good order.
    "AUTOSTART": "EXAMPLE_WS_PORT" not in os.environ and DEBUG,
    # Of a job whose process was killed nothing is heard, and ten seconds later another one runs it.
    "JOBS": {"RUNNER": "runjobs", "LEASE": 10},
}
if "EXAMPLE_VAPID_KEY" in os.environ:
    # Notifications for those who have closed the page: the bell ends with a switch for it then.
    # The key is what “manage.py vapidkeys” prints; pip install "django-instant[push]".
    INSTANT["PUSH"] = {
        "PRIVATE_KEY": os.environ["EXAMPLE_VAPID_KEY"],
        "CONTACT": "mailto:shop@example.com",
        "DELAY": int(os.environ.get("EXAMPLE_PUSH_DELAY", "0")),
    }
if "EXAMPLE_WS_PORT" in os.environ:
    # runws writes it into the server's file, where a shell without this variable finds it.
    CENTRIFUGO_PORT = int(os.environ["EXAMPLE_WS_PORT"])
