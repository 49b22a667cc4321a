"""What a page gets that asks for its fragments again."""

import itertools
import json
from dataclasses import replace

import pytest
from django.contrib.auth.models import Group
from django.core import signing
from django.db import OperationalError, connection
from django.db.models import Manager
from django.test import Client, RequestFactory, override_settings
from django.urls import resolve

from instant.namespaces import find_namespace
from instant.pages import reference
from instant.pages.fragments import places
from instant.pages.fragments.fragment import Fragment
from tests.pages.fragments.conftest import told
from tests.tenancy.fake import instance as tenants
from tests.views.test_channel_data import declare, everybody, use

TEMPLATE = '{% live "group.html" group %}'


@pytest.fixture
def found(site, group):
    return site.element(TEMPLATE)


def rename(group, name="new"):
    Group.objects.filter(pk=group.pk).update(name=name)


def test_what_has_changed_comes_with_all_that_the_element_has(site, group, found, server):
    rename(group)
    server.offsets[found["channel"]] = 9
    [answer] = site.ask(found["ref"])
    assert answer.pop("html") == "<b>new</b>"
    assert answer.pop("ref") != found["ref"]
    expected = {**found, "offset": 9, "window": int(found["window"]), "public": ""}
    del expected["ref"]
    assert answer == expected


def test_what_has_not_changed_has_no_html(site, found):
    [answer] = site.ask(found["ref"])
    assert "html" not in answer
    [again] = site.ask(answer["ref"])
    assert "html" not in again


def test_another_csrf_token_is_no_change(site, group):
    site.templates["group.html"] = "<form>{% csrf_token %}<b>{{ group.name }}</b></form>"
    found = site.element(TEMPLATE)
    assert "csrfmiddlewaretoken" in found.html
    assert "html" not in site.ask(found["ref"])[0]
    rename(group)
    assert "csrfmiddlewaretoken" in site.ask(found["ref"])[0]["html"]


def test_a_new_reference_has_what_the_page_shows_by_then(site, group, found):
    rename(group)
    [answer] = site.ask(found["ref"])
    assert "html" not in site.ask(answer["ref"])[0]
    rename(group, "<Ann & Co>")
    assert site.ask(answer["ref"])[0]["html"] == found.html


def test_each_viewer_gets_what_is_theirs(site, group, make_user):
    site.templates["group.html"] = "{{ group.name }} for {{ user.username|default:'nobody' }}"
    ref = site.element(TEMPLATE)["ref"]
    web = Client()
    web.force_login(make_user("bob"))
    assert site.ask(ref, client=web)[0]["html"] == "&lt;Ann &amp; Co&gt; for bob"


def test_the_rule_of_the_channel_is_asked_each_time(site, make_user):
    may = {"ann"}
    declare("group", can_subscribe=lambda self, user, pk: user.username in may)
    told(channels=lambda group: f"group:{group.pk}")
    site.context["group"] = Group.objects.create(name="a")
    web = Client()
    web.force_login(make_user("ann"))
    ref = site.element(TEMPLATE, web)["ref"]
    assert "state" not in site.ask(ref, client=web)[0]
    assert site.ask(ref) == [{"state": "denied"}]  # a reference is no right
    may.clear()
    assert site.ask(ref, client=web) == [{"state": "denied"}]


def test_a_rule_that_cant_say_now_says_so(site, group, found, monkeypatch):
    def away(self, user, pk):
        raise OperationalError

    cls, _ = find_namespace(found["channel"])
    monkeypatch.setattr(cls, "can_subscribe", away)
    assert site.ask(found["ref"]) == [{"state": "later"}]


def test_what_isnt_visible_any_more_is_as_if_it_were_gone(site, make_user):
    declare("group", can_subscribe=everybody)
    told(
        channels=lambda group: f"group:{group.pk}",
        visible_to=lambda groups, user: groups.filter(user=user) if user.pk else groups.none(),
    )
    ann = make_user("ann", groups=["a"])
    site.context["group"] = Group.objects.get(name="a")
    web = Client()
    web.force_login(ann)
    ref = site.element(TEMPLATE, web)["ref"]
    assert "html" not in site.ask(ref, client=web)[0]
    assert site.ask(ref) == [{"state": "gone"}]
    ann.groups.clear()
    assert site.ask(ref, client=web) == [{"state": "gone"}]


