"""Histories in a file: what was answered is there after the server's death."""

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import threading
import urllib.request

import pytest
from websockets.sync.client import connect

from instant.embedded import EmbeddedServer
from instant.embedded.errors import HistoryFileError
from instant.embedded.state.history_file import HistoryFile
from instant.embedded.state.streams import MOST_UNUSED
from tests.conformance.player import token
from tests.embedded.fakes import CONFIG, HISTORY
from tests.interpreters import Python

pytestmark = [pytest.mark.slow, pytest.mark.timed]  # starts processes

DATA_CONFIG = {
    **CONFIG,
    "channel": {
        "namespaces": [
            {"name": "open", "allow_subscribe_for_client": True, **HISTORY, "history_size": 100_000},
            {"name": "small", "allow_subscribe_for_client": True, **HISTORY, "history_size": 3},
            {"name": "brief", "allow_subscribe_for_client": True, **HISTORY, "history_ttl": "1s", "history_meta_ttl": "2s"},
        ]
    },
    "client": {**CONFIG["client"], "recovery_max_publication_limit": -1},
}  # fmt: skip


class Running:
    """A server process on a history file."""

    def __init__(self, folder):
        self.config = folder / "config.json"
        self.config.write_text(json.dumps(DATA_CONFIG))
        self.data = folder / "history.db"
        self.process = None

    def start(self):
        self.process = Python(
            ["-m", "instant.embedded", "-c", self.config, "--address", "127.0.0.1", "--port", "0", "--data", self.data],
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        for line in self.process.stderr:
            if "listening on" in line:
                self.port = int(line.rpartition(":")[2])
                return self
        raise AssertionError("it did not start")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()

    def api(self, method, **body):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{method}",
            json.dumps(body).encode(),
            {"X-API-Key": "key"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["result"]

    def subscribe(self, channel, **since):
        """Return the subscribe result of a client that was there before."""
        url = f"ws://127.0.0.1:{self.port}/connection/websocket"
        with connect(url, compression=None, max_size=None) as socket:
            socket.send(json.dumps({"id": 1, "connect": {"token": token({"sub": "1"})}}))
            socket.recv()
            recover = {"recover": True, **since} if since else {}
            socket.send(json.dumps({"id": 2, "subscribe": {"channel": channel, **recover}}))
            return json.loads(socket.recv())["subscribe"]


@pytest.fixture
def running(tmp_path):
    server = Running(tmp_path)
    yield server.start()
    server.kill()


def publish_until_it_dies(server, number, answered):
    """Publish one after the other over one connection; note what each was answered."""
    at = 0
    while True:
        at += 1
        value = f"{number}-{at}"
        try:
            result = server.api(
                "publish", channel="open:1", data=value, idempotency_key=value, tags={"n": value}
            )
        except (OSError, ValueError):
            return
        answered[value] = result["offset"], result["epoch"]


def test_kill_in_the_middle_of_a_stream_of_publishes(running):
    epoch = running.subscribe("open:1")["epoch"]
    answered = {}
    threads = [
        threading.Thread(target=publish_until_it_dies, args=(running, number, answered))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    while len(answered) < 300 and any(thread.is_alive() for thread in threads):
        threads[0].join(0.01)
    running.kill()
    for thread in threads:
        thread.join()
    assert len(answered) >= 300
    running.start()
    result = running.subscribe("open:1", offset=0, epoch=epoch)
    assert (result["recovered"], result["epoch"]) == (True, epoch)
    publications = result["publications"]
    offsets = [publication["offset"] for publication in publications]
    assert offsets == list(range(1, len(offsets) + 1))
    recovered = {publication["data"]: publication["offset"] for publication in publications}
    assert len(recovered) == len(publications), "none doubled"
    for value, (offset, its_epoch) in answered.items():
        assert (recovered[value], its_epoch) == (offset, epoch)
    # A publisher that was not answered asks again; one that was is answered the same again.
    value, (offset, _) = next(iter(answered.items()))
    again = running.api("publish", channel="open:1", data=value, idempotency_key=value)
    assert again["offset"] == offset


def test_a_subscriber_is_never_told_what_a_crash_forgets(running):
    url = f"ws://127.0.0.1:{running.port}/connection/websocket"
    with connect(url, compression=None, max_size=None) as socket:
        socket.send(json.dumps({"id": 1, "connect": {"token": token({"sub": "1"})}}))
        socket.recv()
        socket.send(json.dumps({"id": 2, "subscribe": {"channel": "open:1"}}))
        epoch = json.loads(socket.recv())["subscribe"]["epoch"]
        threads = [
            threading.Thread(target=publish_until_it_dies, args=(running, number, {}))
            for number in range(2)
        ]
        for thread in threads:
            thread.start()
        seen = {}
        while len(seen) < 100:
            for line in socket.recv(timeout=60).splitlines():
                if "push" in line:
                    pub = json.loads(line)["push"]["pub"]
                    seen[pub["offset"]] = pub["data"]
        running.kill()
        try:
            while True:
                for line in socket.recv(timeout=60).splitlines():
                    pub = json.loads(line)["push"]["pub"]
                    seen[pub["offset"]] = pub["data"]
        except Exception:
            pass
    for thread in threads:
        thread.join()
    running.start()
    kept = running.subscribe("open:1", offset=0, epoch=epoch)["publications"]
    known = {publication["offset"]: publication["data"] for publication in kept}
    assert {offset: known.get(offset) for offset in seen} == seen


def test_a_restart_keeps_everything_about_a_stream(running):
    for number in range(5):
        running.api("publish", channel="small:1", data={"n": number, "x": 1.10}, version=7 + number)
    before = running.api("history", channel="small:1", limit=-1)
    running.process.send_signal(signal.SIGTERM)
    running.process.wait()
    running.process.stderr.close()
    running.start()
    assert running.api("history", channel="small:1", limit=-1) == before
    assert [item["offset"] for item in before["publications"]] == [3, 4, 5]
    # An old version stays old.
    running.api("publish", channel="small:1", data=0, version=11)
    assert running.api("history", channel="small:1", limit=0)["offset"] == 5
    assert running.api("publish", channel="small:1", data=0, version=12)["offset"] == 6
    running.api("history_remove", channel="small:1")
    running.kill()
    running.start()
    emptied = running.api("history", channel="small:1", limit=-1)
    assert (emptied["publications"], emptied["offset"]) == ([], 6)
    assert emptied["epoch"] == before["epoch"]


def opened(path):
    async def serve():
        server = EmbeddedServer(DATA_CONFIG, variables={}, data=path)
        try:
            await server.start("127.0.0.1", 0)
        finally:
            await server.stop()

    asyncio.run(serve())


def test_two_processes_on_one_file(running):
    with pytest.raises(
        HistoryFileError, match="history.db: another process uses this history file"
    ):
        opened(running.data)
    assert running.api("publish", channel="open:1", data=1)["offset"] == 1


def test_files_that_are_none_of_ours(tmp_path):
    path = tmp_path / "other.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(HistoryFileError, match=r"other\.db: can't be used as a history file"):
        opened(path)
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (id)")
    database.close()
    with pytest.raises(HistoryFileError, match=r"other\.db: is a database of another program"):
        opened(path)
    with pytest.raises(HistoryFileError, match="No such file or directory"):
        opened(tmp_path / "nowhere" / "x.db")
    HistoryFile(tmp_path / "new.db").close()
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(tmp_path / "new.db") as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(HistoryFileError, match=r"new\.db: was written by another version"):
        opened(tmp_path / "new.db")


def test_a_damaged_file_is_named(tmp_path, running):
    for number in range(400):
        running.api("publish", channel="open:1", data="x" * 300 + str(number))
    running.process.send_signal(signal.SIGTERM)
    running.process.wait()
    running.process.stderr.close()
    content = bytearray(running.data.read_bytes())
    content[5000:] = bytes(len(content) - 5000)
    running.data.write_bytes(content)
    with pytest.raises(HistoryFileError, match=r"history\.db: .*Move it away"):
        opened(running.data)
    running.data.unlink()
    running.start()


class Times:
    """Both clocks of a server, moved by a test."""

    def __init__(self, start):
        self.passed = start

    def now(self):
        return 1_000_000_000 + self.passed

    def monotonic(self):
        # Another process has another origin.
        return self.passed - 500


@pytest.mark.parametrize(
    ("away", "publications", "same_epoch"), [(0.5, 1, True), (1.5, 0, True), (2.5, 0, False)]
)
async def test_times_of_life_pass_while_the_server_is_away(
    tmp_path, away, publications, same_epoch
):
    positions = []
    for start in (0, away):
        server = EmbeddedServer(DATA_CONFIG, variables={}, data=tmp_path / "h.db")
        clock = Times(start)
        server.broker.clock = clock
        server.broker.streams._now = clock.monotonic
        await server.start("127.0.0.1", 0)
        if start == 0:
            options = server.broker.names.options("brief:1")
            server.broker.publish("brief:1", "1", options, key="k")
        stream = server.broker.streams.get("brief:1", 2)
        positions.append((stream.epoch, len(stream.items)))
        assert server.broker.streams.find_key("brief:1", "k")
        await server.stop()
    assert positions[1][1] == publications
    assert (positions[0][0] == positions[1][0]) is same_epoch


async def test_a_file_that_can_not_be_written_any_more(tmp_path, monkeypatch):
    stopped = asyncio.Event()
    server = EmbeddedServer(DATA_CONFIG, variables={}, data=tmp_path / "h.db", failed=stopped.set)
    await server.start("127.0.0.1", 0)

    def full(*args):
        raise HistoryFileError("disk full")

    monkeypatch.setattr(HistoryFile, "write", full)
    server.broker.publish("open:1", "1", server.broker.names.options("open:1"))
    waiting = asyncio.create_task(server.history_writer.written())
    await asyncio.wait_for(stopped.wait(), 60)
    assert not waiting.done(), "nothing is answered that isn't written"
    waiting.cancel()
    await server.stop()


async def test_looking_at_channels_fills_no_file(tmp_path):
    path = tmp_path / "history.db"
    for names in ("a", "b"):
        server = EmbeddedServer(DATA_CONFIG, variables={}, data=path)
        await server.start("127.0.0.1", 0)
        for number in range(MOST_UNUSED + 2000):
            server.broker.history(f"open:{names}{number}", 0, 600)
        await server.stop()
        with contextlib.closing(sqlite3.connect(path)) as database:
            ((kept,),) = database.execute("SELECT count(*) FROM stream")
        assert kept == len(server.broker.streams) == MOST_UNUSED
