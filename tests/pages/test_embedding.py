"""The states of channels in a page, in whose answers no cache may keep one viewer's."""

import json
import re
import threading
from datetime import date

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpResponse, StreamingHttpResponse
from django.template import RequestContext, Template, TemplateSyntaxError
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.cache import patch_cache_control
from django.views.decorators.cache import cache_page

from instant.backends import replaced
from instant.backends.locmem import LocmemBackend
from instant.deliveries import AtMostOnce
from instant.exceptions import InstantConfigError
from instant.html import state
from instant.pages.embedding import embedded
from instant.states import astates, states
from instant.testing import assert_state
from tests.pages.conftest import SESSIONS, STATE
from tests.servers import RawServer
from tests.views.test_channel_data import declare, everybody, positions, use

pytestmark = [pytest.mark.usefixtures("registry"), pytest.mark.django_db]


def declare_public(**attributes):
    attributes = {"snapshot": lambda self, user, pk: {"of": pk}, **attributes}
    return declare(authorize="open", snapshot_is_public=True, **attributes)


def test_the_state_and_its_position(server, pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: {"day": date(2026, 11, 26)})
    page = pages.get()
    assert embedded(page.content.decode()) == {
        "order:1": {"data": {"day": "2026-11-26"}, "offset": 7, "epoch": "ep"}
    }
    assert server.asked == [
        ("batch", {"commands": [{"history": {"channel": "order:1", "limit": 0}}]})
    ]


def test_rule_position_state_in_this_order(server, pages):
    seen = []
    server.hook = lambda: seen.append("position")
    declare(
        can_subscribe=lambda self, user, pk: seen.append("rule") or True,
        snapshot=lambda self, user, pk: seen.append("state"),
    )
    pages.get()
    assert seen == ["rule", "position", "state"]


def test_who_may_not_subscribe_gets_nothing(server, pages):
    declare(snapshot=lambda self, user, pk: "the secret")
    page = pages.get()
    assert page.content == b""
    assert not page.has_header("Cache-Control")  # nothing in it is anybody's own
    assert server.asked == []


def test_the_rule_is_asked_for_the_viewer(server, pages, make_user):
    declare(
        can_subscribe=lambda self, user, pk: user.username == "ann",
        snapshot=lambda self, user, pk: user.username,
    )
    web = Client()
    assert pages.get(web).content == b""
    web.force_login(make_user("ann"))
    assert_state(pages.get(web), "order:1", "ann")
    with use(server.raw.port, ANONYMOUS=False):
        assert pages.get().content == b""
        assert_state(pages.get(web), "order:1", "ann")


def test_nothing_in_it_ends_the_element_or_begins_another(server, pages):
    text = "</script><script>alert(1)</script><!-- & \u2028 '\" -->"
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: text)
    page = pages.get().content.decode()
    assert page.count("<") == 2
    assert re.fullmatch(
        r'<script type="application/json" data-instant-state>[^<>&]*</script>', page
    )
    assert embedded(page)["order:1"]["data"] == text


def test_many_channels_are_one_request(server, pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pk)
    declare(
        "note", can_subscribe=everybody, snapshot=lambda self, user, pk: pk, delivery=AtMostOnce()
    )
    server.answers["batch"] = positions({"offset": 1, "epoch": "a"}, {"offset": 2, "epoch": "a"})
    pages.template = '{% instant_state "order:1" names "note:3" %}'
    with override_settings(
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"context_processors": ["tests.pages.test_embedding.names"]},
            }
        ]
    ):
        page = pages.get()
    found = embedded(page.content.decode())
    assert [(name, one["offset"]) for name, one in found.items()] == [
        ("order:1", 1),
        ("order:2", 2),
        ("note:3", 0),
    ]
    assert len(server.asked) == 1


def names(request):
    return {"request": request, "names": ["order:2"]}


