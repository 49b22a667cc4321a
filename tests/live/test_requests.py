"""Requests with processes that are killed, on the embedded server and on Centrifugo."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.outbox_site import PATIENCE
from tests.live.test_queue import PAIRS, cluster, site  # noqa: F401  fixtures

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

assert PAIRS

ASK = """
from instant import request
print("answer", request("build", {{"name": "{name}", "waits": True}}, timeout={patience}), flush=True)
"""


def test_a_page_follows_its_request_also_after_a_reload(site):  # noqa: F811
    page, other = site.page(), site.page(2)
    id_ = site.ask(page, name="a", waits=True)
    site.answering()
    site.wait_for(lambda: site.begun("a") == 1)
    told = site.states(page, "running")
    while not told[-1]["message"]:
        told += site.states(page, "running")
    assert (told[-1]["progress"], told[-1]["message"]) == (0.4, "reading")
    page.close()
    page = site.page()  # a reload
    again = site.call(page, "instant.ticket", id=id_)
    assert again["ticket"]["state"] == "running"
    assert "subscribe" in page.subscribe(again["channel"], again["token"])
    site.let_go("a")
    assert site.states(page, "done")[-1]["result"] == {"name": "a"}
    refused = other.ask(rpc={"method": "instant.ticket", "data": {"id": id_}})
    assert refused["error"]["code"] == 404
    page.close()
    other.close()


def test_a_worker_that_is_killed_in_the_middle(site):  # noqa: F811
    page = site.page()
    site.ask(page, name="a", waits=True)
    first = site.answering()
    site.wait_for(lambda: site.begun("a") == 1)
    first.kill()
    first.wait()
    site.answering()
    site.wait_for(lambda: site.begun("a") == 2)
    site.let_go("a")
    told = site.states(page, "done")
    assert [t["state"] for t in told].count("done") == 1
    assert page.quiet()
    site.wait_for(lambda: site.rows("state", "attempts", "due_at") == [["done", 2, None]])
    page.close()


def test_python_gets_its_answer_though_the_worker_is_killed(site):  # noqa: F811
    asking = site.start("shell", "-v0", "-c", ASK.format(name="a", patience=PATIENCE))
    first = site.answering()
    site.wait_for(lambda: site.begun("a") == 1)
    first.kill()
    first.wait()
    site.answering()
    site.wait_for(lambda: site.begun("a") == 2)
    site.let_go("a")
    site.said(asking, "answer {'name': 'a'}")
    assert asking.wait(PATIENCE) == 0
    assert site.rows("state", "attempts") == [["done", 2]]


def test_one_of_several_processes_is_killed_and_replaced(site):  # noqa: F811
    page = site.page()
    parent = site.answering("--processes", "2")
    site.ask(page, name="a", waits=True)
    site.wait_for(lambda: site.begun("a") == 1)
    site.wait_for(lambda: len(children(parent)) == 2)
    for pid in children(parent):
        os.kill(pid, signal.SIGKILL)
    site.wait_for(lambda: site.begun("a") == 2)
    site.let_go("a")
    assert site.states(page, "done")[-1]["result"] == {"name": "a"}
    page.close()


def test_a_worker_that_is_stopped_ends_what_it_has(site):  # noqa: F811
    page = site.page()
    site.ask(page, name="a", waits=True)
    worker = site.answering()
    site.wait_for(lambda: site.begun("a") == 1)
    worker.send_signal(signal.SIGTERM)
    site.call(page, "instant.request", name="build", data={"name": "b"})
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(1)
    site.let_go("a")
    assert worker.wait(PATIENCE) == 0
    assert site.rows("state") == [["done"], ["queued"]]
    page.close()


def test_a_worker_that_is_stopped_twice_gives_it_back(site):  # noqa: F811
    page = site.page()
    site.ask(page, name="a", waits=True)
    worker = site.answering()
    site.wait_for(lambda: site.begun("a") == 1)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(PATIENCE) == 0
    assert site.rows("state", "attempts") == [["queued", 0]]
    page.close()


def test_processes_end_after_so_many_and_are_replaced(site):  # noqa: F811
    page = site.page()
    parent = site.answering("--processes", "1", "--max-tasks", "1")
    seen = set()
    for name in "abc":
        site.wait_for(lambda: children(parent) - seen)  # noqa: B023  called at once
        site.ask(page, name=name, waits=True)
        site.wait_for(lambda name=name: site.begun(name) == 1)
        seen |= children(parent)
        site.let_go(name)
        site.states(page, "done")
    assert len(seen) == 3
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(PATIENCE) == 0
    page.close()


def test_the_message_server_is_killed_while_a_request_is_answered(site):  # noqa: F811
    page = site.page()
    id_ = site.ask(page, name="a", waits=True)
    site.answering()
    site.wait_for(lambda: site.begun("a") == 1)
    site.server.kill()
    site.let_go("a")
    site.wait_for(lambda: site.rows("state") == [["done"]])
    site.server.start()
    page = site.page()
    assert site.call(page, "instant.ticket", id=id_)["ticket"]["result"] == {"name": "a"}
    site.wait_for(lambda: site.rows("due_at") == [[None]])
    page.close()


def test_the_web_server_is_killed_after_the_answer(site):  # noqa: F811
    page = site.page()
    site.ask(page, name="a")
    site.web.kill()
    site.web.wait()
    site.answering()
    assert site.states(page, "done")[-1]["result"] == {"name": "a"}
    page.close()


REMOTE = """
from site_settings import *
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/db.sqlite3"}}}}
INSTANT = {{**INSTANT, "DIR": "{folder}/nothing"}}
{more}
"""
"""The settings of a machine that reaches neither the database nor the message server's folder."""


