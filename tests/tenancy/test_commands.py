"""Commands that were run in the shared part of a site, which may have no tables of ours."""

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError

from instant.management.commands import listen
from instant.rights import explain


def fails(*_args, **_kwargs):
    raise ProgrammingError('relation "instant_channel" does not exist')


@pytest.mark.parametrize("command", [["channels"], ["listen", "news"]])
def test_they_say_how_to_name_a_tenant(tenants, monkeypatch, command):
    monkeypatch.setattr(explain, "kinds", fails)
    monkeypatch.setattr(listen, "find_user", fails)
    with pytest.raises(CommandError, match="tenant_command"):
        call_command(*command)
    with tenants.activate("acme"), pytest.raises(ProgrammingError):  # which isn't migrated
        call_command(*command)


def test_without_tenants_the_error_is_the_databases(monkeypatch):
    monkeypatch.setattr(explain, "kinds", fails)
    with pytest.raises(ProgrammingError):
        call_command("channels")
