"""Tokens that Django did not sign, or not for this: what a client with tools of its own may try."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
import websockets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from instant import conf
from tests.live.servers import use
from tests.live.subscriber import Subscriber

pytestmark = pytest.mark.conformance
INVALID, NO_TOKEN, EXPIRED, DENIED, TOO_LARGE = 3500, 3501, 109, 103, 1009


def encoded(part):
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims, key, algorithm="HS256", **header):
    """Write a JWT by hand: PyJWT refuses to sign some of what a forger would."""
    head = {"typ": "JWT", "alg": algorithm, **header}
    text = f"{encoded(head)}.{encoded(claims)}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
    if algorithm not in digest:
        return f"{text}."
    return f"{text}.{encoded(hmac.new(key, text.encode(), digest[algorithm]).digest())}"


PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.fixture(autouse=True)
def settings_of_the_server(server):
    with use(server):
        yield


@pytest.fixture
def key():
    return conf.current().hmac_key.encode()


@pytest.fixture
def opened(server):
    found = []

    def open_one():
        found.append(Subscriber(server.url, origin="http://testserver"))
        return found[-1]

    yield open_one
    for subscriber in found:
        subscriber.close()


def good(**changes):
    claims = {"sub": "7", "aud": "tests", "exp": int(time.time()) + 60, **changes}
    return {name: value for name, value in claims.items() if value is not ...}


def outcome(ask, *args):
    """Tell how the server answers: the reply's kind, its error code, or the closing code."""
    try:
        reply = ask(*args)
    except websockets.ConnectionClosed as exc:
        return exc.rcvd.code
    return reply["error"]["code"] if "error" in reply else next(k for k in reply if k != "id")


def late():
    return int(time.time()) - 1


