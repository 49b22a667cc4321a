"""Web push and reminders: what the settings may say."""

import pytest

from instant import conf
from instant.conf.push import parse_push
from instant.conf.reminders import parse_reminders
from instant.exceptions import InstantConfigError

KEY = "qEL-Ejtk7zQ7gVXPWNnqqPqzvVMH7qvLPMDHdvMW5mw"
GIVEN = {"PRIVATE_KEY": KEY, "CONTACT": "mailto:ops@example.com"}


def test_defaults():
    found = parse_push(GIVEN)
    assert (found.per_user, found.delay, found.ttl, found.timeout) == (10, 0, 86_400, 10)
    assert found.unless_present is False
    assert KEY not in repr(found)
    assert parse_push({**GIVEN, "PRIVATE_KEY": f" {KEY}= "}).private_key == KEY
    assert parse_push(None) is None
    assert parse_reminders(None) is None
    assert parse_reminders({}).after == 30
    assert parse_reminders({"URL": "https://x.example/"}).url == "https://x.example"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"PRIVATE_KEY": None}, "vapidkeys"),
        ({"PRIVATE_KEY": "secret"}, "vapidkeys"),
        ({"PRIVATE_KEY": "A" * 43}, "vapidkeys"),
        ({"PRIVATE_KEY": "_" * 43}, "vapidkeys"),
        ({"CONTACT": None}, "CONTACT"),
        ({"CONTACT": "ops@example.com"}, "CONTACT"),
        ({"CONTACT": "http://example.com"}, "CONTACT"),
        ({"SERVICES": "push.example.com"}, "list"),
        ({"SERVICES": ["https://push.example.com"]}, "hosts"),
        ({"SERVICES": ["10.0.0.1"]}, "hosts"),
        ({"SERVICES": ["*"]}, "hosts"),
        ({"SERVICES": ["*.com"]}, "hosts"),
        ({"SERVICES": ["localhost"]}, "hosts"),
        ({"PER_USER": 0}, "PER_USER"),
        ({"TTL": True}, "TTL"),
        ({"TIMEOUT": 61}, "TIMEOUT"),
        ({"DELAY": 1.5}, "DELAY"),
        ({"UNLESS_PRESENT": 1}, "UNLESS_PRESENT"),
        ({"ICON": ""}, "ICON"),
        ({"KEY": 1}, "unknown key 'KEY'"),
    ],
)
def test_what_can_not_be(more, says):
    with pytest.raises(ValueError, match=says) as raised:
        parse_push({**GIVEN, **more})
    assert KEY not in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (5, "dict"),
        ({"AFTER": 0}, "AFTER"),
        ({"AFTER": "30"}, "AFTER"),
        ({"SEND": "mails"}, "SEND"),
        ({"LANGUAGE": 5}, "LANGUAGE"),
        ({"URL": "shop.example"}, "URL"),
        ({"URL": "https://shop.example/?a"}, "URL"),
        ({"EVERY": 5}, "unknown key 'EVERY'"),
    ],
)
def test_what_reminders_can_not_be(given, says):
    with pytest.raises(ValueError, match=says):
        parse_reminders(given)


def test_a_wrong_setting_is_named(settings):
    settings.INSTANT = {**settings.INSTANT, "PUSH": [KEY]}
    with pytest.raises(InstantConfigError, match=r"INSTANT\['PUSH'\] must be a dict") as raised:
        conf.current()
    assert KEY not in str(raised.value)
