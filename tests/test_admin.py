"""Channels in the admin."""

import re

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.messages import get_messages
from django.test import override_settings

from instant import channel
from instant.models import Channel

ADD = "/admin/instant/channel/add/"
LIST = "/admin/instant/channel/"


@pytest.fixture
def admin(client, make_user):
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    return client


def fields(name, level, **more):
    return {
        "name": name,
        "level": level,
        "is_active": "on",
        "description": "",
        "publish_level": "nobody",
        "presence_level": "nobody",
        "status_level": "staff",
        **more,
    }


def told(response):
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def test_a_new_private_channel_gets_its_dollar_and_the_form_says_so(admin):
    response = admin.post(ADD, fields("news", "users"))
    assert response.status_code == 302
    assert Channel.objects.get().name == "$news"
    assert "named “$news”" in told(response)


@pytest.mark.parametrize(("name", "level"), [("news", "public"), ("$news", "users")])
def test_a_right_name_stays(admin, name, level):
    response = admin.post(ADD, fields(name, level))
    assert Channel.objects.get().name == name
    assert "begins with $" not in told(response)


def test_a_new_public_channel_with_a_dollar_is_refused(admin):
    response = admin.post(ADD, fields("$news", "public"))
    assert "must be named “news”" in response.content.decode()
    assert not Channel.objects.exists()


def test_a_name_that_is_taken_with_its_dollar(admin):
    Channel.objects.create(name="$news", level="users")
    response = admin.post(ADD, fields("news", "staff"))
    assert response.status_code == 200
    assert "already exists" in response.content.decode()


def test_255_characters_and_no_room_for_the_dollar(admin):
    response = admin.post(ADD, fields("x" * 255, "users"))
    assert response.status_code == 200
    assert not Channel.objects.exists()


def test_a_bad_name_says_what_would_be_right(admin):
    response = admin.post(ADD, fields("order:1", "public"))
    assert "order-1" in response.content.decode()


def test_a_later_change_of_level_is_refused_and_names_the_new_name(admin):
    channel = Channel.objects.create(name="$news", level="users")
    response = admin.post(f"{LIST}{channel.pk}/change/", fields("$news", "public"))
    assert "must be named “news”" in response.content.decode()
    channel.refresh_from_db()
    assert channel.level == "users"
    admin.post(f"{LIST}{channel.pk}/change/", fields("news", "public"))
    channel.refresh_from_db()
    assert (channel.name, channel.level) == ("news", "public")


def test_a_change_to_a_private_level_is_refused_too(admin):
    channel = Channel.objects.create(name="news", level="public")
    response = admin.post(f"{LIST}{channel.pk}/change/", fields("news", "staff"))
    assert "must be named “$news”" in response.content.decode()


def test_groups_without_effect_are_said(admin):
    group = Group.objects.create(name="red")
    response = admin.post(ADD, fields("$other", "groups", groups=[group.pk]))
    assert "no effect" not in told(response)
    response = admin.post(ADD, fields("$news", "staff", groups=[group.pk]))
    assert "no effect" in told(response)


def test_publishers_without_effect_are_said(admin):
    more = {"publish_level": "listed", "publishers": str(admin.session["_auth_user_id"])}
    response = admin.post(ADD, fields("one", "public", **more))
    assert Channel.objects.get().publishers.count() == 1
    assert "no effect" not in told(response)
    response = admin.post(ADD, fields("two", "public", **{**more, "publish_level": "staff"}))
    assert "only on “Listed groups and users”" in told(response)


def test_a_new_channel_has_no_level_before_somebody_chooses(admin):
    """The model's default would make a “$public” of a “public”."""
    page = admin.get(ADD).content.decode()
    [select] = re.findall(r'<select name="level".*?</select>', page, re.DOTALL)
    assert re.findall(r'<option value="(\w*)" selected', select) == [""]
    response = admin.post(ADD, fields("public", ""))
    assert "This field is required" in response.content.decode()
    assert not Channel.objects.exists()


def test_a_level_in_the_address_of_the_form_is_taken(admin):
    page = admin.get(f"{ADD}?level=users").content.decode()
    assert '<option value="users" selected>' in page


def test_the_level_of_a_channel_stays_chosen(admin):
    channel = Channel.objects.create(name="$news", level="staff")
    page = admin.get(f"{LIST}{channel.pk}/change/").content.decode()
    [select] = re.findall(r'<select name="level".*?</select>', page, re.DOTALL)
    assert '<option value="staff" selected>' in select
    assert 'value=""' not in select


def test_nobody_in_it_is_said_and_saved(admin, make_user):
    group = Group.objects.create(name="red")
    for name, more in (
        ("$one", {"groups": [group.pk]}), ("$two", {"members": str(make_user().pk)})
    ):  # fmt: skip
        assert "Nobody may" not in told(admin.post(ADD, fields(name, "groups", **more)))
    response = admin.post(ADD, fields("$three", "groups"))
    assert Channel.objects.get(name="$three").level == "groups"
    assert "Nobody may subscribe yet" in told(response)


def test_nobody_who_may_publish_is_said_and_saved(admin):
    group = Group.objects.create(name="red")
    listed = fields("one", "public", publish_level="listed", publish_groups=[group.pk])
    assert "Nobody may publish yet" not in told(admin.post(ADD, listed))
    response = admin.post(ADD, fields("two", "public", publish_level="listed"))
    assert Channel.objects.get(name="two").publish_level == "listed"
    assert "Nobody may publish yet" in told(response)