def test_who_sees_what_counts_where_the_tag_names_the_channel(site, make_user):
    declare("group", can_subscribe=everybody)
    told(
        lists=True,
        visible_to=lambda groups, user: groups.filter(user=user) if user.pk else groups.none(),
    )
    ann = make_user("ann", groups=["a"])
    site.context["group"] = Group.objects.get(name="a")
    web = Client()
    web.force_login(ann)
    tag = '{% live "group.html" group channel="group:1" %}'
    ref = site.element(tag, web)["ref"]
    assert site.ask(ref) == [{"state": "gone"}]
    assert "<instant-live" not in site.page(tag)


def test_an_object_that_cannot_say_its_channel_keeps_no_other_from_being_shown(site, group, found):
    told(channels=lambda one: f"group:{one.pk}" if one.name != "new" else one.name.boss)
    site.context["group"] = Group.objects.create(name="other")
    other = site.element(TEMPLATE)
    rename(group)
    rename(site.context["group"], "b")
    web = Client(raise_request_exception=False)
    failed, shown = site.ask(found["ref"], other["ref"], client=web)
    assert failed == {"state": "later"}
    assert shown["html"] == "<b>b</b>"


def test_an_object_that_moves_all_the_time_is_asked_for_later(site, group, found):
    numbers = iter(range(1000))
    told(channels=lambda _one: f"group:{next(numbers)}")
    assert site.ask(found["ref"]) == [{"state": "later"}]


def test_half_a_character_is_no_reference(site):
    assert site.ask("\ud800:a:b") == [{"state": "old"}]


def test_what_is_deleted_is_gone(site, group, found):
    group.delete()
    assert site.ask(found["ref"]) == [{"state": "gone"}]


def test_what_counts_as_deleted_is_gone(site):
    declare("group", can_subscribe=everybody)
    told(
        channels=lambda group: f"group:{group.pk}",
        is_deleted=lambda group: group.name.startswith("-"),
    )
    site.context["group"] = group = Group.objects.create(name="a")
    ref = site.element(TEMPLATE)["ref"]
    rename(group, "-a")
    assert site.ask(ref) == [{"state": "gone"}]


def test_what_has_moved_is_heard_on_its_new_channel_by_whoever_may(site, make_user):
    declare(
        "team",
        pattern="<str:name>",
        can_subscribe=lambda self, user, name: name != "secret" or user.is_staff,
    )
    told(channels=lambda group: f"team:{group.name}")
    site.context["group"] = group = Group.objects.create(name="red")
    ref = site.element(TEMPLATE)["ref"]
    rename(group, "blue")
    [answer] = site.ask(ref)
    assert (answer["channel"], answer["html"]) == ("team:blue", "<b>blue</b>")
    rename(group, "secret")
    assert site.ask(ref) == [{"state": "denied"}]
    web = Client()
    web.force_login(make_user("boss", is_staff=True))
    assert site.ask(ref, client=web)[0]["html"] == "<b>secret</b>"


def test_one_that_is_in_no_channel_any_more_is_gone(site):
    declare("team", pattern="<str:name>", can_subscribe=lambda self, user, name: True)
    told(channels=lambda group: f"team:{group.name}" if group.name != "none" else None)
    site.context["group"] = group = Group.objects.create(name="red")
    ref = site.element(TEMPLATE)["ref"]
    rename(group, "none")
    assert site.ask(ref) == [{"state": "gone"}]


def test_many_are_one_question_to_the_server_and_one_query_a_model(
    site, group, server, django_assert_num_queries
):
    groups = [Group.objects.create(name=str(n)) for n in range(20)]
    site.context["groups"] = groups
    page = site.page('{% for g in groups %}{% live "group.html" g as group %}{% endfor %}')
    refs = [part.split('"')[0] for part in page.split(' ref="')[1:]]
    asked = len(server.asked)
    places._heard.clear()
    with django_assert_num_queries(2):  # the channels' rows, and the groups
        answers = site.ask(*refs)
    assert [answer["pk"] for answer in answers] == [str(one.pk) for one in groups]
    assert len(server.asked) == asked + 1
    assert len(server.asked[-1]) == 40


def test_in_the_language_and_the_time_zone_of_the_page(site, group):
    site.templates["group.html"] = (
        "{% load i18n tz %}{% get_current_language as l %}{% get_current_timezone as z %}"
        "{{ group.name }} {{ l }} {{ z }}"
    )
    found = site.element(TEMPLATE)
    read = Fragment.read(found["ref"])
    rename(group)
    for language, zone, shown in (
        ("de", "Asia/Tokyo", "new de Asia/Tokyo"),
        ("fr", "Mars/Base", "new fr America/Chicago"),
    ):
        ref = replace(read, language=language, zone=zone).signed()
        assert site.ask(ref)[0]["html"] == shown


