"""
Run the Python blocks of one document in this project, in a process of their own.

Takes the blocks as JSON on standard input, each with its line and its code; those that are files
were written into the project before. Writes JSON: for each block its line, what went wrong (null
where nothing did) and the channels that were published to.
"""

import ast
import asyncio
import inspect
import io
import json
import os
import subprocess
import sys
import traceback
import unittest
import warnings
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
warnings.simplefilter("error")

import django

django.setup()

from django.conf import settings
from django.contrib.auth.models import User
from django.core import checks
from django.core.management import call_command
from django.test import Client, RequestFactory, TestCase, TransactionTestCase, override_settings
from django.test.utils import setup_test_environment

from instant import conf
from instant.testing import capture_publications


def run_settings(code, names):
    """Execute the block as a part of settings.py, and let the site answer with what it says."""
    before = {n: getattr(settings, n) for n in vars(import_module("settings")) if n.isupper()}
    space = {n: value.copy() if hasattr(value, "copy") else value for n, value in before.items()}
    if "INSTALLED_APPS +=" in code:
        space["INSTALLED_APPS"].remove("instant")  # the reader's own don't have it yet
    exec(compile(code, names["__name__"], "exec"), space)
    changed = {n: v for n, v in space.items() if n.isupper() and before.get(n, space) != v}
    with override_settings(**changed):
        conf.current()
        found = [m for m in checks.run_checks() if m.id and m.id.startswith("instant.")]
        errors = [m for m in found if m.level >= checks.ERROR]
        assert not errors, errors
        assert Client().get("/instant/get_token/").status_code == 200


def run_urls(code, names):
    space = names.setdefault("urls.py", {"urlpatterns": []})  # one file, shown in parts
    exec(compile(code, names["__name__"], "exec"), space)
    assert space["urlpatterns"]
    for pattern in space["urlpatterns"]:
        checked = pattern.check()
        assert not checked, checked


def run_tests(names):
    cases = [
        value
        for value in names.values()
        if isinstance(value, type)
        and issubclass(value, TransactionTestCase)
        and value not in {TestCase, TransactionTestCase}
    ]
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)
    said = io.StringIO()
    result = unittest.TextTestRunner(stream=said).run(suite)
    assert result.testsRun, "there is no test in it"
    assert result.wasSuccessful(), said.getvalue()


def run_pytest(code):
    path = Path(__file__).with_name("test_sample.py")
    path.write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-c", os.devnull, "--rootdir", ".", path],
        cwd=path.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def run(code, names):
    first = code.split("\n", 1)[0]
    if first.startswith("# settings.py"):
        run_settings(code, names)
    elif first.startswith("# urls.py"):
        run_urls(code, names)
    elif "\ndef test_" in code:
        run_pytest(code)
    else:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        result = eval(compile(code, names["__name__"], "exec", flags=flags), names)
        if inspect.iscoroutine(result):
            asyncio.run(result)
        if "TestCase)" in code:
            run_tests(names)


def main():
    setup_test_environment()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # samples show sync and async calls in one block
    call_command("migrate", run_syncdb=True, verbosity=0)
    from shop.models import Order

    user = User.objects.create_user("ann")
    request = RequestFactory().post("/")
    request.user = user
    # What a reader of a document takes for granted.
    names = {"request": request, "user": user, "order": Order.objects.create(customer=user)}
    results = []
    for block in json.load(sys.stdin):
        names["__name__"] = f"line{block['line']}"
        problem, stdout = None, sys.stdout
        # A sample that starts a server publishes to it.
        capture = nullcontext([]) if "instant_server" in block["code"] else capture_publications()
        with capture as sent:
            try:
                sys.stdout = io.StringIO()
                run(block["code"], names)
            except BaseException:
                problem = traceback.format_exc()
            finally:
                sys.stdout = stdout
        channels = [publication.channel for publication in sent]
        results.append({"line": block["line"], "problem": problem, "published": channels})
    json.dump(results, sys.stdout)


main()
