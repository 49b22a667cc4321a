"""The endpoints for the server: whatever comes, 200 with exactly one answer, and no by default."""

import json
import time
import uuid
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.db.models import UUIDField
from django.test import AsyncClient, Client, override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instant import Namespace
from instant.centrifugo.proxy import HEADER
from instant.views import proxy_endpoint
from tests.inbound.asking import CLIENTS
from tests.tracebacks import shown_locals

SECRET = "proxy-secret-0123456789"
DENIED = {"error": {"code": 403, "message": "permission denied"}}
ENDED = {"result": {"expired": True}}
JSON = "application/json"
KINDS = ("subscribe", "publish", "sub_refresh")
REFUSED = {"subscribe": DENIED, "publish": DENIED, "sub_refresh": ENDED}


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        yield


@pytest.fixture
def declare(registry):
    def make(name="order", **attributes):
        attributes = {"authorize": "proxy", "pattern": "<int:pk>", **attributes}
        return type(name.title(), (Namespace,), {"name": name, **attributes})

    return make


def ask(kind, user, channel="order:1", *, secret=SECRET, client=None, **more):
    """Ask as the server does; no cookie, no Origin."""
    body = {
        "client": next(CLIENTS), "transport": "websocket", "protocol": "json", "encoding": "json",
        "user": user if isinstance(user, str) else str(user.pk), "channel": channel, **more,
    }  # fmt: skip
    headers = {} if secret is None else {HEADER: secret}
    response = (client or Client(raise_request_exception=False)).post(
        f"/instant/proxy/{kind}/", json.dumps(body), content_type=JSON, headers=headers
    )
    assert response.status_code == 200
    assert response["Content-Type"] == JSON
    assert not response.cookies
    assert len(response.json()) == 1
    return response.json()


def owner(self, user, pk):
    return user.is_authenticated and user.username == "ann" and pk == 1


# Subscribing


def test_who_may_subscribe(declare, make_user):
    declare(can_subscribe=owner)
    ann, bob = make_user("ann"), make_user("bob")
    result = ask("subscribe", ann)["result"]
    assert set(result) == {"expire_at"}
    assert 3600 * 0.89 < result["expire_at"] - time.time() < 3600 * 1.11
    for user, channel in [
        (bob, "order:1"), (ann, "order:2"), ("", "order:1"), (ann, "order:01"),
        (ann, "order:x"), (ann, "nothing"), (ann, "other:1"), (ann, "$order:1"), (ann, ""),
        (ann, "order:1 "), (ann, "ö"), (ann, "order:1" + "0" * 300),
    ]:  # fmt: skip
        assert ask("subscribe", user, channel) == DENIED
        assert ask("sub_refresh", user, channel) == ENDED


def test_who_is_hidden_from_sessions_is_refused(declare, make_user):
    """A project that deletes users softly: its backend no longer returns them."""
    declare(can_subscribe=owner)
    ann = make_user("ann", last_name="deleted")
    with override_settings(AUTHENTICATION_BACKENDS=["tests.rights.test_accounts.Undeleted"]):
        for kind in KINDS:
            assert ask(kind, ann, data={}) == REFUSED[kind]
        get_user_model().objects.update(last_name="")
        assert "result" in ask("subscribe", ann)
        assert "expired" not in ask("sub_refresh", ann)["result"]


def test_anonymous_visitors_are_asked_for_too(declare):
    declare(can_subscribe=lambda self, user, pk: user.is_anonymous)
    assert "result" in ask("subscribe", "")
    assert "result" in ask("sub_refresh", "")
    with override_settings(INSTANT={"DIR": "/nonexistent", "ANONYMOUS": False}):
        assert ask("subscribe", "") == DENIED
        assert ask("sub_refresh", "") == ENDED