@pytest.mark.parametrize("name", ["public", "order:x", "nothing:1", "order:1"])
def test_a_channel_without_a_state_is_a_mistake_of_the_page(server, pages, name):
    declare(can_subscribe=everybody)
    pages.template = f'{{% instant_state "{name}" %}}'
    with pytest.raises(ValueError, match=f"'{name}' has no state to put into a page"):
        pages.get()


@pytest.mark.parametrize(
    "given",
    ["nobody_gave_it", "none", "number", "listed"],
)
def test_a_variable_that_is_no_name_is_said_to_be_one(pages, given):
    pages.template = f"{{% instant_state {given} %}}"
    pages.context = {"none": None, "number": 7, "listed": ["order:1", ""]}
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: 1)
    with pytest.raises(ValueError, match="no channel's name. Does the template's context have"):
        pages.get()


def test_a_page_has_a_hundred_at_most(rf):
    with pytest.raises(ValueError, match="100 channels at most"):
        state(rf.get("/"), [f"order:{n}" for n in range(101)])


def test_what_is_no_json_is_no_page(server, pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        pages.get()


def test_what_the_snapshot_raises_is_the_pages(server, pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pages.get()


# A server that has trouble


def test_without_the_server_the_page_is_there_without_a_state(pages, caplog):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pytest.fail("asked"))
    with RawServer(lambda sock: None) as raw:
        port = raw.port
    with use(port):
        assert (pages.get().status_code, pages.get().content) == (200, b"")
    assert "The page has no state: the message server can't tell" in caplog.text


@pytest.mark.timed
def test_a_silent_server_costs_one_page_one_timeout(pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pytest.fail("asked"))
    done = threading.Event()

    def silent(sock):
        sock.read_request()
        done.wait(60)

    with RawServer(silent) as raw, use(raw.port, TIMEOUT=0.2, BREAKER=1):
        assert pages.get().content == b""
        # The next ones don't wait: the breaker is open.
        assert pages.get().content == b""
        done.set()
        assert raw.connections == 1


def test_where_there_is_no_server_the_state_has_no_position(pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pk)
    with replaced(LocmemBackend()):
        page = pages.get()
    assert embedded(page.content.decode())["order:1"] == {"data": 1, "offset": 0, "epoch": ""}


def test_a_state_that_may_be_older_than_its_position_is_not_there(server, pages, monkeypatch):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pytest.fail("asked"))
    monkeypatch.setattr("instant.pages.state.is_fresh", lambda: False)
    assert pages.get().content == b""
    assert server.asked == []


# Caches


def test_a_page_with_its_viewers_state_is_private(server, pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pk)
    page = pages.get()
    assert page["Cache-Control"] == "private"
    assert "Cookie" in page["Vary"]


def test_what_the_view_said_of_caches_is_narrowed(server, pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pk)
    plain = pages.view

    def view(request):
        response = plain(request)
        patch_cache_control(response, public=True, max_age=60)
        return response

    with at(view):
        assert pages.get()["Cache-Control"].split(", ") == ["max-age=60", "private"]


FOR_SHARED_CACHES = {
    "X-Accel-Expires": "60",  # nginx, before any Cache-Control
    "Surrogate-Control": "max-age=60",
    "Edge-Control": "max-age=60",
    "CDN-Cache-Control": "max-age=60",  # RFC 9213, instead of it
    "cloudflare-cdn-cache-control": "max-age=60",
}


@pytest.mark.parametrize("is_public", [False, True])
def test_what_the_view_said_to_shared_caches_alone_is_taken_back(server, pages, is_public):
    if is_public:
        declare_public()
    else:
        declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pk)
    plain = pages.view

    def view(request):
        response = plain(request)
        for name, value in FOR_SHARED_CACHES.items():
            response[name] = value
        return response

    with at(view):
        found = pages.get()
    assert {name for name in FOR_SHARED_CACHES if found.has_header(name)} == (
        set(FOR_SHARED_CACHES) if is_public else set()
    )


