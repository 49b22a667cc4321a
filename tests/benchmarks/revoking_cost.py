"""What a change costs the request that makes it, with rules that ask the database."""

import contextlib
import resource
import statistics
import tempfile
import time
from pathlib import Path

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import signals
from django.test.utils import CaptureQueriesContext

from instant import Namespace, namespaces
from instant.revoking.receivers import depends_on
from instant.rights.tokens import Signer
from tests.benchmarks.timing import pin, verdict
from tests.live.servers import BINARY, LiveServer, use
from tests.live.subscriber import Subscriber

ROUNDS = 30
DELETIONS = 5
VIEWERS = (0, 40, 2000)
DELETED_USERS, DELETED_ROWS = 10_000, 6_000
CONFIG = {
    "channel": {"namespaces": [{"name": "order", "presence": True}]},
    "client": {"ping_interval": "3600s"},  # these pages answer none
}


class Order(Namespace, abstract=True):
    """A content type stands for an order; whoever is in the group “buyers” may see it."""

    name = "order"
    pattern = "<int:pk>"
    depends_on = {"contenttypes.ContentType": lambda order: {"pk": order.pk}}

    def can_subscribe(self, user, pk):
        return user.groups.filter(name="buyers").exists()

    def can_subscribe_users(self, users, pk):
        keys = [user.pk for user in users]
        found = get_user_model().objects.filter(pk__in=keys, groups__name="buyers")
        inside = set(found.values_list("pk", flat=True))
        return [user.pk in inside for user in users]


@contextlib.contextmanager
def many_files():
    """2,000 pages are 2,000 sockets, here and in the server."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def without():
    """Be a site that never heard of Instant: nothing of it listens to any model."""
    sent = (signals.pre_save, signals.post_save, signals.pre_delete, signals.post_delete)
    before = [signal.receivers for signal in sent]
    for signal in sent:
        signal.receivers = [r for r in before[sent.index(signal)] if "instant." not in str(r[0][0])]
        signal.sender_receivers_cache.clear()
    try:
        yield
    finally:
        for signal, receivers in zip(sent, before, strict=True):
            signal.receivers = receivers
            signal.sender_receivers_cache.clear()


def run():
    name = "PostgreSQL" if connection.vendor == "postgresql" else "SQLite"
    print(f"\nWhat a change costs its request, rules that ask the database, {name}")
    with many_files():
        for kind in ["embedded", *(["centrifugo"] if BINARY else [])]:
            with tempfile.TemporaryDirectory() as folder:
                live = LiveServer(kind, Path(folder), **CONFIG)
                live.start()
                pin(live.process.pid, 0)
                try:
                    with use(live, TOKEN_USE=600):
                        print(f"  {kind}")
                        saved(live)
                finally:
                    live.kill()
    with tempfile.TemporaryDirectory() as folder:
        live = LiveServer("embedded", Path(folder), **CONFIG)
        live.start()
        try:
            deleted(live)
        finally:
            live.kill()


def measured(change):
    times, counts = [], []
    for _ in range(ROUNDS):
        with CaptureQueriesContext(connection) as caught:
            start = time.perf_counter()
            with transaction.atomic():
                change()
            times.append(time.perf_counter() - start)
        counts.append(len(caught))
    return statistics.median(counts), statistics.median(times) * 1000


def saved(live):
    """Save an order that nobody, a few and many look at."""
    namespaces._registry.append(Order)
    model, order = get_user_model(), ContentType.objects.create(app_label="bench", model="order")
    model.objects.bulk_create(model(username=f"b{n}") for n in range(VIEWERS[-1]))
    users = list(model.objects.filter(username__startswith="b"))
    group = Group.objects.create(name="buyers")
    group.user_set.through.objects.bulk_create(
        group.user_set.through(user=user, group=group) for user in users
    )
    depends_on.connect()
    pages, found = [], {}
    try:
        for viewers in VIEWERS:
            for user in users[len(pages) : viewers]:
                signer, page = Signer(user), Subscriber(live.url)
                page.connect(signer.connection_token().value)
                token = signer.channel_token(f"order:{order.pk}").value
                assert "subscribe" in page.subscribe(f"order:{order.pk}", token)
                pages.append(page)
            found[viewers] = measured(order.save)
            queries, ms = found[viewers]
            print(f"    a save with {viewers:>5} viewers  {queries:4.0f} queries  {ms:7.2f} ms")
    finally:
        for page in pages:
            page.close()
        namespaces._registry.remove(Order)
        order.delete()
        group.delete()
        model.objects.filter(username__startswith="b").delete()
    (queries, ms), (none_queries, none_ms) = found[VIEWERS[-1]], found[0]
    verdict(
        f"{queries / none_queries:.2f} × the queries (at most 1.3)", queries <= 1.3 * none_queries
    )
    verdict(f"{ms / none_ms:.2f} × the time (at most 2)", ms <= 2 * none_ms)


def deleted(live):
    """Delete many users, and many rows that a rule depends on, with Instant and without."""
    user = get_user_model()

    def users():
        user.objects.bulk_create(user(username=f"d{n}") for n in range(DELETED_USERS))
        return user.objects.filter(username__startswith="d")

    def rows():
        ContentType.objects.bulk_create(
            ContentType(app_label="gone", model=f"m{n}") for n in range(DELETED_ROWS)
        )
        return ContentType.objects.filter(app_label="gone")

    namespaces._registry.append(Order)
    depends_on.connect()
    try:
        for title, make in ((f"{DELETED_USERS} users", users), (f"{DELETED_ROWS} rows", rows)):
            times = {True: [], False: []}
            for _ in range(DELETIONS):
                for on in (True, False):
                    with use(live), contextlib.nullcontext() if on else without():
                        found = make()
                        start = time.perf_counter()
                        with transaction.atomic():
                            found.delete()
                        times[on].append(time.perf_counter() - start)
            least = {on: min(seconds) for on, seconds in times.items()}
            print(f"    {title} deleted: {least[True]:.2f} s, without Instant {least[False]:.2f} s")
            share = least[True] / least[False]
            verdict(f"{share:.2f} × the same without (at most 1.3)", share <= 1.3)
    finally:
        namespaces._registry.remove(Order)