def test_a_life_that_the_settings_say(declare):
    declare(can_subscribe=lambda self, user, pk: True)
    with override_settings(INSTANT={"DIR": "/nonexistent", "TOKEN_LIFE": 60}):
        for kind in ("subscribe", "sub_refresh"):
            assert 50 < ask(kind, "")["result"]["expire_at"] - time.time() < 70


def test_the_info_that_others_see(declare, make_user):
    declare(
        can_subscribe=owner,
        connection_info=lambda self, user, pk: {"name": user.username, "order": pk},
    )
    for kind in ("subscribe", "sub_refresh"):
        assert ask(kind, make_user("ann"))["result"]["info"] == {"name": "ann", "order": 1}
        get_user_model().objects.all().delete()


def test_joins_are_pushed_where_a_rule_says_who_sees_them(declare, make_user):
    cls = declare(
        can_subscribe=lambda self, user, pk: True,
        can_see_presence=lambda self, user, pk: user.is_staff,
        join_leave=True,
    )
    staff, other = make_user("staff", is_staff=True), make_user("other")
    pushed = {"force_push_join_leave": {"value": True}}
    assert ask("subscribe", staff)["result"]["override"] == pushed
    assert "override" not in ask("subscribe", other)["result"]
    assert "override" not in ask("sub_refresh", staff)["result"]
    cls.join_leave = False
    assert "override" not in ask("subscribe", staff)["result"]


@pytest.mark.parametrize("authorize", ["token", "open"])
def test_other_namespaces_are_never_opened_from_here(declare, make_user, authorize):
    declare(authorize=authorize, can_subscribe=lambda self, user, pk: True)
    assert ask("subscribe", make_user()) == DENIED


def test_neither_are_rows_and_users_channels(declare, make_user, make_channel):
    declare()
    user = make_user()
    make_channel("public")
    make_channel("$users", "users")
    for channel in ("public", "$users", f"user:{user.pk}"):
        assert ask("subscribe", user, channel) == DENIED


def test_who_may_stay_where_a_token_has_opened_the_channel(declare, make_user, make_channel):
    def info(self, user, pk):
        return {"name": user.username}

    declare("order", authorize="token", can_subscribe=owner, connection_info=info)
    mixed = {"authorize": "token", "rows": True, "connection_info": info}
    declare("mixed", can_subscribe=lambda self, user, pk: True, **mixed)
    make_channel("public")
    make_channel("$users", "users")
    make_channel("$staff", "staff")
    make_channel("mixed:1")
    make_channel("$mixed:2", "staff")
    ann, bob = make_user("ann"), make_user("bob")
    own = f"user:{ann.pk}"
    for channel, told in {
        "order:1": {"name": "ann"}, "mixed:1": None, "mixed:3": {"name": "ann"},
        "public": None, "$users": None, own: None,
    }.items():  # fmt: skip
        result = ask("sub_refresh", ann, channel)["result"]
        assert 3600 * 0.89 < result["expire_at"] - time.time() < 3600 * 1.11
        assert result.get("info") == told
    for channel in ("order:2", "$staff", "$mixed:2", "nothing", "other:1", f"user:{bob.pk}"):
        assert ask("sub_refresh", ann, channel) == ENDED
    for channel in ("order:1", own, "$users"):
        assert ask("sub_refresh", "", channel) == ENDED


def test_a_right_that_ended(declare, make_user):
    declare(can_subscribe=lambda self, user, pk: user.is_staff)
    user = make_user(is_staff=True)
    assert "result" in ask("subscribe", user)
    assert "result" in ask("sub_refresh", user)
    get_user_model().objects.update(is_staff=False)
    assert ask("subscribe", user) == DENIED
    assert ask("sub_refresh", user) == ENDED


# Users


def test_a_user_who_is_gone(declare, make_user):
    declare(
        can_subscribe=lambda self, user, pk: True,
        can_publish=lambda self, user, pk: True,
        client_publish="ask",
    )
    user = make_user()
    key = str(user.pk)
    user.delete()
    for wrong in (
        key, "x", "-1", "1.0", "0x1", " ", "9" * 30, "9" * 9000, "\0", "\ud800", "None", "/", "[]",
    ):  # fmt: skip
        for kind in KINDS:
            assert ask(kind, wrong, data={}) == REFUSED[kind]


