"""Channel rows: names, the $, and what the database holds."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from instant.models import Channel

pytestmark = pytest.mark.django_db


def test_defaults():
    channel = Channel(name="$x")
    assert (channel.level, channel.is_active, channel.description) == ("superuser", True, "")
    channel.full_clean()
    channel.save()
    assert str(channel) == "$x"


@pytest.mark.parametrize("name", ["order:1", "a b", "a#b", "a*", "ü", "$", "", "x" * 256, "a$b"])
def test_names_are_validated_also_by_save(name):
    with pytest.raises(ValidationError):
        Channel(name=name, level="public").full_clean()
    with pytest.raises(ValidationError):
        Channel.objects.create(name=name, level="public")


def test_255_bytes_and_the_dollar_included():
    Channel.objects.create(name="x" * 255, level="public")
    Channel.objects.create(name="$" + "x" * 254)
    with pytest.raises(ValidationError):
        Channel.objects.create(name="$" + "x" * 255)


@pytest.mark.parametrize(
    ("name", "level", "right"),
    [("news", "users", "$news"), ("news", "superuser", "$news"), ("$news", "public", "news")],
)
def test_the_dollar_rule_names_the_right_name(name, level, right):
    channel = Channel(name=name, level=level)
    for check in (channel.full_clean, channel.save):
        with pytest.raises(ValidationError) as info:
            check()
        assert f"“{right}”" in str(info.value)
    assert channel.right_name() == right


def test_a_change_of_level_is_held_too():
    channel = Channel.objects.create(name="$news", level="users")
    channel.level = "public"
    with pytest.raises(ValidationError, match="news"):
        channel.save()
    with pytest.raises(ValidationError, match="news"):
        channel.save(update_fields=["level"])
    channel.description = "y"
    channel.save(update_fields=["description"])  # touches neither


@pytest.mark.parametrize(("name", "level"), [("news", "users"), ("$news", "public")])
def test_the_database_holds_it_where_save_is_not_asked(name, level):
    with pytest.raises(IntegrityError), transaction.atomic():
        Channel.objects.bulk_create([Channel(name=name, level=level)])
    Channel.objects.create(name="$good", level="users")
    with pytest.raises(IntegrityError), transaction.atomic():
        Channel.objects.filter(name="$good").update(level="public")


def test_the_database_holds_that_no_active_row_is_in_a_namespace():
    with pytest.raises(IntegrityError), transaction.atomic():
        Channel.objects.bulk_create([Channel(name="user:2", level="public")])
    Channel.objects.bulk_create([Channel(name="user:2", level="public", is_active=False)])


def test_names_are_unique():
    Channel.objects.create(name="$x")
    with pytest.raises(IntegrityError), transaction.atomic():
        Channel.objects.create(name="$x")


def test_ordered_by_name():
    for name in ("b", "a", "c"):
        Channel.objects.create(name=name, level="public")
    assert [c.name for c in Channel.objects.all()] == ["a", "b", "c"]
