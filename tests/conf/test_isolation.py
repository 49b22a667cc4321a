"""Nothing leaves a test run, whoever runs it; a listener where the server would be counts."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from django.conf import settings
from django.core import mail
from django.core.checks import run_checks
from django.test import override_settings, utils

from instant import backends, conf
from instant.backends.centrifugo import CentrifugoBackend
from instant.backends.locmem import LocmemBackend
from instant.conf import isolation
from instant.exceptions import InstantConfigError
from instant.server import sync
from tests.servers import RawServer, answering

CENTRIFUGO = "instant.backends.centrifugo.CentrifugoBackend"

SETTINGS = """
from pathlib import Path

BASE_DIR = Path(__file__).parent
SECRET_KEY = "x" * 50
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "instant", "shop",
]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware",
              "django.contrib.auth.middleware.AuthenticationMiddleware"]
ROOT_URLCONF = "urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""

MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

RUNNER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from django.conf import settings
from django.test.utils import get_runner
sys.exit(get_runner(settings)().run_tests(["shop"]))
"""

URLS = """
from django.urls import include, path
urlpatterns = [path("instant/", include("instant.urls"))]
"""

# Whatever reached a server: data migrations, commits, rights, logins, threads.
MIGRATION = """
from django.db import migrations
from instant import publish

class Migration(migrations.Migration):
    operations = [migrations.RunPython(lambda apps, editor: publish("public", "migrated"))]
"""

TESTS = """
import threading
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import TestCase, TransactionTestCase, override_settings
from django.db import transaction
from instant import apublish, batch, broadcast, publish
from instant.models import Channel


def everything(test):
    publish("public", "after the commit")
    publish("public", "now", on_commit=False)
    async_to_sync(apublish)("public", "async")
    with batch():
        broadcast(["a", "b"], "together", on_commit=False)
    with transaction.atomic():
        publish("public", "in a transaction")
    group = Group.objects.create(name="staff")
    channel = Channel.objects.create(name="$staff", level="groups")
    channel.groups.add(group)
    user = User.objects.create_user("ann", password="pw")
    user.groups.add(group)
    test.client.force_login(user)
    assert test.client.get("/instant/get_token/").status_code == 200
    user.groups.remove(group)
    test.client.logout()
    user.delete()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("instant")], names


class Committed(TransactionTestCase):
    def test_it(self):
        everything(self)


class Executed(TestCase):
    def test_it(self):
        with self.captureOnCommitCallbacks(execute=True):
            everything(self)


@override_settings(INSTANT={**(getattr(settings, "INSTANT", None) or {}), "TOKEN_USE": 5})
class Overridden(TransactionTestCase):
    def test_it(self):
        everything(self)


@override_settings(INSTANT={"TOKEN_USE": 5})
class OverriddenWithoutAWord(TransactionTestCase):
    def test_it(self):
        everything(self)
"""

LIVE = """
from django.conf import settings
from django.test import TransactionTestCase, override_settings
from instant import publish
from instant.testing import instant_server


class Live(TransactionTestCase):
    @override_settings(
        INSTANT={**settings.INSTANT, "BACKEND": "instant.backends.centrifugo.CentrifugoBackend"}
    )
    def test_a_test_may_say_so(self):
        assert publish("public", "live").state == "sent"

    def test_or_have_a_server_of_its_own(self):
        with instant_server():
            assert publish("public", "own").offset == 1