@pytest.mark.parametrize("spelled", ["0{}", " {}", "{} ", "+{}", "{}_0", "{}.0"])
def test_a_key_that_was_not_signed_so(declare, make_user, spelled):
    declare(can_subscribe=lambda self, user, pk: True)
    user = make_user(pk=5)
    make_user("fifty", pk=50)
    assert "result" in ask("subscribe", user)
    assert ask("subscribe", spelled.format(user.pk)) == DENIED
    assert ask("subscribe", "٥") == DENIED


def test_an_inactive_user_counts_as_anonymous(declare, make_user):
    declare(can_subscribe=lambda self, user, pk: user.is_authenticated)
    user = make_user()
    assert "result" in ask("subscribe", user)
    user.is_active = False
    user.save()
    assert ask("subscribe", user) == DENIED
    with override_settings(INSTANT={"DIR": "/nonexistent", "ANONYMOUS": False}):
        assert ask("subscribe", user) == DENIED


def test_keys_of_another_type(declare):
    """The model's field reads the key."""
    declare(can_subscribe=lambda self, user, pk: user.is_authenticated)
    key = uuid.uuid4()

    def in_bulk(keys):
        user = SimpleNamespace(pk=key, is_authenticated=True, is_active=True)
        return {key: user} if key in keys else {}

    person = SimpleNamespace(_meta=SimpleNamespace(pk=UUIDField(primary_key=True)))
    rows = SimpleNamespace(model=get_user_model(), using=lambda _: SimpleNamespace(in_bulk=in_bulk))
    person._default_manager = person._base_manager = rows

    with (
        patch("instant.rights.accounts.get_user_model", lambda: person),
        patch("instant.permissions._own_channel", lambda user: None),
    ):
        assert "result" in ask("subscribe", str(key))
        for wrong in (str(key).upper(), key.hex, f"{{{key}}}", str(uuid.uuid4()), "7", "x"):
            assert ask("subscribe", wrong) == DENIED


# Publishing


def test_who_may_publish(declare, make_user):
    declare(
        authorize="token",
        client_publish="ask",
        can_publish=owner,
        can_subscribe=lambda self, user, pk: True,
    )
    ann, bob = make_user("ann"), make_user("bob")
    assert ask("publish", ann, data={"text": "hello"}) == {"result": {}}
    assert ask("publish", bob, data={"text": "hello"}) == DENIED
    assert ask("publish", "", data={"text": "hello"}) == DENIED
    assert ask("publish", ann, "order:2", data={}) == DENIED


@pytest.mark.parametrize("data", [..., None, [], "text", 1, True, [{}]])
def test_only_objects_are_published(declare, make_user, data):
    declare(client_publish="ask", can_publish=owner)
    more = {} if data is ... else {"data": data}
    assert ask("publish", make_user("ann"), **more)["error"]["code"] == 400
    bob = make_user("bob")
    for binary in ("W10=", "/w==", "no base64"):  # [], a byte that is no JSON
        assert ask("publish", bob, b64data=binary)["error"]["code"] == 400


@pytest.mark.parametrize("client_publish", ["nobody", "subscribers"])
def test_namespaces_that_do_not_ask(declare, make_user, client_publish):
    declare(
        client_publish=client_publish,
        can_publish=lambda self, user, pk: True,
        can_subscribe=lambda self, user, pk: True,
    )
    assert ask("publish", make_user(), data={}) == DENIED


