"""Signed references: they end, belong to a tenant and a kind, and are not made elsewhere."""

import pytest
from django.core import signing
from django.test import override_settings

from instant.pages import reference
from instant.pages.reference import InvalidReference
from tests.tenancy.fake import instance

WHAT = {"template": "orders/_status.html", "pk": 42, "names": ["order"], "title": "Größe"}
TENANTS = {"TENANT": "tests.tenancy.fake.instance"}


def test_what_was_signed_is_read():
    text = reference.sign("fragment", WHAT)
    assert reference.read("fragment", text) == WHAT
    assert text.isascii()


def test_a_key_that_was_replaced_counts_while_django_lets_it():
    text = reference.sign("fragment", WHAT)
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[]):
        with pytest.raises(InvalidReference, match="not one of this site's"):
            reference.read("fragment", text)
        signing_key = "tests-only-and-long-enough-for-a-signature-of-djangorestframework-simplejwt"
        with override_settings(SECRET_KEY_FALLBACKS=[signing_key]):
            assert reference.read("fragment", text) == WHAT


def test_another_kind_is_refused():
    with pytest.raises(InvalidReference, match="not one of this site's"):
        reference.read("rows", reference.sign("fragment", WHAT))


def test_one_that_was_changed_is_refused():
    text = reference.sign("fragment", WHAT)
    for at in (0, len(text) // 2, len(text) - 1):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises(InvalidReference):
            reference.read("fragment", changed)


@pytest.mark.parametrize("text", [None, 3, [], {}, "", ":", "a:b:c", "é:é:é", "." * 9000, "\x00"])
def test_what_is_none_is_refused(text):
    with pytest.raises(InvalidReference):
        reference.read("fragment", text)


def test_it_ends_with_the_life_of_a_token(monkeypatch):
    now = 1_800_000_000
    monkeypatch.setattr(signing.time, "time", lambda: now)
    text = reference.sign("fragment", WHAT)
    with override_settings(INSTANT={"DIR": "/nonexistent", "TOKEN_LIFE": 600}):
        now += 599
        assert reference.read("fragment", text) == WHAT
        now += 2
        with pytest.raises(InvalidReference, match="expired"):
            reference.read("fragment", text)


@override_settings(INSTANT={"DIR": "/nonexistent", **TENANTS})
def test_another_tenants_is_refused():
    with instance.activate("acme"):
        text = reference.sign("fragment", WHAT)
        assert reference.read("fragment", text) == WHAT
    with (
        instance.activate("globex"),
        pytest.raises(InvalidReference, match="not one of this site's"),
    ):
        reference.read("fragment", text)


def test_a_shared_one_is_the_same_for_a_while_and_ends(monkeypatch):
    life, begin = 3600, 1_800_000_000
    now = begin
    monkeypatch.setattr(reference.time, "time", lambda: now)
    text = reference.sign_shared("fragment", WHAT)
    now = begin + life - 1
    assert reference.sign_shared("fragment", WHAT) == text
    now = begin + life
    assert reference.sign_shared("fragment", WHAT) != text
    assert reference.read_shared("fragment", text) == WHAT
    now = begin + 2 * life + 1
    with pytest.raises(InvalidReference, match="expired"):
        reference.read_shared("fragment", text)


def test_a_shared_one_is_no_other():
    with pytest.raises(InvalidReference):
        reference.read("fragment", reference.sign_shared("fragment", WHAT))
    with pytest.raises(InvalidReference):
        reference.read_shared("fragment", reference.sign("fragment", WHAT))
    for text in (None, 3, "", "a:b"):
        with pytest.raises(InvalidReference):
            reference.read_shared("fragment", text)
