"""The tests' settings, for a process of its own."""

import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.called.urls"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DATABASE"]}
}
CENTRIFUGO_PROXY_SECRET = "bench-secret-0123456789-0123456789"
INSTANT = {**globals().get("INSTANT", {}), "CALLS": "1000/1s"}  # not measured