def test_a_reference_that_has_ended_or_is_none(site, found, monkeypatch):
    forged = signing.dumps({"template": "secret.html"}, salt="guessed")
    later = signing.time.time() + 3601
    assert site.ask(forged, "", None, 3, {}) == [{"state": "old"}] * 5
    monkeypatch.setattr(signing.time, "time", lambda: later)
    assert site.ask(found["ref"]) == [{"state": "old"}]


def test_one_of_another_version_or_model_or_key_is_old(site, group, found):
    read = Fragment.read(found["ref"])
    gone = [
        replace(read, model="auth.nothing").signed(),
        replace(read, pk="a-uuid").signed(),
        reference.sign("fragment", {"template": "group.html"}),
        reference.sign("fragment", {"something": "else"}),
    ]
    assert site.ask(*gone) == [{"state": "old"}] * 4


def test_a_block_that_was_changed_by_a_deploy_is_old(site, group):
    found = site.element("{% live group %}<i>{{ group.name }}</i>{% endlive %}")
    rename(group)
    assert site.ask(found["ref"])[0]["html"] == "<i>new</i>"
    site.templates["page.html"] = "{% load instant %}{% live group %}<p>{% endlive %}"
    assert site.ask(found["ref"]) == [{"state": "old"}]


def test_another_tenants_reference_is_old(site, group):
    with use(
        1, TENANT="tests.tenancy.fake.instance", BACKEND="instant.backends.locmem.LocmemBackend"
    ):
        with tenants.activate("acme"):
            ref = site.element(TEMPLATE)["ref"]
            assert "state" not in site.ask(ref)[0]
        with tenants.activate("globex"):
            assert site.ask(ref) == [{"state": "old"}]


def test_a_template_that_fails_is_asked_for_again_and_harms_no_other(site, group, found, caplog):
    site.context["size"] = 1
    other = site.element(TEMPLATE)
    site.templates["bad.html"] = "{{ group.name }}"
    bad = site.element('{% live "bad.html" group %}')
    site.templates["bad.html"] = '{% include "nothing.html" %}'
    rename(group)
    answers = site.ask(bad["ref"], other["ref"], client=Client(raise_request_exception=False))
    assert answers[0] == {"state": "later"}
    assert answers[1]["html"] == "<b>new</b>"
    assert "bad.html could not be shown again" in caplog.text


def test_a_nested_one_has_no_script_in_it(site, group):
    site.templates["group.html"] = "{% load instant %}{% live group %}{{ group.name }}{% endlive %}"
    page = site.page(TEMPLATE)
    assert page.count("<script") == 1
    assert page.startswith("<script")
    ref = page.split(' ref="')[1].split('"')[0]
    rename(group)
    assert "<script" not in site.ask(ref)[0]["html"]


