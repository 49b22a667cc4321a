"""
A request from page to worker and back, compared with a publish and its receipt; and many workers.

Worker, web server, message server and page are processes of their own, the database is a file of
SQLite, and PostgreSQL where it is installed.
"""

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from instant import publish
from instant.rights.tokens import Signer
from tests.benchmarks.calls import User
from tests.benchmarks.timing import median_of, rounds, table, verdict
from tests.cluster import Cluster, programs
from tests.live.jobs_site import JobsSite
from tests.live.servers import use
from tests.real_server import BINARY

COUNT, TIMES = 50, 5
MORE = """
DATABASES["default"]["CONN_MAX_AGE"] = 60
INSTANT["CALLS"] = "1000/1s"
"""
BASE = "a publish and its receipt"
PYTHON = "Python's request() and its answer"
PAGE = "a page's request and its answer"
MOST = 3
"""How much a request may take, compared with a publish that is received."""
LEAST = 3.2
"""How much faster four workers are than one, on work that sleeps."""

ASK = """
import statistics, sys, time
from instant import request
def once():
    began = time.perf_counter()
    request("nothing")
    return time.perf_counter() - began
for _ in sys.stdin:
    times = [once() for _ in range({count})]
    print(statistics.median(times) * 1000, min(times) * 1000, flush=True)
"""

COMMITS = """
import statistics, time
from django.db import connection
cursor = connection.cursor()
cursor.execute("CREATE TABLE bare (t text)")
def three():
    began = time.perf_counter()
    for _ in range(3):
        cursor.execute("INSERT INTO bare (t) VALUES ('x')")
    return time.perf_counter() - began
three()
print(statistics.median(three() for _ in range({count})) * 1000, flush=True)
"""

MANY = """
import sys, threading, time
from django.db import connections
from instant import request
together = threading.Barrier(41)
def ask():
    connections["default"].ensure_connection()  # forty of them take longer than a worker's sleep
    together.wait()
    try:
        request("sleep", timeout=60)
    finally:
        together.wait()
        connections.close_all()
request("sleep")
threads = [threading.Thread(target=ask) for _ in range(40)]
for thread in threads: thread.start()
together.wait()
began = time.perf_counter()
together.wait()
print(time.perf_counter() - began, flush=True)
for thread in threads: thread.join()
"""


def run():
    """Measure on the embedded server, and on Centrifugo where it is there; on both databases."""
    found = programs()
    for kind in ["embedded", *(["centrifugo"] if BINARY else [])]:
        with tempfile.TemporaryDirectory() as folder:
            measure(kind, "sqlite", Path(folder), None)
        if found is not None:
            with tempfile.TemporaryDirectory() as folder, Cluster(found) as cluster:
                measure(kind, "postgresql", Path(folder), cluster)


def measure(kind, database, folder, cluster):
    site = JobsSite(kind, database, folder, cluster, more=MORE)
    try:
        if kind == "centrifugo":
            site.env["CENTRIFUGO_BIN"] = BINARY
        site.server.start()
        serve(site)
        worker = site.answering(name="nothing")
        commits = float(site.shell(COMMITS.format(count=COUNT)).split()[-1])
        python = asker(site)
        page = site.page()

        def received():
            publish("$bench", data=1)
            page.publications(1)

        followed, fastest = [], {}

        def median(name, times):
            fastest[name] = min(*times, fastest.get(name, times[0]))
            return statistics.median(times)

        def timed(name, call):
            return median(name, [median_of(call, 1) for _ in range(COUNT)])

        def asked():
            followed.append(site.follow(page, "instant.request", name="nothing"))
            site.states(page, "done")

        def asking():
            while followed:  # a connection may have so many subscriptions
                page.ask(unsubscribe={"channel": f"ticket:{followed.pop()}"})
            return timed(PAGE, asked)

        def asking_python():
            python.stdin.write("\n")
            python.stdin.flush()
            time_of_one, least = map(float, python.stdout.readline().split())
            return median(PYTHON, [time_of_one, least, time_of_one])

        measures = {
            BASE: lambda: timed(BASE, received),
            PYTHON: asking_python,
            PAGE: asking,
        }
        with use(site.server):
            token = Signer(User(1)).channel_token("$bench").value
            assert "subscribe" in page.subscribe("$bench", token)
            times = rounds(measures, count=TIMES)
        worker.terminate()
        floor = commits + 2 * times[BASE]
        text = f"three commits and two hops: {floor:.3f} ms, {floor / times[BASE]:.2f} ×"
        table(f"A request ({kind}, {database})", times, BASE, [text])
        table("The fastest of them", fastest, BASE)
        slowest = max(times.values()) / times[BASE]
        verdict(f"at most {MOST} × a publish that is received ({slowest:.2f} ×)", slowest <= MOST)
        alone, four = many(site, 1), many(site, 4)
        print(
            f"  40 requests that sleep 50 ms: {alone:.2f} s with one worker, {four:.2f} s with four"
        )
        verdict(f"four are {LEAST} × one ({alone / four:.2f} ×)", alone / four >= LEAST)
    finally:
        site.close()


def asker(site):
    """Start a process that asks so often for each line, and says how long one took."""
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "shell", "-v0", "-c", ASK.format(count=COUNT)],
        env=site.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    site.running.append(process)
    return process


def serve(site):
    """Start gunicorn: runserver sends an answer in two pieces, for which TCP waits 40 ms."""
    site.web = subprocess.Popen(
        [
            sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{site.web_port}", "--threads", "4",
            "--keep-alive", "60", "--log-level", "error", "django.core.wsgi:get_wsgi_application()",
        ],
        env=site.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    site.running.append(site.web)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", site.web_port), 1).close()
            return
        time.sleep(0.05)
    raise RuntimeError("gunicorn does not listen")


def many(site, count):
    workers = [site.answering(name="sleep") for _ in range(count)]
    found = float(site.shell(MANY).split()[-1])
    for worker in workers:
        worker.terminate()
        worker.wait()
    return found
