"""Config files of Centrifugo 3 and 4."""

import pytest

from instant.centrifugo.config.v3 import is_flat
from instant.exceptions import InstantConfigError
from tests.centrifugo.config.test_defaults import compiled


def test_flat_file_of_the_old_package_is_carried_over():
    old = {
        "v3_use_offset": True,
        "token_hmac_secret_key": "h",
        "admin_password": "p",
        "admin_secret": "s",
        "admin": True,
        "api_key": "a",
        "port": 8427,
        "allowed_origins": ["http://localhost:8000"],
    }
    assert is_flat(old)
    made = compiled(old)
    assert not is_flat(made)
    assert made["client"]["token"]["hmac_secret_key"] == "h"
    assert made["http_api"]["key"] == "a"
    assert made["client"]["allowed_origins"] == ["http://localhost:8000", "https://example.com"]
    assert made["admin"] == {"enabled": True, "password": "p", "secret": "s"}
    assert made["http_server"] == {"port": 8427, "address": "127.0.0.1"}
    assert not set(old) - {"admin"} & set(made)


def test_flat_file_with_keys_of_no_known_place_is_refused_by_name():
    with pytest.raises(InstantConfigError, match="redis_address") as caught:
        compiled({"api_key": "secret-a", "redis_address": "redis:6379", "log": {"level": "info"}})
    assert "installws" in str(caught.value)
    assert "migration_v6" in str(caught.value)
    assert "secret-a" not in str(caught.value)
    assert "log" not in str(caught.value).split("not: ")[1].split(".")[0].split(", ")
