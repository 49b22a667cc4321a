"""The element in a page, with what is there of the text."""

import json
import re
from html.parser import HTMLParser

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.template import Context, Template, TemplateSyntaxError
from django.test import Client, RequestFactory
from django.urls import include, path

from instant import html
from instant.exceptions import InstantConfigError
from instant.streams import stream
from tests.pages.conftest import SESSIONS, STATE, Pages
from tests.streaming.conftest import abandoned

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("answers")]


class Found(HTMLParser):
    """What a browser makes of a page with one stream."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.text, self.attributes, self._is_inside = "", {}, False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag == "instant-stream":
            self._is_inside, self.attributes = True, dict(attributes)

    def handle_endtag(self, tag):
        self._is_inside &= tag != "instant-stream"

    def handle_data(self, data):
        if self._is_inside:
            self.text += data


class Page(Pages):
    template = '{% instant_stream "answer:1" class="box" aria_live="polite" %}'


@pytest.fixture
def page(settings):
    found = Page()
    instant = path("instant/", include("instant.urls"))
    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": [path("page/", found.view), instant]})
    settings.MIDDLEWARE = [STATE, *SESSIONS]
    return found


@pytest.fixture
def ann(make_user):
    web = Client()
    web.force_login(make_user("ann"))
    return web


def written(text, channel="answer:1"):
    with stream(channel) as out:
        out.write(text)


def test_what_is_there_now(page, ann):
    text = '</instant-stream><b title="x">&amp; 🎈'
    written(text)
    response = page.get(ann)
    found = Found(response.content.decode())
    assert found.text == text
    run = found.attributes.pop("run")
    assert re.fullmatch(r"[0-9a-f]{32}", run)
    assert found.attributes == {
        "class": "box",
        "aria-live": "polite",
        "channel": "answer:1",
        "length": str(len(text) + 1),
        "state": "done",
    }
    assert "private" in response["Cache-Control"]


def test_ends_of_lines_stay_what_they_are(page, ann):
    written("a\r\nb\rc\n")
    text = page.get(ann).content.decode()
    assert "a&#13;\nb&#13;c\n" in text


def test_before_anything_was_written(page, ann):
    found = Found(page.get(ann).content.decode())
    assert found.attributes == {"class": "box", "aria-live": "polite", "channel": "answer:1"}


def test_while_it_is_written_and_after_the_writer_died(page, ann, at_once):
    with stream("answer:1") as out:
        out.write("Half")
        assert Found(page.get(ann).content.decode()).attributes["state"] == "writing"
    abandoned()
    assert Found(page.get(ann).content.decode()).attributes["state"] == "interrupted"


def test_of_a_long_text_the_beginning(page, ann):
    written("x" * 3_000_000)
    found = Found(page.get(ann).content.decode())
    assert 262_144 <= len(found.text) < 2_500_000
    assert found.attributes["length"] == str(len(found.text))
    assert "state" not in found.attributes  # the script fetches the rest


def test_who_may_not_subscribe_gets_the_element_alone(page):
    written("secret")
    found = Found(page.get().content.decode())
    assert found.text == ""
    assert found.attributes == {"class": "box", "aria-live": "polite", "channel": "answer:1"}


def test_what_is_open_to_all_may_be_kept_by_caches(page):
    page.template = '{% instant_stream "open:1" %}'
    written("For all", "open:1")
    response = page.get()
    assert Found(response.content.decode()).text == "For all"
    assert not response.has_header("Cache-Control")


def test_without_the_middleware_it_says_what_is_missing(page, ann, settings):
    settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
    with pytest.raises(InstantConfigError, match="StateMiddleware"):
        page.get(ann)


def test_the_script_comes_once(page, ann):
    page.template += '{% instant_stream "answer:2" %}{% instant_stream_script %}'
    text = page.get(ann).content.decode()
    scripts = re.findall(r"<script[^>]*data-instant-stream=\"([^\"]*)\"[^>]*>", text)
    assert len(scripts) == 1
    config = json.loads(scripts[0].replace("&quot;", '"').replace("&#x27;", "'"))
    assert config["urls"] == {"text": "/instant/streams/", "stop": "/instant/streams/stop/"}
    assert set(config["texts"]) == {"failed", "interrupted", "cancelled"}
    assert "instant.stream.min.js" in text


def test_the_script_has_the_nonce():
    request = RequestFactory().get("/")
    request.csp_nonce = "n0nce"
    template = Template("{% load instant %}{% instant_stream_script %}")
    assert ' nonce="n0nce"' in template.render(Context({"request": request}))
    assert "defer" in template.render(Context())


def test_without_our_urls_it_says_what_is_missing(page, ann, settings):
    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": [path("page/", page.view)]})
    with pytest.raises(InstantConfigError, match="instant.urls"):
        page.get(ann)


def test_attributes_that_are_words_of_python(page):
    found = html.stream(RequestFactory().get("/"), "answer:1", class_="box", aria_live="polite")
    assert 'class="box"' in found
    assert 'aria-live="polite"' in found


def test_attributes_that_are_there_or_not(page):
    request = RequestFactory().get("/")
    shown = html.stream(request, "answer:1", follow=True, hidden=False, title=None)
    assert shown == '<instant-stream channel="answer:1" follow></instant-stream>'


def test_mistakes(page, ann):
    with pytest.raises(ValueError, match="'state' itself"):
        html.stream(RequestFactory().get("/"), "answer:1", state="done")
    with pytest.raises(ValueError, match="is no channel's name.*instant_stream … %}"):
        html.stream(RequestFactory().get("/"), "")
    with pytest.raises(InstantConfigError, match="needs the request"):
        Template('{% load instant %}{% instant_stream "answer:1" %}').render(Context())
    with pytest.raises(TemplateSyntaxError, match="instant_stream %} can't stand in"):
        Template(
            '{% load instant cache %}{% cache 60 x %}{% instant_stream "answer:1" %}{% endcache %}'
        )


async def test_not_on_the_thread_of_an_event_loop():
    with pytest.raises(SynchronousOnlyOperation):
        html.stream(RequestFactory().get("/"), "answer:1")