@pytest.mark.parametrize(
    ("level", "may"),
    [
        ("nobody", ()), ("subscribers", ("member", "staff")), ("listed", ("listed",)),
        ("staff", ("staff",)), ("superuser", ()),
    ],
)  # fmt: skip
def test_rows(registry, make_user, make_channel, level, may):
    users = {
        "member": make_user("member"),
        "staff": make_user("staff", is_staff=True),
        "listed": make_user("listed"),
    }
    members = [users["member"], users["staff"]]
    channel = make_channel("$room", "groups", members=members, publish_level=level)
    channel.publishers.add(users["listed"])
    for name, user in users.items():
        expected = {"result": {}} if name in may else DENIED
        assert ask("publish", user, "$room", data={"x": 1}) == expected
        assert ask("publish", user, f"user:{user.pk}", data={}) == DENIED
        assert ask("publish", user, "$ROOM", data={}) == DENIED
    channel.is_active = False
    channel.save()
    for user in users.values():
        assert ask("publish", user, "$room", data={}) == DENIED


def test_rows_inside_of_a_namespace(declare, make_user, make_channel):
    declare("room", rows=True, authorize="token", pattern="<str:name>")
    make_channel("room:red", publish_level="subscribers")
    make_channel("room:blue")
    assert ask("publish", make_user(), "room:red", data={}) == {"result": {}}
    assert ask("publish", "", "room:blue", data={}) == DENIED
    assert ask("publish", "", "room:green", data={}) == DENIED


# Rules


def test_async_rules_are_waited_for(declare, make_user):
    async def rule(self, user, pk):
        return await get_user_model().objects.filter(pk=user.pk, username="ann").aexists()

    async def many(self, user, many):
        return [user.username == "ann"] * len(many)

    async def info(self, user, pk):
        return {"async": True}

    declare(can_subscribe=rule, can_publish_many=many, connection_info=info, client_publish="ask")
    ann, bob = make_user("ann"), make_user("bob")
    assert ask("subscribe", ann)["result"]["info"] == {"async": True}
    assert ask("subscribe", bob) == DENIED
    assert ask("publish", ann, data={}) == {"result": {}}
    assert ask("publish", bob, data={}) == DENIED
    assert ask("sub_refresh", bob) == ENDED


@pytest.mark.django_db(transaction=True)
async def test_under_asgi(declare):
    async def rule(self, user, pk):
        return pk == 1

    declare(can_subscribe=rule)
    for channel, key in (("order:1", "result"), ("order:2", "error")):
        response = await AsyncClient().post(
            "/instant/proxy/subscribe/",
            json.dumps({"user": "", "channel": channel}),
            content_type=JSON,
            headers={HEADER: SECRET},
        )
        assert list(response.json()) == [key]


def test_a_rule_that_raises_refuses(declare, make_user, caplog):
    def rule(self, user, pk):
        raise RuntimeError("broken rule")

    declare(can_subscribe=rule, can_publish=rule, client_publish="ask")
    for kind in KINDS:
        assert ask(kind, make_user(kind), data={}) == REFUSED[kind]
    assert caplog.text.count("RuntimeError: broken rule") == 3


@pytest.mark.parametrize("info", [float("nan"), object()])
def test_an_info_that_is_not_json_is_none(declare, make_user, caplog, info):
    declare(can_subscribe=owner, connection_info=lambda self, user, pk: info)
    user = make_user("ann")
    for kind in ("subscribe", "sub_refresh"):
        assert set(ask(kind, user)["result"]) == {"expire_at"}
    assert "connection_info returned what is no JSON" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["find_namespace", "permissions.ask", "conf.current"])
def test_whatever_fails_refuses(declare, make_user, kind, name, caplog):
    declare(can_subscribe=owner, client_publish="ask", can_publish=owner)
    user = make_user("ann")
    module = "views.proxy_endpoint" if name == "conf.current" else "views.centrifugo_proxy"
    if kind == "publish" and name == "find_namespace":
        module = "inbound.requests"
    with patch(f"instant.{module}.{name}", side_effect=RuntimeError("boom")):
        assert ask(kind, user, data={}) == REFUSED[kind]
    assert "boom" in caplog.text
    assert SECRET not in caplog.text