"""


@pytest.fixture
def project(tmp_path):
    """A project in development, its server's address and keys as installws writes them."""
    (tmp_path / "centrifugo").mkdir()
    for name, text in {
        "settings.py": SETTINGS,
        "urls.py": URLS,
        "manage.py": MANAGE,
        "runner.py": RUNNER,
        "shop/__init__.py": "",
        "shop/migrations/__init__.py": "",
        "shop/migrations/0001_initial.py": MIGRATION,
        "shop/tests.py": TESTS,
        "shop/live.py": LIVE,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    with RawServer(answering) as server:
        config = {
            "http_server": {"address": "127.0.0.1", "port": server.port},
            "http_api": {"key": "key"},
            "client": {"token": {"hmac_secret_key": "h" * 40}, "allowed_origins": []},
        }
        (tmp_path / "centrifugo" / "config.json").write_text(json.dumps(config))

        def run(*command, explicit=False):
            if explicit:
                with (tmp_path / "settings.py").open("a") as file:
                    file.write(f'INSTANT = {{"BACKEND": "{CENTRIFUGO}"}}\n')
            done = subprocess.run(
                [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True,
                check=False, timeout=120, env={"PATH": os.environ["PATH"], "PYTHONPATH": "."},
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            return server.connections, done.stdout + done.stderr

        yield run


PYTEST = ["-m", "pytest", "-p", "no:cacheprovider", "--ds=settings", "-q", "shop/tests.py"]


@pytest.fixture
def environment(monkeypatch):
    """A process in which no test runs yet; calling it begins and ends Django's environment."""
    state = utils._TestState.saved_data
    was_begun = isolation._before is not None
    monkeypatch.delattr(utils._TestState, "saved_data")
    isolation.notice()
    isolation.end()

    def switch(on):
        if on:
            utils._TestState.saved_data = state
        else:
            del utils._TestState.saved_data

    yield switch
    utils._TestState.saved_data = state
    isolation.notice()
    if was_begun:
        isolation.begin()


def test_it_begins_and_ends_with_djangos_environment(environment):
    given = settings.INSTANT
    assert isinstance(backends.get_backend(), CentrifugoBackend)
    assert conf.current().enforces_in_background
    environment(True)
    assert isinstance(backends.get_backend(), LocmemBackend)
    assert not conf.current().enforces_in_background
    assert settings.INSTANT["DIR"] == given["DIR"]
    with override_settings(INSTANT={"DIR": "/x"}):
        assert isinstance(backends.get_backend(), LocmemBackend)
    environment(False)
    assert isinstance(backends.get_backend(), CentrifugoBackend)
    assert given == settings.INSTANT
    assert conf.current().enforces_in_background


def test_where_the_project_has_no_key_yet_tokens_are_signed_all_the_same(
    environment, monkeypatch, tmp_path
):
    monkeypatch.delenv("CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY", raising=False)
    with override_settings(INSTANT={"DIR": tmp_path}):
        if hasattr(settings, "CENTRIFUGO_HMAC_KEY"):
            del settings.CENTRIFUGO_HMAC_KEY
        environment(True)
        assert len(conf.current().hmac_key) == 64
        with override_settings(CENTRIFUGO_HMAC_KEY="k" * 32):
            assert conf.current().hmac_key == "k" * 32
        with override_settings(CENTRIFUGO_HMAC_KEY=None), pytest.raises(InstantConfigError):
            print(conf.current().hmac_key)
        environment(False)
        with pytest.raises(InstantConfigError, match="CENTRIFUGO_HMAC_KEY is not set"):
            print(conf.current().hmac_key)


def test_what_is_overridden_when_it_begins_counts_and_no_more(environment):
    with override_settings(INSTANT={"DIR": "/x", "BACKEND": CENTRIFUGO}):
        environment(True)
        assert isinstance(backends.get_backend(), CentrifugoBackend)
        with override_settings(DEBUG=True):
            assert isinstance(backends.get_backend(), CentrifugoBackend)
    assert isinstance(backends.get_backend(), LocmemBackend)


def test_mail_that_is_kept_in_memory_makes_no_test_run(environment):
    """Django's locmem backend for mail puts an outbox there wherever it is used."""
    assert hasattr(mail, "outbox")
    assert not isolation._is_test_environment()
    environment(True)
    assert isolation._is_test_environment()


def test_no_check_misses_the_outbox_in_the_servers_config(environment, tmp_path):
    holder = isolation._own_settings()
    before = holder.INSTANT
    holder.INSTANT = {
        "DIR": tmp_path,
        "BACKEND": "instant.backends.outbox.OutboxBackend",
        "OUTBOX_CONSUMER": "postgresql://centrifugo@db/site",
    }
    vars(settings).pop("INSTANT", None)
    try:
        sync.write(sync.compare(conf.current()))
        environment(True)
        assert conf.current().backend.endswith("LocmemBackend")
        assert "instant.W005" not in [message.id for message in run_checks()]
    finally:
        isolation.end()
        holder.INSTANT = before
        vars(settings).pop("INSTANT", None)


@pytest.mark.parametrize("given", [None, ["BACKEND"]])
def test_settings_of_any_kind(environment, given):
    holder = isolation._own_settings()
    before, holder.INSTANT = holder.INSTANT, given
    vars(settings).pop("INSTANT", None)
    try:
        environment(True)
        if given is None:
            assert conf.current().backend.endswith("LocmemBackend")
        else:
            with pytest.raises(InstantConfigError, match="must be a dict"):
                conf.current()
        environment(False)
        isolation.notice()
        assert settings.INSTANT is given
    finally:
        isolation.end()
        holder.INSTANT = before
        vars(settings).pop("INSTANT", None)


# A script of one's own imports the tests before anybody can tell that they are some, so it names nothing.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "explicit"),
    [
        (["manage.py", "test", "shop"], False),
        (["manage.py", "test", "shop"], True),
        (["runner.py"], False),
        (PYTEST, False),
        (PYTEST, True),
    ],
    ids=[
        "manage.py test, by default",
        "manage.py test, by name",
        "a script",
        "pytest, by default",
        "pytest, by name",
    ],
)
def test_not_one_connection_is_made(project, command, explicit):
    connections, said = project(*command, explicit=explicit)
    assert "4 passed" in said or "Ran 4 tests" in said
    assert connections == 0


@pytest.mark.slow
def test_nor_by_parallel_processes(project):
    connections, said = project("manage.py", "test", "shop", "--parallel", "2", explicit=True)
    assert "Ran 4 tests" in said
    assert connections == 0


@pytest.mark.slow
def test_what_is_no_test_run_reaches_it(project):
    code = "from instant import publish; print(publish('public', 'x').state)"
    connections, said = project("manage.py", "shell", "-c", code)
    assert "sent" in said
    assert connections == 1


@pytest.mark.slow
def test_a_test_reaches_a_server_when_it_says_so(project):
    # The data migration comes before the test.
    connections, said = project("manage.py", "test", "shop.live")
    assert "Ran 2 tests" in said
    assert connections == 1
