"""What ``get_token/`` costs with many channels and groups."""

import statistics
import time

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext

from instant import permissions
from instant.models import Channel
from tests.benchmarks.timing import verdict

GROUPS = 100
CHANNELS = 10_000


def fill():
    """10,000 group channels with 3 groups each, and users in 0, 1, 10 and 100 groups."""
    groups = Group.objects.bulk_create([Group(name=f"g{n}") for n in range(GROUPS)])
    rows = Channel.objects.bulk_create(
        [Channel(name=f"$c{n:05}", level="groups") for n in range(CHANNELS)]
    )
    through = Channel.groups.through
    through.objects.bulk_create(
        [
            through(channel_id=row.pk, group_id=groups[(n * 7 + k * 31) % GROUPS].pk)
            for n, row in enumerate(rows)
            for k in range(3)
        ]
    )
    users = {}
    for count in (0, 1, 10, 100):
        users[count] = get_user_model().objects.create_user(f"in{count}", password=None)
        users[count].groups.set(groups[:count])
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE" if connection.vendor != "mysql" else "ANALYZE TABLE instant_channel"
        )
    return users


def reference(user):
    """Two queries: by level, and by group."""
    by_level = Channel.objects.filter(is_active=True, level__in=["public", "users"])
    matching = Channel.groups.through.objects.filter(group__in=user.groups.all()).values(
        "channel_id"
    )
    by_group = Channel.objects.filter(Q(level="groups"), is_active=True, pk__in=matching)
    return [*by_level.values_list("name", "level"), *by_group.values_list("name", "level")]


def seconds(call, count=7):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def run():
    users = fill()
    print(f"\nget_token/, {CHANNELS:,} group channels, {connection.vendor}")
    client = Client()
    for count, user in users.items():
        client.force_login(user)
        client.get("/instant/get_token/")
        with CaptureQueriesContext(
            connection,
        ) as captured:
            response = client.get("/instant/get_token/")
        queries = len(captured)  # now: the next request empties the log
        names = [channel["name"] for channel in response.json()["channels"]]
        ours = seconds(lambda user=user: permissions.grants_after(user, "", 128))
        theirs = seconds(lambda user=user: reference(user))
        whole = seconds(lambda: client.get("/instant/get_token/"))
        print(
            f"  user in {count:3} groups: {queries} queries, {len(names):3} channels, "
            f"{len(response.content) / 1000:6.1f} kB, SQL {ours * 1000:6.1f} ms "
            f"(two-query reference {theirs * 1000:6.1f} ms), request {whole * 1000:6.1f} ms"
        )
        if count in (0, 100):
            verdict(f"no duplicate among {len(names)}", len(names) == len(set(names)))
            verdict(f"≤ 4 queries ({queries})", queries <= 4)
            verdict(
                f"reply ≤ 200 kB ({len(response.content):,} B)", len(response.content) <= 200_000
            )
            verdict(f"SQL ≤ 2 × the reference ({ours / theirs:.2f})", ours <= 2 * theirs)
    with CaptureQueriesContext(connection) as captured:
        permissions.grants_after(users[0], "", 128)
    sql = captured[-1]["sql"]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}")
        plan = [str(row[-1]) for row in cursor.fetchall()]
    scans = [s for s in plan if s.startswith("SCAN instant") or "Seq Scan on instant_channel " in s]
    verdict(f"no full scan for a user without groups ({len(scans)} in the plan)", not scans)
