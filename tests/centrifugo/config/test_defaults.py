"""What Instant puts into the server's config, and what it leaves as it is."""

import json
import re
from pathlib import Path

import pytest

from instant.centrifugo.binary import release
from instant.centrifugo.config.defaults import compile_config
from instant.centrifugo.config.file import write_config
from instant.centrifugo.config.values import values_of
from instant.exceptions import InstantConfigError
from tests.centrifugo.config.checkconfig import complaints, needs_binary

SAMPLE = Path(__file__).resolve().parents[3] / "centrifugo" / "config.sample.json"
OPTIONS = {"presence": True, "history_size": 100, "history_ttl": "300s", "force_recovery": True}


def compiled(existing=None, **kwargs):
    return compile_config(
        existing, **{"allowed_origins": ["https://example.com"], "audience": "shop", **kwargs}
    )


def test_new_config_has_what_instant_needs_and_no_allow_key():
    made = compiled(secret=iter(["hmac", "api"]).__next__)
    assert made == {
        "http_server": {"address": "127.0.0.1", "port": 8427},
        "client": {
            "token": {"hmac_secret_key": "hmac", "audience": "shop"},
            "allowed_origins": ["https://example.com"],
        },
        "http_api": {"key": "api"},
        "http_stream": {"enabled": True},
        "sse": {"enabled": True},
        "usage_stats": {"disabled": True},
        "channel": {"without_namespace": OPTIONS, "namespaces": [{"name": "user", **OPTIONS}]},
    }
    assert "allow_" not in json.dumps(made).replace("allowed_origins", "")


def test_secrets_are_long_differ_and_are_new_each_time():
    one, other = compiled(), compiled()
    secrets = [
        made[a][b] if not c else made[a][b][c]
        for made in (one, other)
        for a, b, c in (("client", "token", "hmac_secret_key"), ("http_api", "key", ""))
    ]
    assert len(set(secrets)) == 4
    assert all(len(secret) == 64 for secret in secrets)


def test_existing_values_stay_and_the_argument_is_not_changed():
    mine = {
        "log": {"level": "debug"},
        "http_server": {"port": 9000},
        "client": {
            "token": {"hmac_secret_key": "kept-hmac", "rsa_public_key": "x"},
            "allowed_origins": ["https://other.example"],
        },
        "http_api": {"key": "kept-api"},
        "usage_stats": {"disabled": False},
        "channel": {
            "without_namespace": {"presence": False, "allow_subscribe_for_client": True},
            "namespaces": [{"name": "chat", "presence": True}, {"name": "user", "presence": False}],
        },
    }
    before = json.dumps(mine)
    made = compiled(mine)
    assert json.dumps(mine) == before
    assert made["log"] == {"level": "debug"}
    assert made["http_server"] == {"port": 9000, "address": "127.0.0.1"}
    assert made["client"]["token"] == {
        "hmac_secret_key": "kept-hmac",
        "rsa_public_key": "x",
        "audience": "shop",
    }
    assert made["client"]["allowed_origins"] == ["https://other.example", "https://example.com"]
    assert made["http_api"] == {"key": "kept-api"}
    assert made["usage_stats"] == {"disabled": False}
    assert made["channel"]["without_namespace"] == {
        **OPTIONS,
        "presence": False,
        "allow_subscribe_for_client": True,
    }
    assert made["channel"]["namespaces"] == [
        {"name": "chat", "presence": True},
        {"name": "user", **OPTIONS, "presence": False},
    ]


def test_compiling_twice_changes_nothing():
    once = compiled()
    assert compiled(once) == once


def test_audience_regex_is_left_alone():
    made = compiled({"client": {"token": {"audience_regex": "shop.*"}}})
    assert "audience" not in made["client"]["token"]


def test_with_tenants_each_has_an_audience():
    made = compiled(
        {"client": {"token": {"audience": "my-shop.v2"}}}, audience="my-shop.v2", tenants=True
    )
    token = made["client"]["token"]
    assert "audience" not in token
    for audience, fits in [
        ("my-shop.v2", True), ("my-shop.v2/acme", True), ("my-shop.v2/a_b-c.d", True),
        ("my-shop.v2/", False), ("my-shop.v2/a/b", False), ("my-shopXv2", False), ("x-my-shop.v2", False),
        ("my-shop.v2x/acme", False),
    ]:  # fmt: skip
        assert bool(re.search(token["audience_regex"], audience)) is fits, audience
    assert compiled(made, audience="my-shop.v2", tenants=True) == made
    # And back.
    token = compiled(made, audience="my-shop.v2")["client"]["token"]
    assert token["audience"] == "my-shop.v2"
    assert "audience_regex" not in token


