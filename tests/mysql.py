"""
The tests' project on MySQL or MariaDB, by hand: CI has none.

Start a server, install PyMySQL or mysqlclient, and run for example
``INSTANT_TESTS_MYSQL=/run/mysqld/mysqld.sock pytest --ds tests.mysql tests/test_models.py``.
The server's default collation is kept, which compares without regard to case.
"""

import contextlib
import os

from tests.settings import *  # noqa: F403

with contextlib.suppress(ImportError):
    import pymysql

    pymysql.install_as_MySQLdb()

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "instant",
        "USER": os.environ.get("INSTANT_TESTS_MYSQL_USER", "root"),
        "HOST": os.environ["INSTANT_TESTS_MYSQL"],
        "TEST": {"CHARSET": "utf8mb4"},
    },
    "other": DATABASES["other"],  # noqa: F405
}
