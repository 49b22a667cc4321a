"""The peers, each in an environment of its own, as processes that measure when asked."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.timing import Process
from tests.ports import free_port

ENVIRONMENTS = Path(__file__).parent.parent.parent / ".bench"

OLD = """
import statistics, sys, time
from django.conf import settings
port = int(sys.argv[1])
settings.configure(
    CENTRIFUGO_HOST="http://127.0.0.1", CENTRIFUGO_PORT=port, CENTRIFUGO_HMAC_KEY="k",
    CENTRIFUGO_API_KEY="k", SITE_NAME="Tests", INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "instant"],
)
import django; django.setup()
from instant.producers import publish
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.perf_counter()
        publish("public", "x" * 20)
        times.append(time.perf_counter() - start)
    print(statistics.median(times) * 1000, flush=True)
"""

CHANNELS = """
import statistics, sys, time
from django.conf import settings
settings.configure(CHANNEL_LAYERS={"default": {
    "BACKEND": "channels_redis.core.RedisChannelLayer",
    "CONFIG": {"hosts": [("127.0.0.1", int(sys.argv[1]))]}}})
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
layer = get_channel_layer()
async_to_sync(layer.group_add)("public", "specific.one!two")
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.perf_counter()
        async_to_sync(layer.group_send)("public", {"type": "m", "message": "x" * 20})
        times.append(time.perf_counter() - start)
    print(statistics.median(times) * 1000, flush=True)
"""


def environment(name, *requirements):
    """Return the Python of a virtual environment with the requirements in it."""
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"Setting up {folder} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements],
            check=True,
        )
        (folder / "ready").touch()
    return python


def old(port):
    """django-instant 4.2.0, which needs the cent before its rewrite."""
    python = environment("old", "django-instant==4.2.0", "cent<5", "django<5.3")
    return Process(str(python), "-I", "-c", OLD, str(port), core=1)


def channels_python():
    """Return the Python that has Channels with channels_redis (redis-py 8 breaks it)."""
    return environment(
        "channels", "channels", "channels-redis", "redis<8", "django<5.3", "uvicorn", "websockets"
    )


def redis():
    """Start a Redis server, if there is one; returns the process and its port."""
    program = shutil.which("redis-server")
    if program is None:
        return None, 0
    port = free_port()
    server = Process(
        program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        core=0,
    )  # fmt: skip
    while "Ready to accept" not in server.process.stdout.readline():
        if server.process.poll() is not None:
            raise RuntimeError("redis-server did not start")
    return server, port


def channels():
    """Return a Redis server and a process that measures group_send through it, or nothing."""
    server, port = redis()
    if server is None:
        return None, None
    return server, Process(str(channels_python()), "-I", "-c", CHANNELS, str(port), core=1)
