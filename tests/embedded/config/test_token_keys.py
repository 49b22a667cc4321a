"""The keys that a config may name, and where it may say that keys are published."""

import pytest

from instant.embedded.config import token_keys
from instant.embedded.config.load import ConfigError, parse
from tests.embedded.keys import CURVES, RSA, public

URL = "https://id.example/keys"


def config_of(endpoint=URL, **options):
    return {"client": {"token": {"jwks_public_endpoint": endpoint, **options}}}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"endpoint": "x"}, "http://"),
        ({"endpoint": "ftp://id.example/keys"}, "http://"),
        ({"endpoint": "http://"}, "http://"),
        ({"endpoint": "http://[/keys"}, "not a URL"),
        ({"endpoint": "https://id.example/keys/"}, "its path"),
        ({"endpoint": "https://id.example/a/../keys"}, "its path"),
        ({"endpoint": "https://{{t}}.example/keys", "issuer_regex": "(?P<t>a|b)"}, "the host"),
        ({"endpoint": URL + "/{{t", "issuer_regex": "(?P<t>a|b)"}, "has no }}"),
        ({"endpoint": URL + "/{{t}}"}, "is named t"),
        ({"endpoint": URL + "/{{t}}", "issuer_regex": "(?P<u>a|b)"}, "is named t"),
        ({"endpoint": URL + "/{{t}}", "issuer_regex": "(?P<t>.*)"}, "list its values"),
        ({"endpoint": URL + "/{{t}}", "issuer_regex": "(?P<t>a|b+)"}, "list its values"),
        ({"endpoint": URL + "/{{t}}", "issuer_regex": r"(?P<t>a|\w)"}, "list its values"),
        ({"endpoint": URL + "/{{t}}", "issuer_regex": "(?P<t>a|b)[x]"}, "character classes"),
        ({"endpoint": URL + "/{{t}}", "issuer_regex": "(?P<t>a|b)", "audience_regex": r"\d"}, "character classes"),
    ],
)  # fmt: skip
def test_endpoints_that_are_refused(options, why):
    with pytest.raises(ConfigError) as caught:
        parse(config_of(**options), {})
    assert str(caught.value).startswith("client.token.jwks_public_endpoint: ")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "http://id.example"},
        {"endpoint": URL + "/{{t}}", "issuer_regex": r"^https://(?P<t>a\.b|c-d)/$"},
        {"endpoint": URL + "/{{t}}", "issuer_regex": ".*", "audience_regex": "(?P<t>a|b)"},
        {"endpoint": URL + "/{{t}}", "issuer_regex": "(?P<t>[a-z]+)", "insecure_skip_jwks_endpoint_safety_check": True},
    ],
)  # fmt: skip
def test_endpoints_that_are_fine(options):
    parse(config_of(**options), {})


def test_it_takes_cryptography(monkeypatch):
    monkeypatch.setattr(token_keys, "load_algorithms", dict)
    with pytest.raises(ConfigError, match="pip install cryptography"):
        parse(config_of(), {})


@pytest.mark.parametrize(
    ("key", "pem"),
    [("rsa_public_key", "x"), ("rsa_public_key", public(CURVES["ES256"])), ("ecdsa_public_key", public(RSA))],
    ids=["no key", "ECDSA for RSA", "RSA for ECDSA"],  # else the key, which is another in each process
)  # fmt: skip
def test_a_key_of_another_kind_is_refused_at_the_start(key, pem):
    with pytest.raises(ConfigError, match=f"client.token.{key}: must be a public key"):
        parse({"client": {"token": {key: pem}}}, {})
