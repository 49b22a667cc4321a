import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from instant.centrifugo.binary import release
from instant.centrifugo.config import file
from instant.exceptions import InstantConfigError

SAMPLE = Path(__file__).resolve().parents[3] / "centrifugo" / "config.sample.json"
OPTIONS = {"presence": True, "history_size": 100, "history_ttl": "300s", "force_recovery": True}


def compiled(existing=None, **kwargs):
    return file.compile_config(
        existing, **{"allowed_origins": ["https://example.com"], "audience": "shop", **kwargs}
    )


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def real_binary():
    found = os.environ.get("CENTRIFUGO_BIN") or shutil.which("centrifugo")
    if not found:
        pytest.skip("no centrifugo binary on PATH or in CENTRIFUGO_BIN")
    return found


def strict(path):
    return subprocess.run(
        [real_binary(), "checkconfig", "--strict", "-c", str(path)],
        capture_output=True,
        text=True,
        check=False,
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


def test_peer_10_v6_file_keeps_its_secrets():
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


def test_peer_10_flat_file_of_the_old_package_is_carried_over():
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
    assert file.is_flat(old)
    made = compiled(old)
    assert not file.is_flat(made)
    assert made["client"]["token"]["hmac_secret_key"] == "h"
    assert made["http_api"]["key"] == "a"
    assert made["client"]["allowed_origins"] == ["http://localhost:8000", "https://example.com"]
    assert made["admin"] == {"enabled": True, "password": "p", "secret": "s"}
    assert made["http_server"] == {"port": 8427, "address": "127.0.0.1"}
    assert not set(old) - {"admin"} & set(made)


def test_peer_10_flat_file_with_keys_of_no_known_place_is_refused_by_name():
    with pytest.raises(InstantConfigError, match="redis_address") as caught:
        compiled({"api_key": "secret-a", "redis_address": "redis:6379", "log": {"level": "info"}})
    assert "installws" in str(caught.value)
    assert "migration_v6" in str(caught.value)
    assert "secret-a" not in str(caught.value)
    assert "log" not in str(caught.value).split("not: ")[1].split(".")[0].split(", ")


def test_write_is_private_atomic_and_says_whether_it_changed(tmp_path):
    path = tmp_path / "server" / "config.json"
    data = compiled()
    assert file.write_config(path, data) is True
    assert file.read_config(path) == data
    assert mode(path) == 0o600
    assert (path.parent / ".gitignore").read_text() == "*\n"
    before = path.stat().st_ino
    assert file.write_config(path, data) is False
    assert path.stat().st_ino == before
    assert file.write_config(path, {**data, "log": {}}) is True
    assert sorted(p.name for p in path.parent.iterdir()) == [".gitignore", "config.json"]


def test_write_is_private_from_the_first_byte_whatever_the_umask(tmp_path, monkeypatch):
    seen = []
    replace = Path.replace

    def spy(self, target):
        seen.append((self.parent, mode(self), self.stat().st_size))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    old = os.umask(0)
    try:
        file.write_config(tmp_path / "config.json", compiled())
    finally:
        os.umask(old)
    ((folder, permissions, size),) = seen
    assert (folder, permissions) == (tmp_path, 0o600)
    assert size > 0


def test_write_closes_a_file_that_others_could_read(tmp_path):
    path = tmp_path / "config.json"
    data = compiled()
    path.write_text(json.dumps(data))
    path.chmod(0o644)
    assert file.write_config(path, data) is False
    assert mode(path) == 0o600


def test_write_keeps_a_symlink_and_a_gitignore(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / ".gitignore").write_text("mine\n")
    link = tmp_path / "config.json"
    link.symlink_to(tmp_path / "real" / "config.json")
    file.write_config(link, compiled())
    assert link.is_symlink()
    assert file.read_config(link)
    assert (tmp_path / "real" / ".gitignore").read_text() == "mine\n"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    file.write_config(path, {"old": True})

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InstantConfigError, match="No space left"):
        file.write_config(path, compiled())
    assert file.read_config(path) == {"old": True}
    assert sorted(p.name for p in tmp_path.iterdir()) == [".gitignore", "config.json"]


def test_write_where_no_folder_can_be_names_the_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InstantConfigError, match=r'INSTANT\["DIR"\]'):
        file.write_config(tmp_path / "file" / "config.json", {})


def test_read(tmp_path):
    path = tmp_path / "config.json"
    assert file.read_config(path) is None
    path.write_text('{"http_api": {"key": "secret-a"')
    with pytest.raises(InstantConfigError, match="is not JSON") as caught:
        file.read_config(path)
    assert "secret-a" not in str(caught.value)
    path.write_text("[]")
    with pytest.raises(InstantConfigError, match="JSON object"):
        file.read_config(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InstantConfigError, match="can't be read"):
        file.read_config(path)


def test_sample_is_what_the_code_makes_with_fake_secrets():
    sample = json.loads(SAMPLE.read_text())
    fakes = iter(["FAKE-not-a-secret-signs-tokens", "FAKE-not-a-secret-opens-the-http-api"])
    assert sample == file.compile_config(
        None,
        allowed_origins=["https://example.com"],
        audience="my-site",
        secret=fakes.__next__,
    )


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
    file.write_config(path, compiled(existing))
    done = strict(path)
    assert done.returncode == 0, done.stderr


def test_real_server_strict_check_fails_on_an_unknown_key(tmp_path):
    path = tmp_path / "config.json"
    file.write_config(path, {**compiled(), "log_level": "info"})
    assert strict(path).returncode == 1


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
    file.write_config(path, compiled(snippet))
    done = strict(path)
    assert done.returncode == 0, done.stderr


def test_readme_has_the_version_that_is_installed_and_keys_that_are_there():
    readme = SAMPLE.with_name("README.md").read_text()
    assert f"centrifugo/centrifugo:v{release.VERSION}" in readme
    assert set(re.findall(r"(?<=centrifugo_)\d+\.\d+\.\d+(?=_)", readme)) == {release.VERSION}
    for key in ("client.token.hmac_secret_key", "http_api.key", "client.allowed_origins"):
        assert f"`{key}`" in readme