def at(view):
    urls = type("Urls", (), {"urlpatterns": [path("page/", view)]})
    return override_settings(ROOT_URLCONF=urls)


@pytest.mark.parametrize("is_public", [False, True])
@pytest.mark.parametrize("way", ["decorator", "middleware"])
def test_djangos_caches_keep_public_states_only(server, pages, make_user, way, is_public):
    of_user = lambda self, user, pk: user.get_username()  # noqa: E731
    if is_public:
        declare_public(snapshot=of_user)
    else:
        declare(can_subscribe=everybody, snapshot=of_user)
    ann = Client()
    ann.force_login(make_user("ann"))
    middleware = [STATE, *SESSIONS]
    view = pages.view
    if way == "decorator":
        view = cache_page(60)(view)
    else:
        cache = "django.middleware.cache."
        middleware = [
            f"{cache}UpdateCacheMiddleware",
            *middleware,
            f"{cache}FetchFromCacheMiddleware",
        ]
    with at(view), override_settings(MIDDLEWARE=middleware):
        assert_state(pages.get(ann), "order:1", "" if is_public else "ann")
        asked = len(server.asked)
        assert_state(pages.get(), "order:1", "")
        # What is kept is not made again.
        assert (len(server.asked) > asked) is not is_public


def test_a_public_state_is_the_same_for_everybody(server, pages, make_user):
    declare_public(snapshot=lambda self, user, pk: user.get_username())
    ann = Client()
    ann.force_login(make_user("ann"))
    page = pages.get(ann)
    assert_state(page, "order:1", "")
    # Not even the session was looked at: that alone would keep it out of shared caches.
    assert not page.has_header("Cache-Control")
    assert not page.has_header("Vary")


def test_a_public_state_is_one_viewers_where_only_users_may_connect(server, pages, make_user):
    declare_public(snapshot=lambda self, user, pk: user.get_username())
    ann = Client()
    ann.force_login(make_user("ann"))
    with use(server.raw.port, ANONYMOUS=False):
        assert pages.get().content == b""
        page = pages.get(ann)
    assert_state(page, "order:1", "ann")
    assert page["Cache-Control"] == "private"


def test_without_the_middleware_it_says_what_to_do(server, pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pytest.fail("asked"))
    declare_public(name="note")
    with override_settings(MIDDLEWARE=SESSIONS):
        with pytest.raises(InstantConfigError, match=r"instant\.middleware\.StateMiddleware"):
            pages.get()
        pages.template = '{% instant_state "note:1" %}'
        assert_state(pages.get(), "note:1", {"of": 1})


def test_a_request_that_met_no_middleware(server, pages, rf):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pytest.fail("asked"))
    declare_public(name="note")
    assert state(rf.get("/"), "order:1") == ""
    assert list(embedded(state(rf.get("/"), "order:1", "note:1"))) == ["note:1"]


def test_an_answer_whose_headers_are_gone_gets_none(server, pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pytest.fail("asked"))

    def view(request):
        return StreamingHttpResponse(pages.view(request).content for _ in "1")

    with at(view):
        assert b"".join(pages.get().streaming_content) == b""


async def test_async_pages_are_private_too(server, pages):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pk)

    async def view(request):
        from asgiref.sync import sync_to_async

        return await sync_to_async(pages.view)(request)

    with at(view):
        page = await AsyncClient().get("/page/")
    assert_state(page, "order:1", 1)
    assert page["Cache-Control"] == "private"


def test_a_fragment_that_is_kept_for_others_has_none(pages):
    for block in (
        "{%% cache 9 x %%}%s{%% endcache %%}",
        "{%% cache 9 x %%}{%% if 1 %%}%s{%% endif %%}{%% endcache %%}",
    ):
        text = "{% load instant cache %}" + block % '{% instant_state "order:1" %}'
        with pytest.raises(TemplateSyntaxError, match="can't stand in {% cache %}"):
            Template(text)
    Template('{% load instant cache %}{% cache 9 x %}{% endcache %}{% instant_state "order:1" %}')