def test_without_the_database_the_page_tries_again(declare, make_user, caplog):
    declare(can_subscribe=owner, client_publish="ask", can_publish=owner)
    user = make_user("ann")
    with patch(
        "django.db.models.query.QuerySet.in_bulk", side_effect=OperationalError("server closed")
    ):
        for kind in ("subscribe", "publish"):
            error = ask(kind, user, data={})["error"]
            assert error == {"code": 503, "message": "not available", "temporary": True}
        assert ask("sub_refresh", user) == ENDED
    assert "server closed" in caplog.text


def test_queries(declare, make_user, django_assert_num_queries):
    def rule(self, user, pk):
        return user.groups.filter(name="red").exists()

    declare(
        can_subscribe=rule, can_publish=rule, client_publish="ask",
        can_see_presence=rule, can_read_history=rule,
    )  # fmt: skip
    user = make_user(groups=["red"])
    for kind in KINDS:
        with django_assert_num_queries(2):
            assert "result" in ask(kind, user, data={})


# Who asks


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", SECRET[:-1], SECRET.upper()])
def test_forged_requests(declare, make_user, secret, caplog):
    asked = []
    declare(
        can_subscribe=lambda self, user, pk: asked.append(user) or True,
        can_publish=lambda self, user, pk: asked.append(user) or True,
        client_publish="ask",
    )
    user = make_user()
    for kind in KINDS:
        assert ask(kind, user, secret=secret, data={}) == DENIED
    assert not asked
    assert caplog.text.count("without the right X-Instant-Proxy-Secret") == 3
    assert SECRET not in caplog.text
    assert not secret or secret not in caplog.text


def test_a_session_is_no_secret(declare, make_user):
    """Nor does it say who is asked for: a logged-in browser that posts here gets nothing."""
    declare(can_subscribe=lambda self, user, pk: user.is_staff)
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("staff", is_staff=True))
    assert ask("subscribe", make_user("bob"), secret=None, client=client) == DENIED
    assert ask("subscribe", make_user("eve"), client=client) == DENIED  # as eve, not as staff


def test_secrets_are_rotated(declare):
    declare(can_subscribe=lambda self, user, pk: True)
    with override_settings(CENTRIFUGO_PROXY_SECRET=["new", "old"]):
        for secret, key in (("new", "result"), ("old", "result"), (SECRET, "error")):
            assert list(ask("subscribe", "", secret=secret)) == [key]


def test_the_secret_of_the_servers_config(declare, tmp_path, monkeypatch):
    declare(can_subscribe=lambda self, user, pk: True)
    header = {"http": {"static_headers": {HEADER: "in-the-file"}}}
    (tmp_path / "config.json").write_text(
        json.dumps({"channel": {"proxy": {"subscribe": header, "publish": header}}})
    )
    with override_settings(CENTRIFUGO_PROXY_SECRET=None, INSTANT={"DIR": tmp_path}):
        assert "result" in ask("subscribe", "", secret="in-the-file")
        assert ask("subscribe", "", secret=SECRET) == DENIED
        with monkeypatch.context() as patched:
            patched.setenv("CENTRIFUGO_VAR_PROXY_SECRET", "in-the-environment")
            with override_settings(CENTRIFUGO_PROXY_SECRET=""):
                assert "result" in ask("subscribe", "", secret="in-the-environment")
                assert ask("subscribe", "", secret="in-the-file") == DENIED


@pytest.mark.parametrize("text", [None, "", "${CENTRIFUGO_VAR_PROXY_SECRET}"])
def test_where_no_secret_is_known_nobody_has_it(declare, tmp_path, text):
    declare(can_subscribe=lambda self, user, pk: True)
    header = {"http": {"static_headers": {} if text is None else {HEADER: text}}}
    (tmp_path / "config.json").write_text(json.dumps({"channel": {"proxy": {"publish": header}}}))
    with override_settings(CENTRIFUGO_PROXY_SECRET=None, INSTANT={"DIR": tmp_path}):
        for secret in (None, "", "None", text):
            assert ask("subscribe", "", secret=secret) == DENIED


