"""Which tenant is looked into, and when."""

import pytest

from instant.revoking import rounds
from instant.revoking.rounds import Rounds
from tests.tenancy import fake


@pytest.fixture
def looking(tenants, monkeypatch, registry):
    now, seen, due = [100.0], [], {}

    def look():
        name = fake.CURRENT.get()
        seen.append(name)
        found = due.get(name)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(rounds, "close_old_connections", lambda: None)
    return Rounds(look, lambda: now[0]), now, seen, due


def test_each_is_looked_into_every_five_seconds(looking):
    about, now, seen, _ = looking
    assert about.look() is None
    about.look()
    now[0] += 4.5
    about.look()
    assert seen == ["acme", "globex"] * 2


def test_what_is_known_to_be_due_is_looked_into_then(looking):
    about, now, seen, due = looking
    due["globex"] = 2.0
    assert about.look() == 2.0
    now[0] += 1.9
    about.look()
    assert seen == ["acme", "globex"]
    now[0] += 0.1
    due["globex"] = None
    assert about.look() is None
    assert seen == ["acme", "globex", "globex"]


def test_who_is_called_for_is_looked_into_at_once(looking):
    about, _, seen, _ = looking
    about.look()
    about.call({"globex"})
    about.look()
    assert seen == ["acme", "globex", "globex"]


def test_a_new_tenant_that_is_called_for_is_found(looking, monkeypatch):
    about, _, seen, _ = looking
    about.look()
    monkeypatch.setattr(fake.ContextTenants, "names", ("acme", "globex", "new"))
    about.call({"new"})
    about.look()
    assert seen == ["acme", "globex", "new"]


def test_one_that_fails_holds_up_no_other_and_is_tried_again(looking, caplog):
    about, now, seen, due = looking
    due["acme"] = OSError("away")
    about.look()
    now[0] += 5
    about.look()
    assert seen == ["acme", "globex"] * 2
    now[0] += 5  # the second pause is twice as long
    about.look()
    assert seen[4:] == ["globex"]
    assert caplog.text.count("“acme”: away") == 1


def test_where_all_fail_the_rest_is_left_for_later(looking, monkeypatch):
    about, _now, seen, due = looking
    names = [f"t{n}" for n in range(10)]
    monkeypatch.setattr(fake.ContextTenants, "names", names)
    due.update(dict.fromkeys(names, OSError("away")))
    about.look()
    assert len(seen) == 3
    about.look()
    assert sorted(set(seen)) == names[:6]


def test_many_take_longer_and_what_is_due_comes_first(looking, monkeypatch):
    about, now, seen, _due = looking
    monkeypatch.setattr(fake.ContextTenants, "names", [f"t{n:03}" for n in range(250)])
    about.look()
    assert len(seen) == 100
    about.call({"t249"})
    now[0] += 5
    about.look()
    assert seen[100] == "t249"
    now[0] += 5
    about.look()
    assert len(seen) == 250
    now[0] += 2.5
    about.look()
    assert seen[250] == "t000"


def test_a_bad_name_fails_alone(looking, monkeypatch, caplog):
    about, _, seen, _ = looking
    monkeypatch.setattr(fake.ContextTenants, "names", ("a/b", "acme"))
    about.look()
    assert seen == ["acme"]
    assert "letters, digits" in caplog.text


def test_a_tenant_with_something_to_do_is_reason_enough(looking):
    about, now, _, _ = looking
    assert not about.any(lambda: False)
    assert not about.any(lambda: True)  # believed for a minute
    now[0] += 60
    assert about.any(lambda: fake.CURRENT.get() == "globex")
