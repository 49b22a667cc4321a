"""What a change takes where pages follow a list of 3,000 rows: Django, database and server together."""

import os
import random
import tempfile
import time
from pathlib import Path

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection

from instant.broadcasts import broadcasts
from instant.pages.lists import channel, fetching
from instant.pages.lists.showing import show
from tests.benchmarks.timing import table, verdict
from tests.live.servers import LiveServer, use

ROWS, CHANGES, A_SECOND = 3000, 400, 50
VIEWERS = 10


def run():
    """Change rows one by one, on a list that nobody and that ten pages follow."""
    user = get_user_model().objects.create(username="bench")
    LogEntry.objects.bulk_create(
        LogEntry(user=user, object_repr=f"{number:05}", action_flag=1) for number in range(ROWS)
    )
    entries = list(LogEntry.objects.all())
    with tempfile.TemporaryDirectory() as folder:
        live = LiveServer("embedded", Path(folder), http_api={"key": "key"}, channel=NAMESPACES)
        live.start()
        try:
            with use(live):
                measure(user, entries, live.process.pid)
        finally:
            live.kill()


NAMESPACES = {
    "namespaces": [
        {"name": "instant.list", "history_size": 300, "history_ttl": "300s", "presence": True}
    ]
}


def taken(*processes):
    """Return the seconds of a core that we and other processes have had; only Linux says it of others."""
    found = time.process_time()
    for pid in processes:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        found += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return found


def measure(user, entries, server):
    processes = [server]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            processes.append(cursor.fetchone()[0])
    chance = random.Random(1)

    def change():
        """Let one leave or come back, move or change."""
        entry = chance.choice(entries)
        what = chance.randrange(3)
        if what == 0:
            entry.action_flag = 3 - entry.action_flag
        elif what == 1:
            entry.object_repr = f"{chance.randrange(10**5):05}"
        entry.save()
        return str(entry.pk)

    def each(once):
        began = taken(*processes)
        for _ in range(CHANGES):
            once()
        return (taken(*processes) - began) * 1000 / CHANGES

    found = {"save()": each(change)}
    broadcasts(LogEntry)(type("Options", (), {"lists": True}))
    channel.connect()
    found["of a model that lists follow, and none is there"] = each(change)
    queryset = LogEntry.objects.filter(action_flag=1).values("object_repr").order_by("object_repr")
    reference = show(queryset, {}, user=user, request=None).reference
    followed = f"of a list of {ROWS:,} rows"
    found[followed] = each(change)
    found[f"{followed}, and {VIEWERS} pages ask for the row"] = each(
        lambda: [
            fetching.rows_of(None, user, reference, [key])
            for key in [change()]
            for _ in range(VIEWERS)
        ]
    )
    table(f"A core's time for one change, of all processes, {connection.vendor}", found, "save()")
    share = found[followed] * A_SECOND / 1000
    verdict(f"with {A_SECOND} changes a second under one core ({share:.2f})", share < 1)
