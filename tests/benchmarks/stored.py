"""Stored messages, with 10,000 of them and 200 readers: what it costs to ask, to acknowledge and to publish."""

import tempfile
import time
import uuid

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from instant import publish
from instant.messages import acknowledge, notify, outstanding, unread
from instant.models import Acknowledgement, Channel, Message
from tests.benchmarks.timing import verdict

MESSAGES, READERS, CHANNELS = 10_000, 200, 50
LIMIT = 50
"""Milliseconds at most on PostgreSQL."""

INSTANT = {"DIR": tempfile.gettempdir(), "BACKEND": "instant.backends.locmem.LocmemBackend"}
STORES = {**INSTANT, "STORE": {"MESSAGES": "store"}}
ADMIN = "/admin/instant"

_BORDERS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
"""Of transactions; they are no queries."""


def run():
    """Measure on the database of the settings."""
    site = {"CENTRIFUGO_HMAC_KEY": "x" * 32, "CENTRIFUGO_API_KEY": "x" * 32}
    with override_settings(ALLOWED_HOSTS=["testserver"], **site, INSTANT=STORES):
        measure(connection.vendor)


def measure(vendor):
    reader, rows = people()
    asked = questions(reader, rows[0].name)
    fill(rows, MESSAGES // 10)
    few = {name: queries(call) for name, call in asked.items()}
    fill(rows, MESSAGES)
    many = {name: queries(call) for name, call in asked.items()}
    found = {name: least_of(call) for name, call in asked.items()}
    print(f"\n{MESSAGES:,} stored messages, {READERS} readers ({vendor})")
    for name, ms in found.items():
        print(f"  {name:<45} {many[name]:3} queries  {ms:8.2f} ms")
    verdict("as many queries with 1,000 messages as with 10,000", few == many)
    if vendor == "postgresql":
        slowest = max(found, key=found.get)
        verdict(f"{found[slowest]:.1f} ms for {slowest} (at most {LIMIT})", found[slowest] <= LIMIT)
    writing(reader, rows[0].name)


def people():
    """Make readers, who are members or in a group, and channels."""
    user = get_user_model()
    user.objects.create_superuser("root", "root@site.example", "x")
    user.objects.bulk_create(user(username=f"reader{n:03}") for n in range(READERS))
    readers = list(user.objects.filter(username__startswith="reader"))
    group = Group.objects.create(name="readers")
    group.user_set.set(readers[: READERS // 2])
    rows = Channel.objects.bulk_create(
        Channel(name=f"$c{n:02}", level="groups", answers_pings=True) for n in range(CHANNELS)
    )
    for row in rows:
        row.groups.add(group)
        row.members.set(readers[READERS // 2 :])
    return readers[-1], rows


def fill(rows, count):
    """Let there be so many messages, half of them in one channel; each reader has dealt with a tenth."""
    Message.objects.all().delete()
    body = '{"channel":"x","site":"bench","message":"Hello","data":{"n":1},"id":"x"}'
    Message.objects.bulk_create(
        (
            Message(uuid=uuid.uuid4(), channel=row.name, row=row, content=body)
            for n in range(count)
            for row in [rows[0] if n % 2 else rows[1 + n // 2 % (CHANNELS - 1)]]
        ),
        batch_size=1000,
    )
    acknowledged, message, user = (
        model._meta.db_table for model in (Acknowledgement, Message, get_user_model())
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {acknowledged} (message_id, user_id, created_at) "
            f"SELECT m.id, u.id, m.created_at FROM {message} m, {user} u "
            f"WHERE u.username LIKE 'reader%%' AND (m.id + u.id) %% 10 = 0",
            [],
        )
        # As PostgreSQL does by itself, some time later; what isn't on the disk yet is not counted as seen by all.
        if connection.vendor == "postgresql":
            cursor.execute("CHECKPOINT")
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def questions(reader, channel):
    client = Client()
    client.force_login(get_user_model().objects.get(username="root"))

    def page(name):
        def get():
            assert client.get(f"{ADMIN}/{name}/").status_code == 200

        return get

    def middle():
        half = Message.objects.order_by("pk").values_list("pk", flat=True)[MESSAGES // 20]
        return outstanding(reader, after=half)

    notify(reader, "Hello")
    return {
        "outstanding(user), the first 100": lambda: outstanding(reader),
        "… from the middle on": middle,
        "… of one channel": lambda: outstanding(reader, channel),
        "… 1,000 at once": lambda: outstanding(reader, limit=1000),
        "unread(user)": lambda: unread(reader),
        "the admin's list of channels": page("channel"),
        "the admin's list of messages": page("message"),
    }


def writing(reader, channel):
    ids = iter([one.uuid for one in outstanding(reader, channel, limit=1000)])

    def acknowledged():
        assert len(acknowledge(reader, [next(ids) for _ in range(20)])) == 20

    def published():
        publish(channel, "x")

    for name, call in (("acknowledge() of 20", acknowledged), ("publish()", published)):
        count = queries(call)
        print(f"  {name:<45} {count:3} queries  {least_of(call, 20):8.2f} ms")
    verdict(f"publish() to {READERS} readers takes {count} queries (at most 3)", count <= 3)
    with override_settings(INSTANT=INSTANT):
        none = queries(published)
        ms = least_of(published, 200)
    verdict(f"a site that stores nothing: {none} queries, {ms:.3f} ms (at most 0)", none == 0)
    before = Channel.objects.filter(name=channel)
    before.update(store="cacheall")
    start = time.perf_counter()
    acknowledge(reader, [one.uuid for one in outstanding(reader, channel, limit=20)])
    ms = (time.perf_counter() - start) * 1000
    print(f"  {'acknowledge() of 20, until every reader did':<45}              {ms:8.2f} ms")


def least_of(call, count=40):
    """Return the least time of a call in ms: what it takes where nobody else wants the processor."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def queries(call):
    with CaptureQueriesContext(connection) as caught:
        call()
    return len([q for q in caught.captured_queries if not q["sql"].startswith(_BORDERS)])
