"""The system checks about queues."""

from types import SimpleNamespace

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from instant import on_rpc
from instant.checks import queues

pytestmark = pytest.mark.usefixtures("registry")


def found(*, tasks=None, **jobs):
    more = {} if tasks is None else {"TASKS": {"default": tasks}}
    instant = {"DIR": "/x", "PROXY_URL": "http://127.0.0.1:8000", "JOBS": jobs}
    with override_settings(INSTANT=instant, **more):
        return [m for m in run_checks() if (m.id or "").startswith("instant.")]


def ids(**more):
    return [message.id for message in found(**more)]


@pytest.fixture
def used():
    on_rpc("x", queue="bulk")(lambda call: None)


def test_without_a_queue_nothing_is_asked():
    on_rpc("x")(lambda call: None)
    assert ids() == []
    assert ids(RUNNER="celery") == []


def test_w021_nothing_is_said(used):
    [message] = found()
    assert message.id == "instant.W021"
    assert "'bulk'" in message.msg
    assert "manage.py runjobs" in message.hint
    assert ids(RUNNER="runjobs") == []


def test_e014_no_celery(used, monkeypatch):
    monkeypatch.setattr(queues, "find_spec", lambda name: None)
    [message] = found(RUNNER="celery")
    assert message.id == "instant.E014"
    assert "django-instant[celery]" in message.hint


def test_celery(used, monkeypatch):
    options = SimpleNamespace(
        broker_url=None, worker_prefetch_multiplier=4, broker_transport_options={}
    )

    def with_options(**changed):
        vars(options).update(changed)
        return found(RUNNER="celery")

    app = SimpleNamespace(current_app=SimpleNamespace(conf=options))
    monkeypatch.setattr(queues, "import_module", lambda name: app)
    [message] = with_options()
    assert (message.id, "broker_url" in message.hint) == ("instant.E014", True)
    [message] = with_options(broker_url="redis://127.0.0.1/0")
    assert message.id == "instant.W021"
    assert "worker_prefetch_multiplier is 4" in message.msg
    assert "queue_order_strategy is 'round_robin'" in message.msg
    in_order = {"queue_order_strategy": "priority"}
    assert with_options(worker_prefetch_multiplier=1, broker_transport_options=in_order) == []
    assert with_options(broker_url="amqp://", broker_transport_options={}) == []


def test_e014_tasks(used, monkeypatch):
    database = "django_tasks_db.DatabaseBackend"
    right = {"BACKEND": database, "QUEUES": ["default", "bulk"]}
    assert ids(RUNNER="tasks", tasks=right) == []
    assert ids(RUNNER="tasks", tasks={"BACKEND": database, "QUEUES": []}) == []
    [message] = found(RUNNER="tasks", tasks={"BACKEND": database})
    assert "takes no tasks for 'bulk'" in message.msg
    assert "['bulk', 'default']" in message.hint
    [message] = found(RUNNER="tasks", BACKEND="other", tasks=right)
    assert "TASKS['other'] isn't there" in message.msg
    for name in ("immediate.ImmediateBackend", "dummy.DummyBackend"):
        [message] = found(RUNNER="tasks", tasks={"BACKEND": f"django_tasks.backends.{name}"})
        assert (message.id, name.partition(".")[2] in message.msg) == ("instant.E014", True)
    monkeypatch.setattr(queues, "find_spec", lambda name: None)
    [message] = found(RUNNER="tasks", tasks=right)
    assert "aren't there" in message.msg


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ({"X": 1}, "unknown key 'X'"),
        ({"RUNNER": "rq"}, "'RUNNER' must be one of"),
        ({"LEASE": 0}, "'LEASE' must be a whole number"),
        ({"ATTEMPTS": True}, "'ATTEMPTS' must be a whole number"),
        ({"KEEP": "1d"}, "'KEEP' must be a whole number"),
        ({"BACKEND": ""}, "'BACKEND' must be a name"),
        ([], "must be a dict"),
    ],
)
def test_e001_wrong_settings(jobs, said):
    with override_settings(INSTANT={"DIR": "/x", "JOBS": jobs}):
        [message] = [m for m in run_checks() if m.id == "instant.E001"]
    assert said in message.msg
