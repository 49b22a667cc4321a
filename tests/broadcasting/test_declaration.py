"""What can be wrong with what a model says of its broadcasting."""

import pytest
from django.contrib.auth.models import Group
from django.core.checks import run_checks

from instant.broadcasting import receivers
from instant.broadcasting.declaration import declarations, problems
from instant.broadcasts import broadcasts

pytestmark = pytest.mark.usefixtures("registry")


def declare(model=Group, **options):
    broadcasts(model)(type("Options", (), options))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "channels must be"),
        ({"channels": 7}, "channels must be"),
        ({"channels": ["a", 7]}, "channels must be"),
        (
            {"channels": "a", "event": ("created",)},
            ".event is unknown. Known are: channels, events",
        ),
        ({"channels": "a", "events": "created"}, "events must be some of 'created', 'updated'"),
        ({"channels": "a", "events": ["saved"]}, "events must be some of"),
        ({"channels": "a", "fields": "name"}, "fields must be a list"),
        ({"channels": "a", "fields": ["nam"]}, "'nam' is no field of auth.Group"),
        ({"channels": "a", "payload": {}}, "payload must be a function"),
        ({"channels": "a", "is_deleted": True}, "is_deleted must be a function"),
        ({"channels": "a", "serializer": "no.where"}, "serializer: No module named 'no'"),
        ({"channels": "a", "serializer": dict}, "is no serializer"),
        (
            {
                "channels": "a",
                "payload": repr,
                "serializer": "rest_framework.serializers.Serializer",
            },
            "has a payload and a serializer",
        ),
    ],
)
def test_problems_are_told_by_a_check_and_such_a_model_tells_nothing(options, told):
    declare(**options)
    (problem,) = problems()
    assert told in problem
    assert problem.startswith("tests.broadcasting.test_declaration.Options")
    assert [m.msg for m in run_checks() if m.id == "instant.E018"] == [problem]
    assert list(declarations()) == []


@pytest.mark.parametrize("model", ["auth.Grop", "Group", 7, dict])
def test_a_model_that_is_not_there(model):
    declare(model, channels="a")
    (problem,) = problems()
    assert "there is no such model" in problem
    receivers.connect()


def test_a_model_that_is_declared_twice():
    declare(channels="a")
    declare("auth.Group", channels="b")
    (problem,) = problems()
    assert "auth.Group broadcasts already" in problem


def test_what_is_right_is_told_by_nothing():
    declare(channels=["a"], fields=["name", "permissions"], events=["created"])
    declare(
        "auth.User", channels=lambda user: "a", serializer="rest_framework.serializers.Serializer"
    )
    assert list(problems()) == []
    assert {d.name for d in declarations()} == {"group", "user"}
