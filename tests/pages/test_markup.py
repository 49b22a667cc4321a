"""HTML that is sent to pages: how it is rendered, and what nobody else can send."""

import inspect
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.template import TemplateDoesNotExist
from django.test import override_settings
from django.utils import timezone as django_timezone
from django.utils import translation

from instant import Namespace, apublish, before_send, publish
from instant.exceptions import InvalidChannelName, PayloadTooLarge
from instant.handlers import Refused
from instant.live import asend_html, send_html
from instant.testing import capture_publications, publish_as
from tests.inbound.asking import SECRET, error
from tests.inbound.asking import publish as page_publishes

TEMPLATES = {
    "row.html": "<li id=row-{{ pk }}>{{ text }}</li>",
    "rows.html": "<ul>{% partialdef row inline %}<li>{{ text }}</li>{% endpartialdef %}</ul>",
    "local.html": (
        "{% load i18n tz %}{% get_current_language as now %}{{ now }} {{ price }} {{ at|date:'H:i' }}"
    ),
}
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _templates():
    engine = {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", TEMPLATES)]},
    }
    with override_settings(TEMPLATES=[engine], USE_TZ=True, TIME_ZONE="UTC"):
        yield


def sent(call=send_html, *args, **kwargs):
    with capture_publications() as found:
        call(*args, **kwargs)
    [one] = found
    return one.payload


def test_it_is_rendered_and_published():
    with capture_publications() as found:
        publication = send_html(
            "news", "row.html", {"pk": 7, "text": "<b>"}, target="#rows", action="append"
        )
    assert [one.payload for one in found] == [publication.payload]
    assert publication.channel == "news"
    assert publication.payload["event_class"] == "instant:html"
    assert publication.payload["data"] == {
        "html": "<li id=row-7>&lt;b&gt;</li>",
        "target": "#rows",
        "action": "append",
    }


def test_the_first_template_that_is_there():
    said = sent(send_html, "news", ["none.html", "row.html"], target="li")
    assert said["data"] == {"html": "<li id=row-></li>", "target": "li", "action": "update"}
    with pytest.raises(TemplateDoesNotExist):
        send_html("news", "none.html", target="li")


@pytest.mark.django_since(6)  # which has partials
def test_a_part_of_a_template():
    said = sent(send_html, "news", "rows.html#row", {"text": "x"}, target="ul", action="append")
    assert said["data"]["html"] == "<li>x</li>"


def test_it_takes_what_publish_takes():
    ours = inspect.signature(send_html).parameters
    own = {"message", "data", "event_class"}  # what it says itself
    for name, theirs in inspect.signature(publish).parameters.items():
        if name not in own:
            assert (ours[name].default, ours[name].kind) == (theirs.default, theirs.kind)
    twin = inspect.signature(asend_html).parameters
    assert own | set(twin) >= set(inspect.signature(apublish).parameters)
    said = sent(send_html, "news", "row.html", target="li", bucket="rows", site="other")
    assert (said["bucket"], said["site"]) == ("rows", "other")


async def test_its_async_twin_does_too():
    with capture_publications() as found:
        await asend_html("news", "row.html", target="li", bucket="rows", site="other")
    assert (found[0].payload["bucket"], found[0].payload["site"]) == ("rows", "other")


def test_to_take_an_element_away_needs_no_template():
    said = sent(send_html, "news", None, target="#row-7", action="remove")
    assert said["data"] == {"target": "#row-7", "action": "remove"}


@pytest.mark.parametrize(
    ("template", "options", "said"),
    [
        ("row.html", {"target": "#a", "action": "swap"}, "action is one of replace, update"),
        ("row.html", {"target": " "}, "target is a CSS selector"),
        ("row.html", {"target": None}, "target is a CSS selector"),
        ("row.html", {"target": "#a", "action": "remove"}, "takes no template"),
        (None, {"target": "#a"}, "needs a template"),
        ("row.html", {"target": "#a", "language": "tlh-x"}, "language is one of Django's"),
        ("row.html", {"target": "#a", "timezone": "Europe/Atlantis"}, "timezone is one such as"),
        ("row.html", {"target": "#a", "timezone": "../etc"}, "timezone is one such as"),
    ],
)
def test_what_can_not_be_sent(template, options, said):
    with capture_publications() as found, pytest.raises(ValueError, match=said):
        send_html("news", template, **options)
    assert not found


