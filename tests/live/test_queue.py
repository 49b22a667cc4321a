"""
Queued calls with processes that are killed, on the embedded server and on Centrifugo.

SQLite is a file beside them, PostgreSQL a server that the module starts where there is one.
"""

import contextlib
import signal

import psutil
import pytest

from tests.live.outbox_site import PATIENCE

pytestmark = [pytest.mark.conformance, pytest.mark.slow]


def test_a_page_follows_its_job_also_after_a_reload(jobs):
    page, other = jobs.page(), jobs.page(2)
    id_ = jobs.follow(page, "report.build", name="a", waits=True)
    jobs.worker()
    told = jobs.states(page, "running")
    jobs.wait_for(lambda: jobs.begun("a") == 1)
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
    assert jobs.call(page, "instant.ticket", id=id_)["ticket"]["result"] == {"name": "a"}
    refused = other.ask(rpc={"method": "instant.ticket", "data": {"id": id_}})
    assert refused["error"]["code"] == 404
    page.close()
    other.close()


def test_a_worker_that_is_killed_in_the_middle(jobs):
    page = jobs.page()
    jobs.follow(page, "report.build", name="a", waits=True)
    first = jobs.worker()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    first.kill()
    first.wait()
    jobs.worker()
    jobs.wait_for(lambda: jobs.begun("a") == 2)
    jobs.let_go("a")
    told = jobs.states(page, "done")
    assert [t["state"] for t in told].count("done") == 1
    assert page.quiet()
    jobs.wait_for(lambda: jobs.rows("state", "attempts", "due_at") == [["done", 2, None]])
    page.close()


def test_a_server_that_is_killed_while_progress_is_sent(jobs):
    page = jobs.page()
    id_ = jobs.follow(page, "report.build", name="a", waits=True)
    worker = jobs.worker()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    jobs.server.kill()
    jobs.let_go("a")
    jobs.wait_for(lambda: jobs.rows("state") == [["done"]])
    jobs.server.start()
    page = jobs.page()
    again = jobs.call(page, "instant.ticket", id=id_)
    assert again["ticket"]["state"] == "done"
    reply = page.subscribe(again["channel"], again["token"])
    assert "subscribe" in reply
    if not reply["subscribe"].get("publications"):
        jobs.states(page, "done")  # upkeep publishes what could not be sent
    jobs.wait_for(lambda: jobs.rows("due_at") == [[None]])
    assert worker.poll() is None
    page.close()


def test_a_web_server_that_is_killed_after_the_answer(jobs):
    page = jobs.page()
    jobs.follow(page, "report.build", name="a")
    jobs.web.kill()
    jobs.web.wait()
    jobs.worker()
    assert jobs.states(page, "done")[-1]["result"] == {"name": "a"}
    page.close()


def test_a_job_that_is_cancelled_lets_the_next_one_run(jobs):
    page = jobs.page()
    id_ = jobs.follow(page, "report.build", name="a", waits=True)
    jobs.worker()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    assert jobs.call(page, "instant.cancel", id=id_)["state"] == "cancelled"
    assert jobs.states(page, "cancelled")[-1]["result"] is None
    jobs.follow(page, "report.build", name="b")
    assert jobs.states(page, "done")[-1]["result"] == {"name": "b"}
    assert jobs.rows("state") == [["cancelled"], ["done"]]
    page.close()


def test_progress_does_not_wait_for_the_jobs_transaction(jobs):
    page = jobs.page()
    jobs.follow(page, "report.locked", name="a")
    jobs.worker()
    told = []
    while not told or told[-1]["message"] != "in a transaction":
        told += jobs.states(page, "running")
    jobs.let_go("a")
    assert jobs.states(page, "done")[-1]["result"] == "done"
    page.close()


def test_progress_is_coalesced(jobs):
    page = jobs.page()
    jobs.follow(page, "report.count", upto=300)
    jobs.worker()
    told = jobs.states(page, "done")
    assert told[-1]["result"] == 300
    assert told[-1]["progress"] == 299
    seen = [t["progress"] for t in told if t["progress"] is not None]
    assert seen == sorted(seen)
    assert len(told) < 300 / 5, "At most five a second, and it takes a second or some."
    page.close()


def test_a_worker_that_is_told_to_stop_ends_its_job(jobs):
    page = jobs.page()
    jobs.follow(page, "report.build", name="a", waits=True)
    worker = jobs.worker("--processes", "2")
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    worker.send_signal(signal.SIGTERM)
    waits = jobs.call(page, "report.build", name="b")["instant:ticket"]["id"]
    jobs.let_go("a")
    assert jobs.states(page, "done")[-1]["result"] == {"name": "a"}
    assert worker.wait(PATIENCE) == 0
    assert jobs.call(page, "instant.ticket", id=waits)["ticket"]["state"] in {"queued", "done"}
    page.close()


def test_a_worker_that_is_told_twice_gives_its_job_back(jobs):
    page = jobs.page()
    jobs.follow(page, "report.build", name="a", waits=True)
    worker = jobs.worker()
    jobs.wait_for(lambda: jobs.begun("a") == 1)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(PATIENCE) == 0
    assert jobs.rows("state", "attempts") == [["queued", 0]]
    page.close()


def test_a_visitor_follows_a_job_too(jobs):
    page, other = jobs.page(None), jobs.page(None)
    id_ = jobs.follow(page, "report.build", name="a")
    jobs.worker()
    assert jobs.states(page, "done")[-1]["result"] == {"name": "a"}
    assert jobs.call(page, "instant.ticket", id=id_)["ticket"]["state"] == "done"
    refused = other.ask(rpc={"method": "instant.ticket", "data": {"id": id_}})
    assert refused["error"]["code"] == 404
    page.close()
    other.close()


def test_a_parent_that_is_killed_leaves_no_workers_behind(jobs):
    worker = jobs.worker("--processes", "2")
    parent = psutil.Process(worker.pid)
    jobs.wait_for(lambda: len(parent.children()) == 2)
    children = parent.children()
    page = jobs.page()
    try:
        id_ = jobs.follow(page, "report.build", name="a", waits=True)
        jobs.wait_for(lambda: jobs.begun("a") == 1)
        worker.kill()
        jobs.let_go("a")  # the job that runs is brought to its end
        assert jobs.states(page, "done")[-1]["id"] == id_
        _, alive = psutil.wait_procs(children, timeout=PATIENCE)
        assert not alive
    finally:
        page.close()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
