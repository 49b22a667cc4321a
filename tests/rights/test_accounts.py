"""Whom a token names: who Django's authentication would return for a session."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.models import UserManager
from django.test import override_settings

from instant.rights import accounts

HERE = "tests.rights.test_accounts"
DJANGO = "django.contrib.auth.backends"


class NoBots(UserManager):
    """A default manager that hides some users."""

    def get_queryset(self):
        return super().get_queryset().exclude(username__startswith="bot")


class NotLocked(ModelBackend):
    def user_can_authenticate(self, user):
        return super().user_can_authenticate(user) and user.last_name != "locked"


class Undeleted(BaseBackend):
    """A backend with a query of its own, as for users that are deleted softly."""

    def get_user(self, user_id):
        found = get_user_model().objects.filter(pk=user_id)
        return found.exclude(last_name="deleted").first()


class Grants:
    """What only grants permissions."""

    def has_perm(self, user, perm, obj=None):
        return True


def names(*users):
    return {user.username for user in accounts.users([str(u.pk) for u in users]).values()}


@pytest.fixture
def people(make_user):
    return [
        make_user("ann"),
        make_user("bot"),
        make_user("old", is_active=False),
        make_user("gone", last_name="deleted"),
        make_user("shut", last_name="locked"),
    ]


EVERYBODY = {"ann", "bot", "old", "gone", "shut"}
BACKENDS = [
    ([f"{DJANGO}.ModelBackend"], EVERYBODY),
    ([f"{DJANGO}.AllowAllUsersModelBackend"], EVERYBODY),
    ([f"{DJANGO}.RemoteUserBackend"], EVERYBODY),
    ([f"{HERE}.NotLocked"], EVERYBODY - {"shut"}),
    ([f"{HERE}.Undeleted"], EVERYBODY - {"gone"}),
    ([f"{HERE}.Grants", f"{HERE}.Undeleted"], EVERYBODY - {"gone"}),
    ([f"{HERE}.NotLocked", f"{HERE}.Undeleted"], EVERYBODY),
    ([f"{HERE}.Grants"], EVERYBODY),
    ([], EVERYBODY),
]


@pytest.mark.parametrize(("backends", "found"), BACKENDS)
def test_whom_the_backends_return_and_who_is_deactivated(people, backends, found):
    with override_settings(AUTHENTICATION_BACKENDS=backends):
        assert names(*people) == found


def test_whom_the_default_manager_hides(people, monkeypatch):
    manager = NoBots()
    manager.model = get_user_model()
    monkeypatch.setattr(get_user_model()._meta, "default_manager", manager, raising=False)
    assert get_user_model()._default_manager is manager
    assert names(*people) == EVERYBODY - {"bot"}


def test_names_that_are_none(make_user):
    ann = make_user("ann")
    assert accounts.users(["", "x", f"0{ann.pk}", f" {ann.pk}", "9" * 400, "None"]) == {}
    assert accounts.account("") is None
    assert accounts.account(str(ann.pk)) == ann


def test_one_query_for_everybody(make_user, django_assert_num_queries):
    users = [make_user(f"user{n}") for n in range(50)]
    with django_assert_num_queries(1):
        assert len(names(*users)) == 50