def test_the_request_needs_no_context_processor(server, pages):
    declare_public()
    with override_settings(
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
    ):
        assert_state(pages.get(), "order:1", {"of": 1})


def test_without_a_request_it_says_what_to_do():
    with pytest.raises(InstantConfigError, match="needs the request"):
        Template('{% load instant %}{% instant_state "order:1" %}').render(RequestContext(None))


class Replica:
    """Reads go to a database that lags."""

    def db_for_read(self, model, **hints):
        return "other"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, other, **hints):
        return True


class Knows:
    """A middleware that asks who it is before the view does."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        str(request.user)
        return self.get_response(request)


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize(
    "before", [[], [f"{__name__}.Knows"]], ids=["lazily", "a middleware knows"]
)
def test_it_is_read_where_writes_go(server, pages, make_user, before):
    declare(
        can_subscribe=lambda self, user, pk: user.is_staff,
        snapshot=lambda self, user, pk: get_user_model().objects.get(username="ann").first_name,
    )
    ann = make_user("ann", is_staff=True, first_name="old")
    web = Client()
    web.force_login(ann)
    for one in (ann, Session.objects.get()):
        one.save(using="other")
    get_user_model().objects.update(first_name="new")
    with override_settings(
        DATABASE_ROUTERS=[f"{__name__}.Replica"], MIDDLEWARE=[STATE, *SESSIONS, *before]
    ):
        assert get_user_model().objects.get().first_name == "old"
        assert_state(pages.get(web), "order:1", "new")
        assert states(ann, "order:1")["order:1"]["data"] == "new"
        get_user_model().objects.using("default").update(is_staff=False)
        assert pages.get(web).content == b""


async def test_on_an_event_loop_it_says_what_to_do(server, rf):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pk)
    with pytest.raises(SynchronousOnlyOperation, match="Render the page in another"):
        state(rf.get("/"), "order:1")
    with pytest.raises(SynchronousOnlyOperation, match="await astates"):
        states(None, "order:1")


# Views that answer with JSON


def test_a_site_without_users(server, pages):
    declare(
        can_subscribe=lambda self, user, pk: user.is_anonymous, snapshot=lambda self, user, pk: pk
    )
    with override_settings(MIDDLEWARE=[STATE]):
        assert_state(pages.get(), "order:1", 1)
    assert list(states(None, "order:1")) == ["order:1"]


def test_states_for_json(server):
    declare(can_subscribe=lambda self, user, pk: pk == 1, snapshot=lambda self, user, pk: pk)
    found = states(AnonymousUser(), "order:1", "order:2", "public")
    assert found == {"order:1": {"data": 1, "offset": 7, "epoch": "ep"}}
    assert json.dumps(found)


async def test_its_async_twin(server):
    declare(can_subscribe=everybody, snapshot=lambda self, user, pk: pk)
    assert await astates(None, "order:1") == {"order:1": {"data": 1, "offset": 7, "epoch": "ep"}}


# instant.testing


def test_assert_state():
    page = '<p>&lt;<script>1</script><script type="application/json" data-instant-state>{"order:1":{"data":{"day":"2026-11-26"},"offset":1,"epoch":"e"}}</script>'
    assert assert_state(page, "order:1") == {"day": "2026-11-26"}
    assert_state(HttpResponse(page), "order:1", {"day": date(2026, 11, 26)})
    with pytest.raises(AssertionError, match=r"has no state of 'order:2'. It has: 'order:1'\."):
        assert_state(page, "order:2")
    with pytest.raises(AssertionError, match="has: none"):
        assert_state("<p>", "order:2")
    with pytest.raises(AssertionError, match=r"is {'day': '2026-11-26'}, not {}"):
        assert_state(page, "order:1", {})
