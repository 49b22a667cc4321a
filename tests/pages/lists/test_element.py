"""`{% livelist %}`, and the endpoint that its page asks."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import SynchronousOnlyOperation
from django.db.models import F
from django.http import HttpResponse
from django.template import RequestContext, Template, engines
from django.template.loader import get_template
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path, re_path
from django.utils import timezone, translation

from instant.backends import replaced
from instant.exceptions import InstantConfigError
from instant.live import alive, live
from instant.models import LiveListReader
from instant.pages.embedding import embedded
from instant.pages.lists import element, rendering
from instant.revoking import follow_up
from tests.pages.conftest import SESSIONS, STATE
from tests.revoking.conftest import FakeBackend

ROWS = LogEntry.objects.order_by("object_repr")
PAGE = "{% load instant %}<ul>{% livelist entries template='row.html' row='entry' %}</ul>"
ROW = "<!-- one --> <li class=x>{{ entry.object_repr }} {{ request.path }}</li>"


class Site:
    """A page with a list, whose templates a test writes."""

    page, row = PAGE, ROW
    entries = ROWS

    def view(self, request):
        context = RequestContext(request, {"entries": self.entries.all()})
        return HttpResponse(Template(self.page).render(context))

    def get(self, client=None):
        return (client or Client()).get("/page/?a=1&b=2")


@pytest.fixture
def site(followed, sent, monkeypatch):
    found = Site()

    def get_template(name):
        return engines["django"].from_string(found.row)

    monkeypatch.setattr(rendering.loader, "get_template", get_template)
    urls = [
        re_path("^/?(?:other.example/)?page/", found.view),
        path("instant/", include("instant.urls")),
    ]
    with override_settings(
        ROOT_URLCONF=type("Urls", (), {"urlpatterns": urls}), MIDDLEWARE=[STATE, *SESSIONS]
    ):
        yield found


def config(response):
    text = re.search(r'data-instant-list="([^"]*)"', response.content.decode())[1]
    return json.loads(text.replace("&quot;", '"').replace("&amp;", "&"))


def ask(client, ref, keys):
    return client.post("/instant/rows/", {"ref": ref, "keys": keys}, "application/json")


def test_the_rows_and_what_the_script_needs(site, make, ann):
    entry = make("<b>")
    client = Client()
    client.force_login(ann)
    response = site.get(client)
    text = response.content.decode()
    assert f'<!-- one --> <li data-instant-key="{entry.pk}" class=x>&lt;b&gt; /page/</li>' in text
    found = config(response)
    assert found["rows"] == "/instant/rows/"
    assert found["page"] == "/page/?a=1&b=2"
    state = embedded(text)[found["channel"]]
    assert state["data"]["page"] is True
    assert response["Cache-Control"] == "private"
    answer = ask(client, found["ref"], [str(entry.pk), "0"])
    html = f'<!-- one --> <li data-instant-key="{entry.pk}" class=x>&lt;b&gt; /instant/rows/</li>'
    assert answer.json()["rows"] == {str(entry.pk): html}
    assert answer.json()["gone"] == ["0"]
    assert answer["Cache-Control"] == "private, no-store"
    assert ask(Client(), found["ref"], []).status_code == 403


@pytest.mark.parametrize(
    "body",
    [{}, {"ref": 1, "keys": []}, {"ref": "x", "keys": "1"}, {"ref": "x", "keys": [1]},
     {"ref": "x", "keys": ["1"] * 501}],
)  # fmt: skip
def test_what_is_no_question(site, body):
    assert Client().post("/instant/rows/", body, "application/json").status_code == 400


def test_another_tag_with_attributes(site, make):
    site.page = (
        "{% load instant %}{% livelist entries template='row.html' row='entry' tag='tbody' "
        "id='orders' class_='striped' aria_live='polite' %}"
    )
    text = site.get().content.decode()
    assert re.match(r'<tbody aria-live="polite" class="striped" data-[^>]* id="orders"', text)
    assert " data-instant-empty" in text
    make("a")
    assert "data-instant-empty" not in site.get().content.decode()


def test_an_empty_list_that_stays_so_is_not_followed(site):
    site.entries = LogEntry.objects.none()
    text = site.get().content.decode()
    assert text.startswith(
        '<ul><instant-list data-instant-list="" data-instant-empty></instant-list>'
    )


def test_the_name_of_a_row_is_the_models(site, make):
    make("a")
    site.page = "{% load instant %}{% livelist entries 'row.html' %}"
    site.row = "<p>{{ logentry.object_repr }}</p>"
    assert ">a</p>" in site.get().content.decode()


WRONG = [
    ("text <p></p>", "text beside the element"),
    ("<p></p> text", "text beside the element"),
    ("<p></p><p></p>", "2 elements beside each other"),
    ("<br><hr><img>", "3 elements"),
    ("<tr><td>a</td></tr><script>1 < 2</script>", "2 elements"),
    ("{% if 0 %}<p></p>{% endif %}", "no element"),
    ("<!-- <p></p> -->", "no element"),
]


@pytest.mark.parametrize(("row", "said"), WRONG)
def test_a_row_is_one_element(site, make, settings, row, said):
    make("a")
    site.row = row
    settings.DEBUG = True
    with pytest.raises(ValueError, match=f"must make one element of a row.* it makes {said}"):
        site.get()


@pytest.mark.parametrize(("row", "said"), WRONG)
def test_of_one_that_is_not_the_log_is_told_once(site, make, monkeypatch, caplog, row, said, sent):
    monkeypatch.setattr(rendering, "_checked", set())
    entry = make("a")
    site.row = row
    found = config(site.get())
    assert site.get().status_code == 200
    answer = ask(Client(), found["ref"], [str(entry.pk)]).json()
    assert (not answer["rows"]) == (answer["gone"] == [str(entry.pk)])
    assert caplog.text.count(f"it makes {said}") == 1


@pytest.mark.parametrize(
    "row",
    [
        "<tr><td>{{ entry }}<td>b</tr>",
        " <!-- x --> <li>a<li-item></li-item> <img src='x'> </li> ",
        "<p>a<p>b",
        "<div><svg><path/></svg><br/></div><!-- x -->",
        "<div></p></div>",
        "<hr>",
        "<tr><td><script>'</b>' < 1</script></td></tr>",
    ],
)
def test_end_tags_may_be_missing_and_comments_there(site, make, settings, row):
    make("a")
    site.row = row
    settings.DEBUG = True
    assert site.get().status_code == 200


def test_a_nul_is_no_key(site, make):
    """PostgreSQL takes none, also not to compare."""
    found = config(site.get())
    answer = ask(Client(), found["ref"], ["1", "a\0b"])
    assert (answer.status_code, "NUL" in answer.json()["error"]) == (400, True)


def test_a_row_is_shown_in_the_language_of_the_page(site, make, ann):
    make("a")
    site.row = "{% load i18n %}<p>{% get_current_language as code %}{{ code }}</p>"
    with translation.override("de"):
        response = site.get()
    assert ">de</p>" in response.content.decode()
    found = config(response)
    answer = ask(Client(), found["ref"], [str(entry.pk) for entry in ROWS])
    assert ">de</p>" in str(answer.json()["rows"])
    with translation.override("fr"):
        assert config(site.get())["channel"] != found["channel"]


def test_a_public_list_is_the_same_for_everybody_and_travels_along(site, make, sent, ann):
    site.page = PAGE.replace("%}</ul>", "public=True %}</ul>")
    make("a")
    client = Client()
    client.force_login(ann)
    response = site.get(client)
    assert "Cache-Control" not in response
    assert ">a </li>" in response.content.decode()
    with translation.override("fr"):
        entry = make("b")
    html = f'<!-- one --> <li data-instant-key="{entry.pk}" class=x>b </li>'
    assert [p.payload["data"]["rows"] for p in sent] == [{str(entry.pk): html}]
    assert ask(Client(), config(response)["ref"], []).status_code == 200


def test_without_a_request_it_is_plain_html(site, make):
    entry = make("a")
    from django.template import Context

    text = Template(PAGE).render(Context({"entries": ROWS.all()}))
    assert text == f'<ul><!-- one --> <li data-instant-key="{entry.pk}" class=x>a </li></ul>'


def test_a_page_needs_the_middleware(site):
    with (
        override_settings(MIDDLEWARE=SESSIONS),
        pytest.raises(InstantConfigError, match="StateMiddleware.*public=True in {% livelist %}"),
    ):
        site.get()


def test_a_cache_shared_by_others_is_refused(site):
    site.page = (
        "{% load instant cache %}{% cache 9 x %}{% livelist entries 'row.html' %}{% endcache %}"
    )
    from django.template import TemplateSyntaxError

    with pytest.raises(TemplateSyntaxError, match="public=True"):
        site.get()
    site.page = site.page.replace("'row.html'", "'row.html' public=True")
    assert "page" not in config(site.get()), "it is that of whoever came first"
    site.page = site.page.replace("{% cache 9 x %}", "").replace("{% endcache %}", "")
    assert config(site.get())["page"] == "/page/?a=1&b=2"


async def test_not_on_the_thread_of_an_event_loop():
    with pytest.raises(SynchronousOnlyOperation):
        element.element(None, ROWS, "row.html")
    with pytest.raises(SynchronousOnlyOperation):
        live(ROWS.values("pk"))
    assert callable(alive)


def test_json_for_pages_that_draw_themselves(site, make, ann):
    entry = make("a")
    found = live(ROWS.values("object_repr", "action_time"), user=ann)
    assert found["items"][0][0] == str(entry.pk)
    assert set(found["items"][0][1]) == {"object_repr", "action_time"}
    assert found["rows"] == "/instant/rows/"
    client = Client()
    client.force_login(ann)
    answer = ask(client, found["ref"], [str(entry.pk)]).json()
    assert answer["rows"][str(entry.pk)]["object_repr"] == "a"
    assert live(ROWS.values("id"), "id")["items"] == [(str(entry.pk), {"id": entry.pk})]
    with pytest.raises(ValueError, match="must be the primary key"):
        live(ROWS.values("id"), "object_repr")


def test_a_template_of_another_engine(site, make, monkeypatch):
    make("a")

    class Other:
        template = object()

        def render(self, context, request):
            return f"<p>{context['entry'].object_repr}</p>"

    monkeypatch.setattr(rendering.loader, "get_template", lambda name: Other())
    assert ">a</p>" in site.get().content.decode()


def test_the_pages_address_is_none_of_another_site(site, make):
    make("a")
    response = Client().get("/page/", PATH_INFO="//other.example/page/")
    assert config(response)["page"] == "/%2Fother.example/page/"


def test_a_page_may_have_a_zone_without_a_name(site, make):
    make("a")
    site.row = "<li>{% load tz %}{% get_current_timezone as zone %}{{ zone }}</li>"
    with timezone.override(timezone.get_fixed_timezone(-90)):
        shown = element.element(RequestFactory().get("/"), ROWS, "row.html", public=True)
    assert "-0130" in shown


@pytest.fixture
def enforced(settings):
    """Rights that end are enforced, on a server that only notes what it is told."""
    settings.INSTANT = {**settings.INSTANT, "ENFORCE_IN_BACKGROUND": False}
    return lambda: replaced(FakeBackend())


def leaves(user):
    user.groups.get().user_set.clear()


def loses_a_permission(user):
    user.user_permissions.clear()


def is_deactivated(user):
    user.is_active = False
    user.save()


def is_no_staff(user):
    user.is_staff = False
    user.save()


def changes_password(user):
    user.set_password("new")
    user.save()


def is_deleted(user):
    user.delete()


@pytest.mark.parametrize(
    "end",
    [leaves, loses_a_permission, is_deactivated, is_no_staff, changes_password, is_deleted],
)
def test_a_right_that_ends_takes_the_lists_along(site, make, enforced, ann, end):
    """Until the view has been asked again: what it looks at is nobody's but its own."""
    bob = get_user_model().objects.create_user("bob", password="old", is_staff=True)
    bob.groups.add(Group.objects.create(name="desk"))
    bob.user_permissions.add(Permission.objects.first())
    entry = make("a")
    pages = {}
    for user in (ann, bob):
        client = Client()
        client.force_login(user)
        pages[user.username] = (client, config(site.get(client)))
    client, found = pages["bob"]
    assert ask(client, found["ref"], [str(entry.pk)]).status_code == 200
    assert subscribes(client, found["channel"])
    with enforced():
        end(bob)
    assert ask(client, found["ref"], [str(entry.pk)]).status_code == 403
    assert not subscribes(client, found["channel"])
    assert [reader.sub for reader in LiveListReader.objects.all()] == [str(ann.pk)]
    client, found = pages["ann"]
    assert ask(client, found["ref"], [str(entry.pk)]).status_code == 200
    assert subscribes(client, found["channel"])


