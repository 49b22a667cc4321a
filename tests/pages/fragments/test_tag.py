"""{% live %}: what it puts into a page, and what it refuses."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import SynchronousOnlyOperation
from django.template import Context, RequestContext, Template, TemplateSyntaxError
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import timezone, translation

from instant.deliveries import AtMostOnce
from instant.exceptions import InstantConfigError
from instant.pages.fragments import element, places
from instant.pages.fragments.fragment import Fragment
from tests.pages.fragments.conftest import elements, told
from tests.views.test_channel_data import declare, everybody, use

TEMPLATE = '{% live "group.html" group %}'


def test_it_shows_the_object_and_says_where_it_changes(site, group, server):
    server.offsets[f"group:{group.pk}"] = 12
    page = site.page(TEMPLATE)
    assert page.startswith('<script src="/static/instant/instant.live.min.js" ')
    [found] = elements(page)
    assert found.html == "<b>&lt;Ann &amp; Co&gt;</b>"
    assert found.pop("ref")
    assert found.pop("key")
    assert found == {
        "channel": f"group:{group.pk}",
        "offset": "12",
        "epoch": "ep",
        "window": "22",
        "events": "group.*",
        "pk": str(group.pk),
    }


def test_the_script_is_loaded_once(site, group):
    page = site.page(TEMPLATE * 3)
    assert page.count("<script") == 1
    assert len(elements(page)) == 3


def test_a_block_is_a_template_of_its_own(site, group):
    found = site.element("{% live group %}<i>{{ group.name|upper }}{{ secret }}</i>{% endlive %}")
    assert found.html == "<i>&lt;ANN &amp; CO&gt;</i>"


def test_nothing_of_the_page_is_inside_but_what_comes_again(site, group, make_user):
    site.context["secret"] = "of the page"
    site.templates["group.html"] = "{{ secret }}{{ size }}{{ user.username }}{{ request.path }}"
    web = Client()
    web.force_login(make_user("ann"))
    found = site.element('{% live "group.html" group size="large" %}', web)
    assert found.html == "largeann/page/"


def test_the_object_has_the_name_that_the_template_knows(site, group):
    site.context["line"] = {"group": group}
    assert site.element('{% live "group.html" line.group %}').html.startswith("<b>&lt;Ann")
    site.context["g"] = group
    assert site.element('{% live "group.html" g as group %}').html.startswith("<b>&lt;Ann")
    assert site.element("{% live g as x %}{{ x.pk }}{% endlive %}").html == str(group.pk)


@pytest.fixture
def asked(monkeypatch):
    """What is done when the position has been asked for, the next time."""
    steps = []

    def places_then(names):
        found = places.places(names)
        if steps:
            steps.pop(0)()
        return found

    monkeypatch.setattr(element, "places", places_then)
    return steps


def test_it_is_read_after_the_position(site, group, asked):
    asked.append(lambda: Group.objects.filter(pk=group.pk).update(name="newer"))
    # The view's own object is older.
    assert site.element(TEMPLATE).html == "<b>newer</b>"


def test_one_that_is_gone_by_then_isnt_shown(site, group, asked):
    asked.append(Group.objects.all().delete)
    assert elements(site.page(TEMPLATE)) == []


def test_one_that_moves_meanwhile_is_heard_where_it_is(site, server, asked):
    declare("team", can_subscribe=everybody, pattern="<str:name>")
    told(channels=lambda group: f"team:{group.name}")
    group = site.context["group"] = Group.objects.create(name="red")
    asked.append(lambda: Group.objects.filter(pk=group.pk).update(name="blue"))
    server.offsets["team:blue"] = 3
    found = site.element(TEMPLATE)
    assert (found["channel"], found["offset"], found.html) == ("team:blue", "3", "<b>blue</b>")


def test_without_a_channel_now_it_is_plain(site):
    told(channels=lambda group: None)
    site.context["group"] = Group.objects.create(name="a")
    assert "<b>a</b>" in site.page(TEMPLATE)
    assert elements(site.page(TEMPLATE)) == []


def test_a_model_that_tells_nobody_needs_a_channel(site, make_user):
    site.context["permission"] = Permission.objects.first()
    site.templates["permission.html"] = "{{ permission.codename }}"
    with pytest.raises(InstantConfigError, match="Permission tells no channel when it changes"):
        site.page('{% live "permission.html" permission %}')
    declare("any", can_subscribe=everybody)
    found = site.element('{% live "permission.html" permission channel="any:1" %}')
    assert found["channel"] == "any:1"
    assert "pk" not in found
    assert "events" not in found  # whatever the channel tells
    found = site.element(
        '{% live "permission.html" permission channel="any:1" events="moved, gone" %}'
    )
    assert found["events"] == "moved gone"


def test_the_viewer_sees_what_is_visible_to_them(site, make_user):
    declare("group", can_subscribe=everybody)
    told(
        channels=lambda group: f"group:{group.pk}",
        visible_to=lambda groups, user: groups.filter(user=user) if user.pk else groups.none(),
    )
    site.context["group"] = Group.objects.create(name="a")
    assert elements(site.page(TEMPLATE)) == []
    web = Client()
    web.force_login(make_user("ann", groups=["a"]))
    assert site.element(TEMPLATE, web).html == "<b>a</b>"


def test_without_a_server_it_has_no_position(site, group, server):
    server.status = 500
    found = site.element(TEMPLATE)
    assert found["channel"] == f"group:{group.pk}"
    assert "offset" not in found
    assert "epoch" not in found
    with use(server.raw.port, BACKEND="instant.backends.locmem.LocmemBackend"):
        assert "epoch" not in site.element(TEMPLATE)


def test_a_channel_that_keeps_nothing_has_no_position(site, server):
    declare("group", can_subscribe=everybody, delivery=AtMostOnce())
    told(channels=lambda group: f"group:{group.pk}")
    site.context["group"] = Group.objects.create(name="a")
    assert "epoch" not in site.element(TEMPLATE)
    assert len(server.asked[0]) == 1  # how many hear it


def test_the_window_grows_with_the_audience(site, group, server):
    name = f"group:{group.pk}"
    for viewers, most in ((10, 100), (1000, 3000)):
        server.viewers[name] = viewers
        places._heard.clear()
        window = int(site.element(TEMPLATE)["window"])
        assert most / 3 < window <= most


def test_the_audience_is_asked_for_once_in_a_while(site, group, server):
    site.page(TEMPLATE * 3)
    assert [len(commands) for commands in server.asked] == [2, 1, 1]


def test_language_and_time_zone_of_the_page_are_kept(site, group):
    site.templates["group.html"] = "{% load i18n tz %}{% get_current_language as l %}{{ l }}"
    with translation.override("de"), timezone.override("Europe/Berlin"):
        found = site.element(TEMPLATE)
    read = Fragment.read(found["ref"])
    assert (read.language, read.zone) == ("de", "Europe/Berlin")


def test_in_an_email_it_is_plain_html(site, group):
    site.templates["mail.html"] = "{% load instant %}" + TEMPLATE + "{% live group %}!{% endlive %}"
    assert render_to_string("mail.html", {"group": group}) == "<b>&lt;Ann &amp; Co&gt;</b>!"
    assert Template("{% load instant %}{% live group %}{{ group.pk }}{% endlive %}").render(
        Context({"group": group})
    ) == str(group.pk)


def test_a_block_needs_a_template_with_a_name(site, group):
    context = RequestContext(RequestFactory().get("/"), {"group": group})
    text = "{% load instant %}{% live group %}a{% endlive %}"
    with pytest.raises(InstantConfigError, match="template without a name"):
        Template(text).render(context)


def test_a_block_of_an_inherited_template(site, group):
    site.templates["base.html"] = (
        "{% load instant %}{% block a %}{% endblock %}{% live group %}base{% endlive %}"
    )
    site.templates["part.html"] = "{% load instant %}{% live group %}part{% endlive %}"
    page = site.page('{% if group %}{% include "part.html" %}{% endif %}')
    assert [one.html for one in elements(page)] == ["part"]
    site.templates["child.html"] = (
        '{% extends "base.html" %}{% load instant %}'
        "{% block a %}{% for g in groups %}{% live g %}{{ g.pk }}{% endlive %}{% endfor %}{% endblock %}"
    )
    site.context["groups"] = [group]
    page = site.page('{% include "child.html" %}')
    found = elements(page)
    assert [one.html for one in found] == [str(group.pk), "base"]
    assert all("html" not in one for one in site.ask(*[one["ref"] for one in found]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{% live %}", "what is shown"),
        ('{% live "a.html" group other %}', "what is shown"),
        ('{% live "a.html" group as %}', "as what"),
        ('{% live "a.html" group as "x" %}', "as what"),
        ('{% live "a.html" groups|first %}', "say what the object is called"),
        ('{% live "a.html" group x=1 y %}', "'y'"),
        ("{% live group %}", "endlive"),
        (
            '{% load cache %}{% cache 9 a %}{% live "a.html" group %}{% endcache %}',
            "in {% cache %}",
        ),
    ],
)
def test_what_it_refuses(site, text, said):
    with pytest.raises(TemplateSyntaxError, match=said):
        Template("{% load instant %}" + text)


def test_what_is_a_queryset(site, group):
    site.context["group"] = Group.objects.all()
    with pytest.raises(ValueError, match=r"shows one object.*{% livelist %}"):
        site.page(TEMPLATE)


@pytest.mark.parametrize("value", [None, "", 3, Group(name="new")])
def test_what_is_no_saved_object(site, group, value):
    site.context["group"] = value
    with pytest.raises(ValueError, match="no object that is saved"):
        site.page(TEMPLATE)


def test_values_are_what_a_reference_can_have(site, group):
    site.context |= {"yes": True, "many": [1], "html": Template("<i>").render(Context())}
    site.templates["group.html"] = "{{ a }}{{ b }}{{ c }}{{ d }}"
    found = site.element('{% live "group.html" group a=yes b=3 c=none d=html %}')
    assert found.html == "True3&lt;i&gt;"
    with pytest.raises(TypeError, match="a=….*list is no text"):
        site.page('{% live "group.html" group a=many %}')


def test_the_user_who_is_asked_lazily_is_an_object_too(site, make_user):
    user = make_user("ann")
    declare("any", can_subscribe=everybody)
    web = Client()
    web.force_login(user)
    found = site.element('{% live user channel="any:1" %}{{ user.username }}{% endlive %}', web)
    assert found.html == "ann"
    assert Fragment.read(found["ref"]).model == "auth.user"


def test_only_what_is_everybodys_is_public(site, group):
    with pytest.raises(InstantConfigError, match="not everybody may hear"):
        site.page('{% live "group.html" group public=True %}')


async def test_it_holds_up_no_event_loop(site, group):
    site.templates["page.html"] = "{% load instant %}" + TEMPLATE
    with pytest.raises(SynchronousOnlyOperation, match="position of a fragment"):
        site.view(RequestFactory().get("/page/"))