class Elsewhere:
    """Workers that have a token, and no database."""

    def __init__(self, site, more=""):  # noqa: F811
        text = REMOTE.format(folder=site.folder, more=more)
        (site.folder / "remote_settings.py").write_text(text)
        self.site = site
        self.token = site.run("workertoken", "build").splitlines()[0]

    def start(self, *options, token=None):
        process = subprocess.Popen(
            [
                sys.executable, "-m", "django", "runworker", "build", "--skip-checks",
                "--url", f"http://127.0.0.1:{self.site.web_port}/instant", *options,
            ],
            env=self.site.env
            | {
                "DJANGO_SETTINGS_MODULE": "remote_settings",
                "INSTANT_WORKER_TOKEN": token or self.token,
            },
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.site.running.append(process)
        assert process.stdout.readline().startswith("Answering")
        return process


def test_a_worker_on_another_machine(site):  # noqa: F811
    elsewhere = Elsewhere(site)
    page = site.page()
    site.ask(page, name="a", waits=True)
    first = elsewhere.start()
    site.wait_for(lambda: site.begun("a") == 1)
    told = site.states(page, "running")
    while not told[-1]["message"]:
        told += site.states(page, "running")
    assert (told[-1]["progress"], told[-1]["message"]) == (0.4, "reading")
    first.kill()
    first.wait()
    # Its lease ends, and another one claims it, whose site is away for a while.
    second = elsewhere.start()
    site.wait_for(lambda: site.begun("a") == 2)
    site.web.kill()
    site.web.wait()
    site.let_go("a")
    site.serve()
    assert site.states(page, "done")[-1]["result"] == {"name": "a"}
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE) == 0
    assert site.rows("state", "attempts") == [["done", 2]]
    page.close()


def test_a_worker_on_another_machine_whose_request_is_cancelled(site):  # noqa: F811
    elsewhere = Elsewhere(site)
    page = site.page()
    id_ = site.ask(page, name="a", waits=True)
    worker = elsewhere.start()
    site.wait_for(lambda: site.begun("a") == 1)
    site.call(page, "instant.cancel", id=id_)
    site.ask(page, name="b")
    assert site.begun("a") == 1
    assert site.states(page, "done")[-1]["result"] == {"name": "b"}
    assert worker.poll() is None
    page.close()


IDLE = """
from instant.stored import wake_up_listener as found
found._OFTEN = found._SELDOM = 600.0
def wait(listener, seconds=None, wait=found.WakeUpListener.wait):
    print("idle", flush=True)
    wait(listener, seconds)
found.WakeUpListener.wait = wait
"""
"""A worker that says that it waits, and which nothing but the message server wakes."""


def test_a_worker_on_another_machine_is_woken(site):  # noqa: F811
    with (site.folder / "site_settings.py").open("a") as file:
        file.write(f"\nINSTANT['PUBLIC_URL'] = {site.server.url!r}\n")
    site.web.kill()
    site.web.wait()
    site.serve()
    elsewhere = Elsewhere(site, IDLE)
    page = site.page()
    worker = elsewhere.start()
    for _ in range(2):  # once before it listens, and once since
        assert worker.stdout.readline() == "idle\n"
    for name in ("a", "b"):
        site.ask(page, name=name)
        assert site.states(page, "done")[-1]["result"] == {"name": name}
        assert worker.stdout.readline() == "idle\n"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    page.close()


def test_a_token_that_is_revoked_ends_its_workers(site):  # noqa: F811
    elsewhere = Elsewhere(site)
    worker, several = elsewhere.start(), elsewhere.start("--processes", "2")
    assert "is revoked" in site.run("workertoken", "--revoke", "1")
    assert "revoked" in site.run("workertoken", "--list")
    site.said(worker, "refuses: 401")
    assert worker.wait(PATIENCE) == 1
    # Others in their place would be refused, too.
    site.said(several, "refuses: 401")
    assert several.wait(PATIENCE) == 1


def children(process):
    """Return the processes that a process has started."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return set(map(int, path.read_text().split()))