def test_what_can_not_be_published():
    with pytest.raises(InvalidChannelName):
        send_html("no space", "row.html", target="#a")
    with pytest.raises(PayloadTooLarge):
        send_html("news", "row.html", {"text": "x" * 1_000_001}, target="#a")


def local(**options):
    context = {"price": 1234.5, "at": NOON}
    return sent(send_html, "news", "local.html", context, target="#a", **options)["data"]["html"]


@override_settings(LANGUAGE_CODE="fr")
def test_language_and_time_zone_are_the_calls_and_not_the_threads():
    with translation.override("de"), django_timezone.override("Asia/Tokyo"):
        assert local() == "fr 1234,5 12:00"
        assert local(language="en", timezone="Europe/Zurich") == "en 1234.5 14:00"
        assert local(timezone=ZoneInfo("America/New_York")) == "fr 1234,5 08:00"
        assert local(timezone=timezone(timedelta(hours=1))) == "fr 1234,5 13:00"
        assert translation.get_language() == "de"
        assert django_timezone.get_current_timezone_name() == "Asia/Tokyo"


async def test_the_async_twin():
    with translation.override("de"), capture_publications() as found:
        await asend_html(
            "news", "local.html", {"price": 1.5, "at": NOON}, target="#a", timezone="Asia/Tokyo"
        )
        with pytest.raises(ValueError, match="action"):
            await asend_html("news", "row.html", target="#a", action="swap")
    assert [one.payload["data"]["html"] for one in found] == ["en 1.5 21:00"]


async def test_not_on_an_event_loop():
    with pytest.raises(SynchronousOnlyOperation, match="asend_html"):
        send_html("news", "row.html", target="#a")


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_the_commit():
    with capture_publications() as found:
        with transaction.atomic():
            publication = send_html("news", "row.html", target="#a")
            assert publication.state == "deferred"
            send_html("news", None, target="#b", action="remove", on_commit=False)
        with pytest.raises(RuntimeError), transaction.atomic():
            send_html("news", "row.html", target="#c")
            raise RuntimeError
    assert [one.payload["data"]["target"] for one in found] == ["#b", "#a"]


def test_one_key_is_one_message():
    first, again = (
        sent(send_html, "news", "row.html", target="#a", idempotency_key="k")["id"]
        for _ in range(2)
    )
    assert first == again


@pytest.mark.usefixtures("registry")
def test_hooks_do_not_see_it():
    @before_send("*")
    def refuse(outgoing):
        raise Refused

    assert sent(send_html, "news", "row.html", target="#a")["event_class"] == "instant:html"


@pytest.mark.usefixtures("registry")
def test_a_namespace_with_events_needs_not_declare_it():
    class Order(Namespace):
        name, pattern, validate = "order", "<int:pk>", True

        class events:  # noqa: N801  its name
            shipped: dict

    assert sent(send_html, "order:1", "row.html", target="#a")["event_class"] == "instant:html"


def test_publish_can_not_say_it():
    """Whatever a view lets a browser choose."""
    with pytest.raises(ValueError, match=r"send_html\(\)"):
        publish("news", data={"html": "<script>", "target": "body"}, event_class="instant:html")


@pytest.mark.django_db
@pytest.mark.usefixtures("registry")
def test_pages_can_not_say_it(make_user):
    class Room(Namespace):
        name, pattern, client_publish = "room", "<int:pk>", "ask"

        def can_publish(self, user, pk):
            return user.is_authenticated

    data = {"event_class": "instant:html", "data": {"html": "<b>", "target": "body"}}
    text = "event_class: only Django publishes what begins with 'instant:'"
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        ann = make_user("ann")
        assert page_publishes(ann, "room:1", data) == error(400, text)
        assert page_publishes(ann, "room:1", {**data, "event_class": "html"}) == {"result": {}}
        # Rights first.
        assert page_publishes("", "room:1", data)["error"]["code"] == 403
    with pytest.raises(Refused, match="event_class"):
        publish_as(ann, "room:1", data)