def test_a_regex_of_ones_own_is_kept_with_tenants_too():
    made = compiled({"client": {"token": {"audience_regex": "^my-.*$"}}}, tenants=True)
    assert made["client"]["token"]["audience_regex"] == "^my-.*$"
    assert "audience" not in made["client"]["token"]


def test_the_audience_is_read_out_of_the_regex():
    for audience in ("my-shop", "a.b_c", "ü (x)"):
        made = compiled(audience=audience, tenants=True)
        assert values_of(made).audience == audience
    assert values_of({"client": {"token": {"audience_regex": "^my-.*$"}}}).audience is None
    assert values_of({"client": {"token": {"audience_regex": 7}}}).audience is None


def test_history_that_was_switched_off_stays_off():
    made = compiled({"channel": {"without_namespace": {"history_size": 0}}})
    assert made["channel"]["without_namespace"] == {"history_size": 0, "presence": True}


def test_an_empty_secret_is_filled():
    made = compiled({"http_api": {"key": ""}})
    assert len(made["http_api"]["key"]) == 64


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"client": []}, "client"),
        ({"client": {"token": "x"}}, "client.token"),
        ({"client": {"allowed_origins": "*"}}, "client.allowed_origins"),
        ({"channel": {"namespaces": {}}}, "channel.namespaces"),
        ({"channel": {"namespaces": ["user"]}}, "channel.namespaces"),
    ],
)
def test_wrong_shapes_are_named(wrong, name):
    with pytest.raises(InstantConfigError, match=f"^{name} in the config file must be"):
        compiled(wrong)


def test_v6_file_keeps_its_secrets():
    generated = {  # what genconfig of v6 writes
        "client": {"token": {"hmac_secret_key": "h"}, "allowed_origins": []},
        "admin": {"enabled": False, "password": "p", "secret": "s"},
        "http_api": {"key": "a"},
    }
    made = compiled(generated)
    assert made["client"]["token"]["hmac_secret_key"] == "h"
    assert made["http_api"]["key"] == "a"
    assert made["admin"] == generated["admin"]
    assert made["client"]["allowed_origins"] == ["https://example.com"]


def test_sample_is_what_the_code_makes_with_fake_secrets():
    sample = json.loads(SAMPLE.read_text())
    fakes = iter(["FAKE-not-a-secret-signs-tokens", "FAKE-not-a-secret-opens-the-http-api"])
    assert sample == compile_config(
        None,
        allowed_origins=["https://example.com"],
        audience="my-site",
        secret=fakes.__next__,
    )


def test_readme_has_the_version_that_is_installed_and_keys_that_are_there():
    readme = SAMPLE.with_name("README.md").read_text()
    assert f"centrifugo/centrifugo:v{release.VERSION}" in readme
    assert set(re.findall(r"(?<=centrifugo_)\d+\.\d+\.\d+(?=_)", readme)) == {release.VERSION}
    for key in ("client.token.hmac_secret_key", "http_api.key", "client.allowed_origins"):
        assert f"`{key}`" in readme


@needs_binary
def test_real_server_takes_tokens_for_tenants(tmp_path):
    path = tmp_path / "config.json"
    write_config(path, compiled(tenants=True, audience="my-shop.v2"))
    assert complaints(path) == ""


@needs_binary
@pytest.mark.parametrize(
    "existing",
    [
        None,
        {"token_hmac_secret_key": "h", "api_key": "a", "admin": True, "admin_password": "p"},
        {"channel": {"without_namespace": {"history_size": 0}}},
        {"client": {"token": {"audience_regex": "shop.*"}}},
    ],
    ids=["new", "old", "history-off", "audience-regex"],
)
def test_real_server_finds_the_config_strict_clean(tmp_path, existing):
    path = tmp_path / "config.json"
    write_config(path, compiled(existing))
    assert complaints(path) == ""


@needs_binary
def test_real_server_strict_check_fails_on_an_unknown_key(tmp_path):
    path = tmp_path / "config.json"
    write_config(path, {**compiled(), "log_level": "info"})
    assert "log_level" in complaints(path)


@needs_binary
@pytest.mark.parametrize(
    "snippet",
    [
        {"engine": {"type": "redis", "redis": {"address": "redis://redis.internal:6379"}}},
        {
            "client": {
                "token": {
                    "hmac_previous_secret_key": "old",
                    "hmac_previous_secret_key_valid_until": 1800000000,
                }
            }
        },
        {"http_server": {"internal_port": "8428"}},
    ],
    ids=["redis", "rotation", "internal-port"],
)
def test_real_server_knows_the_keys_that_the_readme_names(tmp_path, snippet):
    path = tmp_path / "config.json"
    write_config(path, compiled(snippet))
    assert complaints(path) == ""