FORGED = {
    "none": lambda k: signed(good(), k, "none"),
    "None": lambda k: signed(good(), k, "None"),
    "nOnE": lambda k: signed(good(), k, "nOnE"),
    "no algorithm": lambda k: signed(good(), k, ""),
    "unsigned": lambda k: signed(good(), k).rpartition(".")[0] + ".",
    "two parts": lambda k: signed(good(), k).rpartition(".")[0],
    "four parts": lambda k: signed(good(), k) + ".x",
    "another key": lambda k: signed(good(), b"another-key-0123456789-0123456789-01"),
    "empty key": lambda k: signed(good(), b""),
    "RS256": lambda k: jwt.encode(good(), PRIVATE, "RS256"),
    "RS256, signed with the secret": lambda k: f"{encoded({'typ': 'JWT', 'alg': 'RS256'})}.{signed(good(), k).partition('.')[2]}",
    "HS256 with a public key": lambda k: signed(good(), PUBLIC),
    "a key in the header": lambda k: signed(
        good(), b"mine", jwk={"kty": "oct", "k": encoded(b"mine")}
    ),
    "a key's address": lambda k: signed(good(), b"mine", jku="http://127.0.0.1:1/keys", kid="x"),
    "a path as kid": lambda k: signed(good(), b"", kid="/dev/null"),
    "changed claims": lambda k: signed(good(), k).replace(
        encoded(good()), encoded(good(sub="1"))
    ),
    "another site's": lambda k: signed(good(aud="another"), k),
    "no aud": lambda k: signed(good(aud=...), k),
    "empty aud": lambda k: signed(good(aud=""), k),
    "aud in capitals": lambda k: signed(good(aud="TESTS"), k),
    "aud is a number": lambda k: signed(good(aud=1), k),
    "sub is a number": lambda k: signed(good(sub=7), k),
    "sub is a list": lambda k: signed(good(sub=["7"]), k),
    "sub is null and more": lambda k: signed(good(sub={}), k),
    "exp is text": lambda k: signed(good(exp="never"), k),
    "no JSON": lambda k: f"{encoded({'alg': 'HS256'})}.{encoded(b'x')}.{encoded(b'y')}",
    "no token": lambda k: "x",
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_forged_connection_tokens(opened, key, case):
    assert outcome(opened().connect, FORGED[case](key)) == INVALID


@pytest.mark.parametrize("exp", [late, lambda: 1])
def test_expired_connection_tokens(opened, key, exp):
    """109: the page asks Django for another."""
    assert outcome(opened().connect, signed(good(exp=exp()), key)) == EXPIRED
    assert outcome(opened().connect, signed(good(nbf=time.time() + 1000), key)) == EXPIRED


def test_a_token_of_many_kilobytes(opened):
    token = signed(good(x="y" * 60_000), b"another")
    assert outcome(opened().connect, token) == TOO_LARGE


def test_no_token_at_all(opened):
    assert outcome(opened().connect, "") == NO_TOKEN


def test_a_good_one_is_taken(opened, key):
    """Else all of the above would pass on a server that is shut."""
    assert outcome(opened().connect, signed(good(), key)) == "connect"
    assert outcome(opened().connect, signed(good(aud=["x", "tests"]), key)) == "connect"


SUBSCRIPTIONS = {
    "another user's": lambda k: signed(good(sub="8", channel="$a"), k),
    "an anonymous visitor's": lambda k: signed(good(sub="", channel="$a"), k),
    "nobody's": lambda k: signed(good(sub=..., channel="$a"), k),
    "sub is a number": lambda k: signed(good(sub=7, channel="$a"), k),
    "another channel's": lambda k: signed(good(channel="$b"), k),
    "a prefix": lambda k: signed(good(channel="$"), k),
    "another case": lambda k: signed(good(channel="$A"), k),
    "a pattern": lambda k: signed(good(channel="*"), k),
    "no channel": lambda k: signed(good(), k),
    "channels": lambda k: signed(good(channels=["$a"]), k),
    "a list": lambda k: signed(good(channel=["$a"]), k),
    "another site's": lambda k: signed(good(channel="$a", aud="another"), k),
    "no aud": lambda k: signed(good(channel="$a", aud=...), k),
    "none": lambda k: signed(good(channel="$a"), k, "none"),
    "RS256": lambda k: jwt.encode(good(channel="$a"), PRIVATE, "RS256"),
    "HS256 with a public key": lambda k: signed(good(channel="$a"), PUBLIC),
    "another key": lambda k: signed(good(channel="$a"), b"another"),
    "changed": lambda k: signed(good(channel="$b"), k).replace(
        encoded(good(channel="$b")), encoded(good(channel="$a"))
    ),
}


OF_ANOTHER = {
    "another user's", "an anonymous visitor's", "nobody's", "another channel's", "a prefix",
    "another case", "a pattern",
}  # fmt: skip
"""Well signed, and for somebody or something else: the connection is closed for it."""


@pytest.mark.parametrize("case", SUBSCRIPTIONS)
def test_forged_subscription_tokens(opened, key, case):
    subscriber = opened()
    assert outcome(subscriber.connect, signed(good(), key)) == "connect"
    found = outcome(subscriber.subscribe, "$a", SUBSCRIPTIONS[case](key))
    assert found == (INVALID if case in OF_ANOTHER else DENIED)


def test_expired_subscription_tokens(opened, key):
    subscriber = opened()
    subscriber.connect(signed(good(), key))
    token = signed(good(channel="$a", exp=late()), key)
    assert outcome(subscriber.subscribe, "$a", token) == EXPIRED
    assert outcome(subscriber.subscribe, "$a", "") == 103
    assert outcome(subscriber.subscribe, "$a", signed(good(channel="$a"), key)) == "subscribe"


def test_a_token_of_one_kind_is_none_of_the_other(opened, key):
    assert outcome(opened().connect, signed(good(channel="$a"), key)) == INVALID
    subscriber = opened()
    assert outcome(subscriber.connect, signed(good(), key)) == "connect"
    assert outcome(subscriber.subscribe, "$a", signed(good(), key)) == DENIED


def test_a_token_can_be_used_twice_within_its_seconds_and_by_its_user_only(opened, key):
    """A JWT is a bearer token: that is why it lives for TOKEN_USE seconds."""
    token, channel = signed(good(), key), signed(good(channel="$a"), key)
    for _ in range(2):
        subscriber = opened()
        assert outcome(subscriber.connect, token) == "connect"
        assert outcome(subscriber.subscribe, "$a", channel) == "subscribe"
    other = opened()
    assert outcome(other.connect, signed(good(sub="8"), key)) == "connect"
    assert outcome(other.subscribe, "$a", channel) == INVALID
