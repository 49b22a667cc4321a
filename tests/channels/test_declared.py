"""Channels of one fixed name, declared in code."""

import pytest

from instant import channel
from instant.channels.declared import conflicts, declared_channels, find_declared

pytestmark = pytest.mark.usefixtures("registry")


def test_what_is_said_is_kept_and_the_rest_is_not():
    assert channel("$desk", level="groups", groups=["desk", "desk"], description="") == "$desk"
    (found,) = declared_channels()
    assert dict(found.columns) == {"level": "groups", "description": ""}
    assert dict(found.groups) == {"groups": ("desk",)}
    assert found.fields == {"name", "level", "description", "groups"}
    assert found.place.startswith("tests.channels.test_declared:")
    assert find_declared("$desk") is found
    assert find_declared("desk") is None


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("$news", {"level": "public"}, "must be named 'news'"),
        ("news", {"level": "staff"}, "must be named '$news'"),
        ("news", {"level": "everybody"}, "level is one of 'public', 'users'"),
        ("news", {"level": "public", "store": "always"}, "store is one of 'disabled'"),
        ("news", {"level": "public", "presence_level": "listed"}, "presence_level is one of"),
        ("$n", {"level": "users", "groups": ["a"]}, "groups counts with level='groups' only"),
        ("$n", {"level": "users", "publish_groups": ["a"]}, "publish_level='listed' only"),
        ("a b", {"level": "public"}, "a b"),
        ("a#b", {"level": "public"}, "#"),
    ],
)
def test_what_no_row_could_be_is_refused_where_it_is_declared(name, said, told):
    with pytest.raises(ValueError, match=r"channel\(") as info:
        channel(name, **said)
    assert told in str(info.value)
    assert declared_channels() == []


@pytest.mark.parametrize("groups", ["desk", [""], [7]])
def test_groups_are_named(groups):
    with pytest.raises(TypeError, match="list of groups' names"):
        channel("$desk", level="groups", groups=groups)


def test_a_name_that_is_declared_twice_is_told_with_both_places():
    channel("news", level="public")
    channel("news", level="public", description="again")
    ((name, places),) = conflicts()
    assert name == "news"
    assert len(set(places)) == 2
    assert len(declared_channels()) == 1