def subscribes(client, name):
    answer = client.post("/instant/subscribe/", {"channels": [name]}, "application/json")
    return name in str(answer.json().get("channels"))


def test_a_page_that_was_being_made_when_the_right_ended_loses_the_list_later(
    site, make, enforced, ann
):
    desk = Group.objects.create(name="desk")
    ann.groups.add(desk)
    client = Client()
    client.force_login(ann)
    site.get(client)
    with enforced():
        ann.groups.remove(desk)
    found = config(site.get(client))  # its view had looked before
    assert ask(client, found["ref"], []).status_code == 200
    until = timezone.now() + timedelta(seconds=33)
    LiveListReader.objects.update(expires_at=F("expires_at") - timedelta(seconds=33))
    with enforced():
        assert follow_up.follow_up(until) == 1
    assert ask(client, found["ref"], []).status_code == 403
    ann.groups.add(desk)
    with enforced():
        ann.groups.remove(desk)
    found = config(site.get(client))
    with enforced():
        assert follow_up.follow_up(until) == 1
    assert ask(client, found["ref"], []).status_code == 200, "it is younger than the change"


@pytest.mark.django_since(6)  # which has partials
def test_the_row_stands_in_the_pages_own_template(site, make, monkeypatch):
    entry = make("new")
    site.page = (
        "{% load instant %}{% partialdef row %}<li>{{ entry.object_repr }}</li>{% endpartialdef %}"
        "<ul>{% livelist entries template='page.html#row' row='entry' %}</ul>"
    )
    monkeypatch.setattr(rendering.loader, "get_template", get_template)
    engine = {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [("django.template.loaders.locmem.Loader", {"page.html": site.page})]
        },
    }
    with override_settings(TEMPLATES=[engine]):
        response = site.get()
        row = f'<li data-instant-key="{entry.pk}">new</li>'
        assert row in response.content.decode()
        answer = ask(Client(), config(response)["ref"], [str(entry.pk)])
        assert answer.json()["rows"] == {str(entry.pk): row}
