"""
Queued calls with processes that are killed, on the embedded server and on Centrifugo.

SQLite is a file beside them, PostgreSQL a server that the module starts where there is one.
"""

import contextlib
import signal

import psutil
import pytest

from tests.cluster import Cluster, programs
from tests.live.jobs_site import JobsSite
from tests.live.outbox_site import PATIENCE
from tests.real_server import BINARY

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

PAIRS = [
    pytest.param(("embedded", "sqlite"), id="embedded-sqlite"),
    pytest.param(("embedded", "postgresql"), id="embedded-postgresql"),
    pytest.param(
        ("centrifugo", "postgresql"), id="centrifugo-postgresql", marks=pytest.mark.real_server
    ),
]


@pytest.fixture(scope="module")
def cluster():
    found = programs()
    if found is None:
        yield None
        return
    with Cluster(found) as running:
        yield running


@pytest.fixture(params=PAIRS)
def site(request, tmp_path, cluster):
    kind, database = request.param
    if database == "postgresql" and cluster is None:
        pytest.skip("PostgreSQL is not installed on this machine.")
    found = JobsSite(kind, database, tmp_path, cluster)
    try:
        if kind == "centrifugo":
            found.env["CENTRIFUGO_BIN"] = BINARY
        found.server.start()
        found.serve()
        yield found
    finally:
        found.close()


def test_a_page_follows_its_job_also_after_a_reload(site):
    page, other = site.page(), site.page(2)
    id_ = site.follow(page, "report.build", name="a", waits=True)
    site.worker()
    told = site.states(page, "running")
    site.wait_for(lambda: site.begun("a") == 1)
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
    assert site.call(page, "instant.ticket", id=id_)["ticket"]["result"] == {"name": "a"}
    refused = other.ask(rpc={"method": "instant.ticket", "data": {"id": id_}})
    assert refused["error"]["code"] == 404
    page.close()
    other.close()


def test_a_worker_that_is_killed_in_the_middle(site):
    page = site.page()
    site.follow(page, "report.build", name="a", waits=True)
    first = site.worker()
    site.wait_for(lambda: site.begun("a") == 1)
    first.kill()
    first.wait()
    site.worker()
    site.wait_for(lambda: site.begun("a") == 2)
    site.let_go("a")
    told = site.states(page, "done")
    assert [t["state"] for t in told].count("done") == 1
    assert page.quiet()
    site.wait_for(lambda: site.rows("state", "attempts", "due_at") == [["done", 2, None]])
    page.close()


def test_a_server_that_is_killed_while_progress_is_sent(site):
    page = site.page()
    id_ = site.follow(page, "report.build", name="a", waits=True)
    worker = site.worker()
    site.wait_for(lambda: site.begun("a") == 1)
    site.server.kill()
    site.let_go("a")
    site.wait_for(lambda: site.rows("state") == [["done"]])
    site.server.start()
    page = site.page()
    again = site.call(page, "instant.ticket", id=id_)
    assert again["ticket"]["state"] == "done"
    reply = page.subscribe(again["channel"], again["token"])
    assert "subscribe" in reply
    if not reply["subscribe"].get("publications"):
        site.states(page, "done")  # upkeep publishes what could not be sent
    site.wait_for(lambda: site.rows("due_at") == [[None]])
    assert worker.poll() is None
    page.close()


def test_a_web_server_that_is_killed_after_the_answer(site):
    page = site.page()
    site.follow(page, "report.build", name="a")
    site.web.kill()
    site.web.wait()
    site.worker()
    assert site.states(page, "done")[-1]["result"] == {"name": "a"}
    page.close()


def test_a_job_that_is_cancelled_lets_the_next_one_run(site):
    page = site.page()
    id_ = site.follow(page, "report.build", name="a", waits=True)
    site.worker()
    site.wait_for(lambda: site.begun("a") == 1)
    assert site.call(page, "instant.cancel", id=id_)["state"] == "cancelled"
    assert site.states(page, "cancelled")[-1]["result"] is None
    site.follow(page, "report.build", name="b")
    assert site.states(page, "done")[-1]["result"] == {"name": "b"}
    assert site.rows("state") == [["cancelled"], ["done"]]
    page.close()


def test_progress_does_not_wait_for_the_jobs_transaction(site):
    page = site.page()
    site.follow(page, "report.locked", name="a")
    site.worker()
    told = []
    while not told or told[-1]["message"] != "in a transaction":
        told += site.states(page, "running")
    site.let_go("a")
    assert site.states(page, "done")[-1]["result"] == "done"
    page.close()


def test_progress_is_coalesced(site):
    page = site.page()
    site.follow(page, "report.count", upto=300)
    site.worker()
    told = site.states(page, "done")
    assert told[-1]["result"] == 300
    assert told[-1]["progress"] == 299
    seen = [t["progress"] for t in told if t["progress"] is not None]
    assert seen == sorted(seen)
    assert len(told) < 300 / 5, "At most five a second, and it takes a second or some."
    page.close()


def test_a_worker_that_is_told_to_stop_ends_its_job(site):
    page = site.page()
    site.follow(page, "report.build", name="a", waits=True)
    worker = site.worker("--processes", "2")
    site.wait_for(lambda: site.begun("a") == 1)
    worker.send_signal(signal.SIGTERM)
    waits = site.call(page, "report.build", name="b")["instant:ticket"]["id"]
    site.let_go("a")
    assert site.states(page, "done")[-1]["result"] == {"name": "a"}
    assert worker.wait(PATIENCE) == 0
    assert site.call(page, "instant.ticket", id=waits)["ticket"]["state"] in {"queued", "done"}
    page.close()


def test_a_worker_that_is_told_twice_gives_its_job_back(site):
    page = site.page()
    site.follow(page, "report.build", name="a", waits=True)
    worker = site.worker()
    site.wait_for(lambda: site.begun("a") == 1)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(PATIENCE) == 0
    assert site.rows("state", "attempts") == [["queued", 0]]
    page.close()


def test_a_visitor_follows_a_job_too(site):
    page, other = site.page(None), site.page(None)
    id_ = site.follow(page, "report.build", name="a")
    site.worker()
    assert site.states(page, "done")[-1]["result"] == {"name": "a"}
    assert site.call(page, "instant.ticket", id=id_)["ticket"]["state"] == "done"
    refused = other.ask(rpc={"method": "instant.ticket", "data": {"id": id_}})
    assert refused["error"]["code"] == 404
    page.close()
    other.close()


def test_a_parent_that_is_killed_leaves_no_workers_behind(site):
    worker = site.worker("--processes", "2")
    parent = psutil.Process(worker.pid)
    site.wait_for(lambda: len(parent.children()) == 2)
    children = parent.children()
    page = site.page()
    try:
        id_ = site.follow(page, "report.build", name="a", waits=True)
        site.wait_for(lambda: site.begun("a") == 1)
        worker.kill()
        site.let_go("a")  # the job that runs is brought to its end
        assert site.states(page, "done")[-1]["id"] == id_
        _, alive = psutil.wait_procs(children, timeout=PATIENCE)
        assert not alive
    finally:
        page.close()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
