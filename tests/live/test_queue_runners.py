"""Queued calls that others' workers run: Celery on Redis, and Django's tasks with a database."""

import os
import signal
import subprocess

import django
import pytest

from tests.engines import redis
from tests.interpreters import Python
from tests.live.jobs_site import JobsSite

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

CELERY = """
CELERY_BROKER_URL = "{url}"
CELERY_BROKER_TRANSPORT_OPTIONS = {{"queue_order_strategy": "priority"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
"""
CELERY_APP = """
from celery import Celery
app = Celery("reports")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""
TASKS = """
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["bulk", "vip"]}}
"""
APPS = '"django_tasks_db", ' if django.VERSION >= (6, 0) else '"django_tasks", "django_tasks_db", '

MANY = """
from django.contrib.auth import get_user_model
from django.db import transaction
from instant.inbound.call import Call
from instant.inbound.dispatch import run
from instant.inbound.registry import find_handler
ann = get_user_model().objects.get(username="ann")
def call(method, name):
    run(find_handler("rpc", method), Call(user=ann, method=method, data={"name": name}))
with transaction.atomic():
    for number in range(1000):
        call("noted", str(number))
call("urgent", "critical")
"""


@pytest.fixture(scope="module")
def redis_url():
    with redis() as url:
        yield url


@pytest.fixture(params=["runjobs", "celery", "tasks"])
def site(request, tmp_path):
    runner, more, apps = request.param, "", ""
    if runner == "celery":
        more = CELERY.format(url=request.getfixturevalue("redis_url") + "/0")
    elif runner == "tasks":
        more, apps = TASKS, APPS
    urgent = request.node.callspec.params.get("urgent", "vip")
    found = JobsSite(
        "embedded", "sqlite", tmp_path, None, runner=runner, apps=apps, more=more, urgent=urgent,
        lease=6, migrate=bool(apps), init=CELERY_APP if runner == "celery" else "",
    )  # fmt: skip
    found.runner = runner
    try:
        found.server.start()
        found.serve()
        yield found
    finally:
        for process in found.running:  # Celery's children too
            if process.poll() is None and process is not found.web:
                os.killpg(process.pid, signal.SIGKILL)
        found.close()


def work(site):
    """Start a worker of the framework in a group of its own; one job at a time."""
    command = {
        "runjobs": ["-m", "django", "runjobs", "--skip-checks"],
        "celery": ["-m", "celery", "-A", "reports", "worker", "-Q", "vip,bulk", "-c", "1", "-l", "warning"],
        "tasks": ["-m", "django", "db_worker", "--queue-name", "*", "--interval", "0.1", "--no-startup-delay"],
    }[site.runner]  # fmt: skip
    log = (site.folder / f"worker{len(site.running)}.txt").open("w")  # closed with the site
    process = Python(
        command, env=site.env, cwd=site.folder, start_new_session=True,
        stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    process.stdout = log
    site.running.append(process)
    return process


@pytest.mark.parametrize("urgent", ["bulk", "vip"])
def test_with_a_thousand_waiting_a_critical_one_goes_next(site, urgent):
    """In a queue of its own, and in the same."""
    page = site.page()
    site.follow(page, "report.build", name="a", waits=True)
    work(site)
    site.wait_for(lambda: site.begun("a") == 1)
    site.shell(MANY)
    noted = site.folder / "noted"
    assert not noted.exists()
    site.let_go("a")
    site.wait_for(lambda: noted.exists() and len(noted.read_text().split()) > 3)
    assert noted.read_text().split()[:4] == ["critical", "0", "1", "2"]
    page.close()


def test_a_worker_that_is_killed_in_the_middle(site):
    """Whatever becomes of the framework's own task, the web process has another wake-up call sent."""
    page = site.page()
    site.follow(page, "report.build", name="a", waits=True)
    first = work(site)
    site.wait_for(lambda: site.begun("a") == 1)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    work(site)
    site.wait_for(lambda: site.begun("a") == 2)
    site.let_go("a")
    assert site.states(page, "done")[-1]["result"] == {"name": "a"}
    assert page.quiet()
    site.wait_for(lambda: site.rows("state", "attempts", "due_at") == [["done", 2, None]])
    page.close()
