"""The tests' project on PostgreSQL: ``make test-postgres`` starts a server for it."""

import os

from tests.cluster import HOST
from tests.settings import *  # noqa: F403

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": os.environ[HOST],
    },
    "other": DATABASES["other"],  # noqa: F405
}
