"""Lists of log entries, and a page that follows one as its script does."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser

from instant.broadcasting import receivers as broadcasting
from instant.broadcasts import broadcasts
from instant.pages.lists import channel, fetching, following
from instant.pages.lists.showing import show
from instant.testing import capture_publications
from tests.pages.lists.test_ops import applied
from tests.tenancy.conftest import tenants  # noqa: F401  a fixture


def declare(model=LogEntry, **options):
    broadcasts(model)(type("Options", (), {"lists": True, **options}))
    broadcasting.connect()
    channel.connect()


@pytest.fixture
def followed(registry, monkeypatch):
    """Log entries are followed, and nothing else."""
    monkeypatch.setattr(following, "_labels", {})
    monkeypatch.setattr(following, "_declared", {})
    declare()


@pytest.fixture
def sent(transactional_db):
    with capture_publications() as found:
        yield found


@pytest.fixture
def ann(transactional_db):
    return get_user_model().objects.create(username="ann")


@pytest.fixture
def make(ann):
    def entry(name="x", flag=1, user=None):
        return LogEntry.objects.create(user=user or ann, object_repr=name, action_flag=flag)

    return entry


class Page:
    """What a page's script does: it draws what it was given, and what it is told."""

    def __init__(self, queryset, sent, user=None):
        self.user = user or AnonymousUser()
        self.sent, self.seen = sent, len(sent)
        self.shown = show(queryset, {}, user=self.user, request=None)
        state = self.shown.state["data"]
        self.rows, self.version = dict(self.shown.rows), state["v"]
        self.keys = list(state.get("keys", self.rows))
        self.asked = 0

    def follow(self):
        """Take what was published since."""
        for publication in self.sent[self.seen :]:
            if publication.channel == self.shown.channel:
                self._take(publication.payload["data"])
        self.seen = len(self.sent)
        return self

    def _take(self, data):
        if data["v"] <= self.version:
            return
        assert data["v"] == self.version + 1, "a gap"
        self.version = data["v"]
        if "reset" in data:
            self._begin_anew()
            return
        self.keys = applied(self.keys, data["ops"])
        for op in data["ops"]:
            if op["op"] == "leave":
                self.rows.pop(op["key"], None)
        self._fetch([op["key"] for op in data["ops"] if op["op"] != "leave"])

    def _begin_anew(self):
        digest = self.shown.channel.partition(":")[2]
        state = channel.ListChannel().snapshot(self.user, digest=digest)
        self.version, self.keys = state["v"], state["keys"]
        self._fetch(self.keys)

    def _fetch(self, keys):
        self.asked += 1
        found = fetching.rows_of(None, self.user, self.shown.reference, keys)
        self.rows.update(found["rows"])
        for key in found["gone"]:
            self.rows.pop(key, None)

    @property
    def drawn(self):
        return [self.rows[key] for key in self.keys if key in self.rows]


@pytest.fixture
def follow(followed, sent):
    return lambda queryset, user=None: Page(queryset, sent, user)