def test_it_is_not_in_what_a_traceback_shows(rf):
    request = rf.post("/instant/proxy/subscribe/", headers={HEADER: SECRET})
    with patch("instant.views.proxy_endpoint.constant_time_compare", side_effect=RuntimeError):
        try:
            proxy_endpoint.knows_secret(request)
        except RuntimeError:
            shown = shown_locals(request)
    assert "secret" in shown
    assert SECRET not in shown


# What is not the server


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options", "patch"])
def test_other_methods(method):
    for kind in KINDS:
        response = getattr(Client(), method)(f"/instant/proxy/{kind}/", headers={HEADER: SECRET})
        assert response.status_code == 200
        if method != "head":
            assert response.json()["error"]["code"] == 400


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '{"user": 7, "channel": "order:1"}', '{"channel": "order:1"}']
)
def test_malformed_requests(declare, body, caplog):
    declare(can_subscribe=lambda self, user, pk: True)
    for kind in KINDS:
        response = Client().post(
            f"/instant/proxy/{kind}/", body, content_type=JSON, headers={HEADER: SECRET}
        )
        assert (response.status_code, response.json()["error"]["code"]) == (200, 400)
    assert "asked what no server asks" in caplog.text


def test_huge_requests(declare):
    declare(client_publish="ask", can_publish=lambda self, user, pk: True)
    assert ask("publish", "", data={"x": "x" * 900_000}) == {"result": {}}
    assert ask("publish", "", data={"x": "x" * 1_000_000})["error"]["code"] == 400
    assert ask("publish", "", data={"x": "x" * 3_000_000})["error"]["code"] == 400


def test_a_site_behind_a_login_and_with_sessions_that_are_always_saved(declare):
    from django.conf import settings as django_settings

    declare(can_subscribe=lambda self, user, pk: True)
    middleware = [
        *django_settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    with override_settings(MIDDLEWARE=middleware, SESSION_SAVE_EVERY_REQUEST=True):
        assert "result" in ask("subscribe", "")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
QUESTIONS = st.fixed_dictionaries(
    {},
    optional={
        "user": st.sampled_from(["", "1", "x"]) | JSON_VALUES,
        "channel": st.sampled_from(["order:1", "chat:1", "$room", "user:1"]) | JSON_VALUES,
        "data": JSON_VALUES,
        "client": JSON_VALUES,
    },
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(KINDS),
    body=st.binary() | (QUESTIONS | JSON_VALUES).map(lambda value: json.dumps(value).encode()),
    secret=st.sampled_from([SECRET, SECRET, "wrong", None]),
)
@pytest.mark.slow
def test_no_body_gets_anything_but_one_answer(db, declare, registry, kind, body, secret):
    registry.clear()
    declare(can_subscribe=lambda self, user, pk: pk == 1)
    declare("chat", client_publish="ask", can_publish=lambda self, user, pk: pk == 1)
    response = Client().post(
        f"/instant/proxy/{kind}/",
        body,
        content_type=JSON,
        headers={} if secret is None else {HEADER: secret},
    )
    assert response.status_code == 200
    answer = json.loads(response.content, parse_constant=pytest.fail)
    assert len(answer) == 1
    [(key, value)] = answer.items()
    assert key in {"result", "error"}
    assert isinstance(value, dict)
    if secret != SECRET:
        assert answer == DENIED
    if key == "error":
        assert value["code"] in {400, 403}
    if "expire_at" in value:
        assert json.loads(body)["channel"] == "order:1"
    if kind == "publish" and key == "result":
        assert json.loads(body)["channel"] == "chat:1"