def test_the_form_brings_its_script_and_no_inline_one(admin):
    page = admin.get(ADD).content.decode()
    assert "instant/admin/channel.js" in page
    assert 'data-instant-shows="groups members" data-instant-on="groups"' in page
    assert 'data-instant-shows="publish_groups publishers" data-instant-on="listed"' in page
    inline = re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", page)
    assert inline == []
    # Without JavaScript all are there.
    for field in ("groups", "members", "publish_groups", "publishers"):
        [row] = re.findall(rf'<div class="([^"]*\bfield-{field}\b[^"]*)"', page)
        assert "hidden" not in row.split()


@pytest.mark.parametrize(
    ("level", "publish_level", "shown"),
    [
        ("staff", "nobody", set()),
        ("groups", "nobody", {"groups", "members"}),
        ("staff", "listed", {"publish_groups", "publishers"}),
    ],
)
def test_whoever_may_only_look_sees_the_pickers_that_count(
    client, make_user, level, publish_level, shown
):
    channel = Channel.objects.create(name="$news", level=level, publish_level=publish_level)
    user = make_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_channel"))
    client.force_login(user)
    page = client.get(f"{LIST}{channel.pk}/change/").content.decode()
    fields = set(re.findall(r"form-row field-(\w+)", page))
    assert fields & {"groups", "members", "publish_groups", "publishers"} == shown
    assert {"name", "level", "publish_level", "presence_level"} <= fields


@pytest.mark.parametrize(("level", "url", "warns"), [
    ("nobody", None, False), ("staff", None, True), ("staff", "http://127.0.0.1:8000", False),
])  # fmt: skip
def test_publishing_that_the_server_can_not_ask_about_is_said(admin, level, url, warns):
    with override_settings(INSTANT={"DIR": "/nonexistent", "PROXY_URL": url}):
        response = admin.post(ADD, fields("news", "public", publish_level=level))
    assert Channel.objects.get().publish_level == level
    assert ("PROXY_URL" in told(response)) is warns


def test_list_filters_and_search(admin):
    group = Group.objects.create(name="red")
    for number in range(60):
        channel = Channel.objects.create(name=f"$c{number}", level="groups", description="about x")
        channel.groups.add(group)
    Channel.objects.create(name="public", level="public", is_active=False)
    assert "60 channels" in admin.get(LIST + "?level__exact=groups").content.decode()
    assert "1 channel" in admin.get(LIST + "?is_active__exact=0").content.decode()
    assert "1 result" in admin.get(LIST + "?q=publ").content.decode()
    assert "60 results" in admin.get(LIST + "?q=about").content.decode()


def test_the_list_takes_a_constant_number_of_queries(admin, django_assert_max_num_queries):
    for number in range(50):
        channel = Channel.objects.create(name=f"$c{number}", level="groups")
        channel.groups.add(Group.objects.create(name=f"g{number}"))
    with django_assert_max_num_queries(8):
        admin.get(LIST)


def action(admin, *channels):
    return admin.post(
        LIST, {"action": "publish_test_message", "_selected_action": [c.pk for c in channels]}
    )


def test_publish_a_test_message(admin, publications):
    one = Channel.objects.create(name="a", level="public")
    two = Channel.objects.create(name="$b", level="users")
    response = action(admin, one, two)
    assert "2 channels" in told(response)
    publications.assert_published("a", "Test message from root", event_class="test", count=1)
    publications.assert_published("$b", "Test message from root", event_class="test", count=1)
    assert {p.state for p in publications} == {"sent"}  # at once, so that a failure is seen


def test_who_may_only_look_may_not_publish(client, make_user, publications):
    user = make_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_channel"))
    client.force_login(user)
    channel = Channel.objects.create(name="a", level="public")
    assert "Publish a test message" not in client.get(LIST).content.decode()
    action(client, channel)
    publications.assert_nothing_published()


def test_counts_do_not_multiply(admin, make_user):
    channel = Channel.objects.create(name="$c", level="groups")
    channel.groups.set([Group.objects.create(name=f"g{n}") for n in range(3)])
    channel.members.set([make_user(f"u{n}") for n in range(4)])
    page = admin.get(LIST).content.decode()
    assert 'field-group_count">3<' in page
    assert 'field-member_count">4<' in page


def test_a_failed_test_message_is_told(admin):
    channels = [Channel.objects.create(name=name, level="public") for name in "abc"]
    with override_settings(
        CENTRIFUGO_PORT=1,
        INSTANT={"DIR": "/x", "BACKEND": "instant.backends.centrifugo.CentrifugoBackend"},
    ):
        response = action(admin, *channels)
    assert told(response).count("manage.py runws") == 1
    assert "Published" not in told(response)


def test_what_code_declares_is_shown_and_not_changed(admin, registry):
    channel("$desk", level="groups", groups=["desk"], description="The desk")
    row = Channel.objects.create(name="$desk", level="groups", description="The desk")
    free = Channel.objects.create(name="free", level="public")
    page = admin.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "tests.test_admin:" in page
    assert 'name="level"' not in page
    assert 'name="groups"' not in page
    assert 'name="members"' in page
    assert "deletelink" not in page
    response = admin.post(
        f"{LIST}{row.pk}/change/",
        fields("$other", "public", publish_level="staff", description="by hand"),
    )
    assert response.status_code == 302
    assert "Nobody may subscribe yet" not in told(response)
    row.refresh_from_db()
    assert (row.name, row.level, row.description) == ("$desk", "groups", "The desk")
    assert row.publish_level == "staff"
    assert admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [row.pk, free.pk], "post": "yes"}
    admin.post(LIST, chosen)
    assert Channel.objects.count() == 2
    page = admin.get(f"{LIST}{free.pk}/change/").content.decode()
    assert "declared in" not in page.lower()
    assert 'name="level"' in page
