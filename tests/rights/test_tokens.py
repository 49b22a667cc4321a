"""What a token says."""

import time

import jwt
import pytest
from django.test import override_settings

from instant.exceptions import InstantConfigError
from instant.rights import tokens
from tests.tracebacks import all_locals

KEY = "test-hmac-key-0123456789-0123456789-0123456789"


def claims(token, key=KEY):
    return jwt.decode(token.value, key, algorithms=["HS256"], audience="tests")


def test_the_subject_is_the_primary_key(make_user):
    user = make_user("a.name@with+signs")
    found = claims(tokens.Signer(user).connection_token())
    assert found["sub"] == str(user.pk)  # not the name: it changes, is reused, and is private
    assert set(found) == {"sub", "exp", "expire_at", "aud"}
    assert found["aud"] == "tests"


def test_a_token_is_used_for_seconds_and_what_it_opens_lives_an_hour(make_user):
    found = claims(tokens.Signer(make_user()).connection_token())
    now = time.time()
    assert now < found["exp"] <= now + 30
    assert now + 3200 < found["expire_at"] < now + 4000


def test_channel_token(make_user):
    user = make_user()
    token = tokens.Signer(user).channel_token("$users")
    found = claims(token)
    assert (found["sub"], found["channel"]) == (str(user.pk), "$users")
    assert "client" not in found
    assert (token.exp, token.expire_at) == (found["exp"], found["expire_at"])


@pytest.mark.parametrize("kind", ["none", "anonymous"])
def test_anonymous_subject_is_empty(anonymous, kind):
    assert (
        claims(tokens.Signer(anonymous if kind == "anonymous" else None).connection_token())["sub"]
        == ""
    )


def test_the_tokens_of_one_answer_live_equally_long(make_user):
    signer = tokens.Signer(make_user())
    lives = {signer.channel_token(f"c{n}").expire_at for n in range(9)}
    assert lives == {signer.connection_token().expire_at}


def test_lives_differ_so_that_not_all_refresh_at_once(make_user):
    user = make_user()
    assert len({tokens.Signer(user).connection_token().expire_at for _ in range(50)}) > 5


def test_settings_are_read_when_used(make_user):
    user = make_user()
    with override_settings(
        CENTRIFUGO_HMAC_KEY="another-key-0123456789-0123456789-01",
        SITE_NAME="Zwei Häuser",
        INSTANT={"DIR": "/nonexistent", "TOKEN_USE": 5, "TOKEN_LIFE": 60},
    ):
        token = tokens.Signer(user).connection_token()
        found = jwt.decode(
            token.value,
            "another-key-0123456789-0123456789-01",
            algorithms=["HS256"],
            audience="zwei-hauser",
        )
    assert found["exp"] <= time.time() + 5
    assert found["expire_at"] <= time.time() + 67


def test_without_a_key_no_token_is_minted(make_user):
    user = make_user()
    with (
        override_settings(CENTRIFUGO_HMAC_KEY=None),
        pytest.raises(InstantConfigError, match="installws"),
    ):
        tokens.Signer(user).connection_token()


def test_a_token_does_not_show_in_its_repr(make_user):
    token = tokens.Signer(make_user()).connection_token()
    assert token.value not in repr(token)
    assert str(token.exp) in repr(token)


@pytest.mark.parametrize("info", [object(), float("nan"), {1, 2}])
def test_what_can_not_be_encoded_fails_without_the_key(make_user, info):
    signer = tokens.Signer(make_user())
    with pytest.raises((TypeError, ValueError)):
        signer.channel_token("a:1", info=info)
    try:
        signer.channel_token("a:1", info=info)
    except (TypeError, ValueError):
        assert KEY not in all_locals()


def test_a_key_that_can_not_sign_is_in_no_report(make_user):
    """PyJWT refuses what looks like a key of another kind."""
    key = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC0123456789"
    with override_settings(CENTRIFUGO_HMAC_KEY=key):
        signer = tokens.Signer(make_user())
        try:
            signer.connection_token()
        except InstantConfigError:
            assert key not in all_locals()
        else:
            pytest.fail("it signed")