def test_from_another_site_it_is_refused(site, found):
    response = Client().post(
        "/instant/fragments/",
        json.dumps({"refs": [found["ref"]]}),
        "application/json",
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert response.status_code == 403


@pytest.mark.parametrize("body", [{}, {"refs": "a"}, {"refs": ["a"] * 101}, {"refs": None}])
def test_what_is_no_question(site, body):
    response = Client().post(
        "/instant/fragments/",
        json.dumps(body),
        "application/json",
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert response.status_code == 400
    assert "at most 100" in response.json()["error"]


def test_it_is_not_read_in_a_transaction(site, found, settings):
    view = resolve("/instant/fragments/").func
    assert connection.alias in view._non_atomic_requests


def test_a_server_that_is_away_costs_the_position_only(site, group, found, server):
    rename(group)
    server.status = 500
    [answer] = site.ask(found["ref"])
    assert answer["html"] == "<b>new</b>"
    assert answer["epoch"] == answer["offset"] == ""


class TestPublic:
    """The same for everybody: an address that caches know."""

    TEXT = '{% live "group.html" group public=True %}'

    @pytest.fixture
    def found(self, site):
        declare("group", authorize="open")
        told(channels=lambda group: f"group:{group.pk}")
        site.context["group"] = Group.objects.create(name="a")
        site.templates["group.html"] = "{{ group.name }}{{ user }}{{ request }}"
        return site.element(self.TEXT)

    def get(self, found, version="7.ep", client=None, **headers):
        return (client or Client()).get(
            "/instant/fragments/", {"ref": found["ref"], "v": version}, headers=headers
        )

    def test_its_reference_is_the_same_in_all_pages(self, site, found, make_user):
        web = Client()
        web.force_login(make_user("ann"))
        assert site.element(self.TEXT, web) == found
        assert found["public"] == "public"
        assert found.html == "a"

    def test_any_cache_may_keep_it(self, found):
        response = self.get(found)
        assert response["Cache-Control"] == "public, max-age=300"
        assert "Vary" not in response
        assert not response.cookies
        [answer] = response.json()["fragments"]
        assert answer["html"] == "a"
        assert answer["offset"] == 7

    @override_settings(SESSION_SAVE_EVERY_REQUEST=True)
    def test_no_cache_keeps_ones_cookies_for_others(self, found, make_user):
        web = Client()
        web.force_login(make_user("ann"))
        response = self.get(found, client=web)
        assert response.cookies
        assert response["Cache-Control"] == "private, no-store"
        assert response.json()["fragments"][0]["html"] == "a"

    def test_a_cache_may_ask_whether_it_has_changed(self, found):
        etag = self.get(found)["ETag"]
        response = self.get(found, **{"If-None-Match": etag})
        assert (response.status_code, response.content) == (304, b"")

    @pytest.mark.parametrize(
        "version", ["8.ep", "7.other", "7", "", "x.ep", "-1.ep", "9" * 19 + ".ep", "٣.ep"]
    )
    def test_a_version_that_isnt_there_yet_is_kept_by_nobody(self, found, version):
        response = self.get(found, version)
        assert response["Cache-Control"] == "private, no-store"
        assert response.json()["fragments"][0]["html"] == "a"

    def test_what_is_older_than_now_is_kept(self, found):
        assert "public" in self.get(found, "3.ep")["Cache-Control"]

    def test_without_a_server_it_is_kept_by_nobody(self, found, server):
        server.status = 500
        assert self.get(found)["Cache-Control"] == "private, no-store"

    def test_what_is_gone_or_old_or_anybodys_no_more(self, site, found, monkeypatch):
        for ref in ("", "a:b"):
            assert self.get({"ref": ref}).json()["fragments"] == [{"state": "old"}]
        with override_settings(INSTANT={"DIR": "/nonexistent", "ANONYMOUS": False}):
            assert self.get(found).json()["fragments"] == [{"state": "denied"}]
        Group.objects.all().delete()
        response = self.get(found)
        assert response.json()["fragments"] == [{"state": "gone"}]
        assert response["Cache-Control"] == "private, no-store"

    def test_a_viewers_own_reference_is_none_of_these(self, site, found):
        own = site.element('{% live "group.html" group %}')
        assert self.get(own).json()["fragments"] == [{"state": "old"}]
        assert site.ask(found["ref"]) == [{"state": "old"}]


def test_the_tag_itself_needs_no_session(site, group):
    site.templates["page.html"] = "{% load instant %}" + TEMPLATE
    request = RequestFactory().get("/page/")
    assert site.view(request).status_code == 200


def test_an_object_that_moves_faster_than_we_look_is_shown_all_the_same(
    site, group, server, monkeypatch
):
    names = (f"group:{number}" for number in itertools.count(100))
    monkeypatch.setattr("instant.pages.fragments.element.channel_of", lambda one: next(names))
    found = site.element(TEMPLATE)
    assert found.html == "<b>&lt;Ann &amp; Co&gt;</b>"
    assert "offset" not in found, "its page asks when it listens"


@pytest.fixture
def softly(monkeypatch):
    """Groups whose name begins with “gone” are deleted, as the model's manager says it."""

    class Softly(Manager):
        def get_queryset(self):
            return super().get_queryset().exclude(name__startswith="gone")

    manager = Softly()
    manager.model = Group
    monkeypatch.setattr(Group._meta, "default_manager", manager)


def test_what_the_models_own_manager_leaves_out_is_gone(site, group, softly):
    found = site.element(TEMPLATE)
    rename(group, "gone")
    assert site.ask(found["ref"])[0] == {"state": "gone"}


def test_what_a_view_shows_although_the_manager_leaves_it_out_stays(site, group, softly):
    rename(group, "gone")
    found = site.element(TEMPLATE)
    assert found.html == "<b>gone</b>"
    rename(group, "gone too")
    assert site.ask(found["ref"])[0]["html"] == "<b>gone too</b>"
