import pytest

from instant.embedded.config.load import parse
from instant.embedded.errors import Failure
from instant.embedded.tokens.verify import ExpiredToken, InvalidToken, Verifier
from tests.conformance.player import SECRET, token

NOW = 1_000_000_000


def verifier(**options):
    config = parse({"client": {"token": {"hmac_secret_key": SECRET, **options}}}, {})
    return Verifier(config.token, lambda: NOW)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_reads_what_was_signed(algorithm):
    found = verifier().connect(
        token(
            {"sub": "1", "exp": NOW + 5, "info": {"n": 1.10}, "meta": {"m": 1}}, algorithm=algorithm
        )
    )
    assert (found.user, found.expire_at, found.meta) == ("1", NOW + 5, '{"m": 1}')
    assert found.info == '{"n": 1.1}'


@pytest.mark.parametrize(
    ("claims", "life"),
    [({}, 0), ({"exp": NOW + 5}, NOW + 5), ({"exp": NOW + 5, "expire_at": NOW + 99}, NOW + 99), ({"exp": NOW + 5, "expire_at": 0}, 0), ({"expire_at": -4}, 0), ({"exp": NOW + 5.7}, NOW + 5)],
)  # fmt: skip
def test_expire_at_wins_over_exp(claims, life):
    assert verifier().connect(token({"sub": "1", **claims})).expire_at == life


@pytest.mark.parametrize(
    "claims", [{"exp": NOW}, {"exp": NOW - 1}, {"nbf": NOW + 1}, {"exp": NOW - 1, "expire_at": NOW + 99}]
)  # fmt: skip
def test_time_is_up(claims):
    for read in (verifier().connect, verifier().subscribe):
        with pytest.raises(ExpiredToken):
            read(token({"sub": "1", **claims}))


@pytest.mark.parametrize(
    "bad",
    [
        "", "x", "a.b", "a.b.c", "..", "a.b.c.d",
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiIxIn0.",
        token({"sub": "1"}, secret="x" * 40),
        token({"sub": "1"})[:-2],
        token({"sub": "1"}) + ".",
        token({"sub": 1}),
        token({"sub": "1", "channel": "c"}),
        token({"sub": "1", "exp": [1]}),
        token({"sub": "1", "subs": [1]}),
        token({"sub": "1", "channels": [1]}),
        token({"sub": "1", "subs": {"c": {"override": {"presence": 1}}}}),
        token({"sub": "1", "subs": {"c": {"b64info": "!"}}}),
        "é.é.é",
    ],
)  # fmt: skip
def test_anything_else_is_invalid(bad):
    with pytest.raises(InvalidToken):
        verifier().connect(bad)


@pytest.mark.parametrize("broken", ["!", "/w=="])
def test_info_that_cannot_be_decoded_is_an_error(broken):
    with pytest.raises(Failure) as caught:
        verifier().connect(token({"sub": "1", "b64info": broken}))
    assert caught.value.error.code == 100


def test_without_a_secret_nothing_is_valid():
    with pytest.raises(InvalidToken):
        Verifier(parse({}, {}).token).connect(token({"sub": "1"}, secret=""))


def test_the_previous_secret_works_until_its_time():
    old = token({"sub": "1"}, secret="o" * 40)
    assert verifier(hmac_previous_secret_key="o" * 40).connect(old).user == "1"
    assert verifier(
        hmac_previous_secret_key="o" * 40, hmac_previous_secret_key_valid_until=NOW
    ).connect(old)
    with pytest.raises(InvalidToken):
        verifier(
            hmac_previous_secret_key="o" * 40, hmac_previous_secret_key_valid_until=NOW - 1
        ).connect(old)


@pytest.mark.parametrize(
    ("options", "claims", "valid"),
    [
        ({"audience": "site"}, {"aud": "site"}, True),
        ({"audience": "site"}, {"aud": ["other", "site"]}, True),
        ({"audience": "site"}, {"aud": "other"}, False),
        ({"audience": "site"}, {}, False),
        ({"audience": "site"}, {"aud": "site.example"}, False),
        ({"audience_regex": "^s"}, {"aud": "site"}, True),
        ({"audience_regex": "^s"}, {"aud": "xs"}, False),
        ({"issuer": "django"}, {"iss": "django"}, True),
        ({"issuer": "django"}, {"iss": "flask"}, False),
        ({}, {"aud": "any", "iss": "any"}, True),
    ],
)
def test_parties(options, claims, valid):
    signed = token({"sub": "1", **claims})
    if valid:
        assert verifier(**options).connect(signed).user == "1"
    else:
        with pytest.raises(InvalidToken):
            verifier(**options).connect(signed)


def test_subscription_tokens():
    found = verifier().subscribe(
        token(
            {
                "sub": "1",
                "channel": "c",
                "client": "x",
                "info": {"a": 1},
                "b64data": "eyJiIjogMn0=",
                "override": {"presence": {"value": True}, "join_leave": {"value": False}},
            }
        )
    )
    assert (found.user, found.channel, found.client) == ("1", "c", "x")
    assert (found.grant.info, found.grant.data) == ('{"a": 1}', '{"b": 2}')
    assert found.grant.override == {"presence": True, "join_leave": False}
    with pytest.raises(InvalidToken):
        verifier().subscribe(token({"sub": "1"}))


def test_subs_win_over_channels():
    found = verifier().connect(token({"sub": "1", "subs": {"a": {"data": [1]}}, "channels": ["b"]}))
    assert {name: grant.data for name, grant in found.grants.items()} == {"a": "[1]"}
    found = verifier().connect(token({"sub": "1", "subs": {}, "channels": ["b"]}))
    assert list(found.grants) == ["b"]
