"""Requests with processes that are killed, on the embedded server and on Centrifugo."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.outbox_site import PATIENCE

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

ASK = """
from instant import request
print("answer", request("build", {{"name": "{name}", "waits": True}}, timeout={patience}), flush=True)
"""


def test_a_page_follows_its_request_also_after_a_reload(jobs):
    page, other = jobs.page(), jobs.page(2)
    id_ = jobs.ask(page, name="a", waits=True)
    jobs.answering()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    told = jobs.states(page, "running")
    while not told[-1]["message"]:
        told += jobs.states(page, "running")
    assert (told[-1]["progress"], told[-1]["message"]) == (0.4, "reading")
    page.close()
    page = jobs.page()  # a reload
    again = jobs.call(page, "instant.ticket", id=id_)
    assert again["ticket"]["state"] == "running"
    assert "subscribe" in page.subscribe(again["channel"], again["token"])
    jobs.let_go("a")
    assert jobs.states(page, "done")[-1]["result"] == {"name": "a"}
    refused = other.ask(rpc={"method": "instant.ticket", "data": {"id": id_}})
    assert refused["error"]["code"] == 404
    page.close()
    other.close()


def test_a_worker_that_is_killed_in_the_middle(jobs):
    page = jobs.page()
    jobs.ask(page, name="a", waits=True)
    first = jobs.answering()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    first.kill()
    first.wait()
    jobs.answering()
    jobs.wait_for(lambda: jobs.begun("a") == 2)
    jobs.let_go("a")
    told = jobs.states(page, "done")
    assert [t["state"] for t in told].count("done") == 1
    assert page.quiet()
    jobs.wait_for(lambda: jobs.rows("state", "attempts", "due_at") == [["done", 2, None]])
    page.close()


def test_python_gets_its_answer_though_the_worker_is_killed(jobs):
    asking = jobs.start("shell", "-v0", "-c", ASK.format(name="a", patience=PATIENCE))
    first = jobs.answering()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    first.kill()
    first.wait()
    jobs.answering()
    jobs.wait_for(lambda: jobs.begun("a") == 2)
    jobs.let_go("a")
    jobs.said(asking, "answer {'name': 'a'}")
    assert asking.wait(PATIENCE) == 0
    assert jobs.rows("state", "attempts") == [["done", 2]]


def test_one_of_several_processes_is_killed_and_replaced(jobs):
    page = jobs.page()
    parent = jobs.answering("--processes", "2")
    jobs.ask(page, name="a", waits=True)
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    jobs.wait_for(lambda: len(children(parent)) == 2)
    for pid in children(parent):
        os.kill(pid, signal.SIGKILL)
    jobs.wait_for(lambda: jobs.begun("a") == 2)
    jobs.let_go("a")
    assert jobs.states(page, "done")[-1]["result"] == {"name": "a"}
    page.close()


def test_a_worker_that_is_stopped_ends_what_it_has(jobs):
    page = jobs.page()
    jobs.ask(page, name="a", waits=True)
    worker = jobs.answering()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    worker.send_signal(signal.SIGTERM)
    jobs.call(page, "instant.request", name="build", data={"name": "b"})
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(1)
    jobs.let_go("a")
    assert worker.wait(PATIENCE) == 0
    assert jobs.rows("state") == [["done"], ["queued"]]
    page.close()


def test_a_worker_that_is_stopped_twice_gives_it_back(jobs):
    page = jobs.page()
    jobs.ask(page, name="a", waits=True)
    worker = jobs.answering()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(PATIENCE) == 0
    assert jobs.rows("state", "attempts") == [["queued", 0]]
    page.close()


def test_processes_end_after_so_many_and_are_replaced(jobs):
    page = jobs.page()
    parent = jobs.answering("--processes", "1", "--max-tasks", "1")
    seen = set()
    for name in "abc":
        jobs.wait_for(lambda: children(parent) - seen)  # noqa: B023  called at once
        jobs.ask(page, name=name, waits=True)
        jobs.wait_for(lambda name=name: jobs.begun(name) == 1)
        seen |= children(parent)
        jobs.let_go(name)
        jobs.states(page, "done")
    assert len(seen) == 3
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(PATIENCE) == 0
    page.close()


def test_the_message_server_is_killed_while_a_request_is_answered(jobs):
    page = jobs.page()
    id_ = jobs.ask(page, name="a", waits=True)
    jobs.answering()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    jobs.server.kill()
    jobs.let_go("a")
    jobs.wait_for(lambda: jobs.rows("state") == [["done"]])
    jobs.server.start()
    page = jobs.page()
    assert jobs.call(page, "instant.ticket", id=id_)["ticket"]["result"] == {"name": "a"}
    jobs.wait_for(lambda: jobs.rows("due_at") == [[None]])
    page.close()


def test_the_web_server_is_killed_after_the_answer(jobs):
    page = jobs.page()
    jobs.ask(page, name="a")
    jobs.web.kill()
    jobs.web.wait()
    jobs.answering()
    assert jobs.states(page, "done")[-1]["result"] == {"name": "a"}
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

    def __init__(self, jobs, more=""):
        text = REMOTE.format(folder=jobs.folder, more=more)
        (jobs.folder / "remote_settings.py").write_text(text)
        self.jobs = jobs
        self.token = jobs.run("workertoken", "build").splitlines()[0]

    def start(self, *options, token=None):
        process = subprocess.Popen(
            [
                sys.executable, "-m", "django", "runworker", "build", "--skip-checks",
                "--url", f"http://127.0.0.1:{self.jobs.web_port}/instant", *options,
            ],
            env=self.jobs.env
            | {
                "DJANGO_SETTINGS_MODULE": "remote_settings",
                "INSTANT_WORKER_TOKEN": token or self.token,
            },
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.jobs.running.append(process)
        assert process.stdout.readline().startswith("Answering")
        return process


def test_a_worker_on_another_machine(jobs):
    elsewhere = Elsewhere(jobs)
    page = jobs.page()
    jobs.ask(page, name="a", waits=True)
    first = elsewhere.start()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    told = jobs.states(page, "running")
    while not told[-1]["message"]:
        told += jobs.states(page, "running")
    assert (told[-1]["progress"], told[-1]["message"]) == (0.4, "reading")
    first.kill()
    first.wait()
    # Its lease ends, and another one claims it, whose jobs is away for a while.
    second = elsewhere.start()
    jobs.wait_for(lambda: jobs.begun("a") == 2)
    jobs.web.kill()
    jobs.web.wait()
    jobs.let_go("a")
    jobs.serve()
    assert jobs.states(page, "done")[-1]["result"] == {"name": "a"}
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE) == 0
    assert jobs.rows("state", "attempts") == [["done", 2]]
    page.close()


def test_a_worker_on_another_machine_whose_request_is_cancelled(jobs):
    elsewhere = Elsewhere(jobs)
    page = jobs.page()
    id_ = jobs.ask(page, name="a", waits=True)
    worker = elsewhere.start()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    jobs.call(page, "instant.cancel", id=id_)
    jobs.ask(page, name="b")
    assert jobs.begun("a") == 1
    assert jobs.states(page, "done")[-1]["result"] == {"name": "b"}
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


def test_a_worker_on_another_machine_is_woken(jobs):
    with (jobs.folder / "site_settings.py").open("a") as file:
        file.write(f"\nINSTANT['PUBLIC_URL'] = {jobs.server.url!r}\n")
    jobs.web.kill()
    jobs.web.wait()
    jobs.serve()
    elsewhere = Elsewhere(jobs, IDLE)
    page = jobs.page()
    worker = elsewhere.start()
    for _ in range(2):  # once before it listens, and once since
        assert worker.stdout.readline() == "idle\n"
    for name in ("a", "b"):
        jobs.ask(page, name=name)
        assert jobs.states(page, "done")[-1]["result"] == {"name": name}
        assert worker.stdout.readline() == "idle\n"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    page.close()


def test_a_token_that_is_revoked_ends_its_workers(jobs):
    elsewhere = Elsewhere(jobs)
    worker, several = elsewhere.start(), elsewhere.start("--processes", "2")
    assert "is revoked" in jobs.run("workertoken", "--revoke", "1")
    assert "revoked" in jobs.run("workertoken", "--list")
    jobs.said(worker, "refuses: 401")
    assert worker.wait(PATIENCE) == 1
    # Others in their place would be refused, too.
    jobs.said(several, "refuses: 401")
    assert several.wait(PATIENCE) == 1


def children(process):
    """Return the processes that a process has started."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return set(map(int, path.read_text().split()))
