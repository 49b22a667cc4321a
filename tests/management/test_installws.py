import io
import json
import re
import signal
import stat
import threading

import pytest
from django.core.management import CommandError, call_command

from instant.centrifugo.binary import release
from instant.management.commands.installws import DownloadProgress
from tests.centrifugo.binary.fake_release import BINARY, CHECKSUMS, LINUX, VERSION, good_tar, sha256

pytestmark = pytest.mark.timed


@pytest.fixture(autouse=True)
def _this_machine(monkeypatch):
    monkeypatch.setattr(release, "current_platform", lambda: release.Platform("linux_amd64"))


def installws(*arguments, code=None, terminal=False):
    """Run the command and return what it printed, both streams together."""
    out, err = io.StringIO(), io.StringIO()
    out.isatty = lambda: terminal
    if code is None:
        call_command("installws", *arguments, stdout=out, stderr=err, no_color=True)
    else:
        with pytest.raises(CommandError) as caught:
            call_command("installws", *arguments, stdout=out, stderr=err, no_color=True)
        assert caught.value.returncode == code
        err.write(str(caught.value))
    return out.getvalue() + err.getvalue()


def read(folder):
    return json.loads((folder / "config.json").read_text())


def secrets(folder):
    config = read(folder)
    return [config["client"]["token"]["hmac_secret_key"], config["http_api"]["key"]]


def test_installs_binary_and_config_into_the_folder_of_the_settings(
    fake, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    fake.publish(LINUX, good_tar())
    said = installws("--base-url", fake.url)
    assert (folder / "centrifugo").read_bytes() == BINARY
    assert stat.S_IMODE((folder / "centrifugo").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server"]
    assert f"sha256 {sha256(good_tar())}: matches {CHECKSUMS}" in said
    assert "Next: python manage.py runws" in said
    config = read(folder)
    assert config["client"]["allowed_origins"] == ["https://example.com", "http://example.com"]
    assert config["client"]["token"]["audience"] == "tests"
    assert config["http_server"] == {"address": "127.0.0.1", "port": 8427}


def test_no_secret_is_printed_or_logged(fake, folder, settings, caplog):
    caplog.set_level(0)
    fake.publish(LINUX, good_tar())
    said = installws("--base-url", fake.url, "--verbosity", "3")
    said += installws("--base-url", fake.url, "--force", "--verbosity", "3")
    del settings.CENTRIFUGO_HMAC_KEY
    del settings.CENTRIFUGO_API_KEY
    said += installws("--base-url", fake.url)
    (folder / "config.json").write_text(
        json.dumps({"token_hmac_secret_key": "old-hmac", "api_key": "old-api", "strange": 1})
    )
    said += installws("--base-url", fake.url, code=1)
    (folder / "config.json").write_text(
        json.dumps({"token_hmac_secret_key": "old-hmac", "api_key": "old-api"})
    )
    said += installws("--base-url", fake.url)
    for secret in [
        *secrets(folder),
        "old-hmac",
        "old-api",
        "test-hmac-key",
        "test-api-key",
    ]:
        assert secret not in said
        assert secret not in caplog.text
    # 40 hex digits or more are a checksum; anything else that long would be a key.
    long = set(re.findall(r"[\w-]{40,}", said))
    assert {word for word in long if not re.fullmatch("[0-9a-f]{64}", word)} == set()


def test_again_keeps_binary_and_keys(fake, folder):
    fake.publish(LINUX, good_tar())
    installws("--base-url", fake.url)
    before = (folder / "config.json").read_bytes()
    fake.asked.clear()
    said = installws("--base-url", fake.url)
    assert "Already installed" in said
    assert "Config unchanged" in said
    assert (folder / "config.json").read_bytes() == before
    assert fake.asked == []


def test_force_installs_again_and_keeps_the_keys(fake, folder):
    fake.publish(LINUX, good_tar())
    installws("--base-url", fake.url)
    before = (folder / "config.json").read_bytes()
    fake.asked.clear()
    assert "Installed:" in installws("--base-url", fake.url, "--force")
    assert f"v{VERSION}/{LINUX}" in fake.asked
    assert (folder / "config.json").read_bytes() == before


def test_new_origins_of_the_settings_are_added(fake, folder, settings):
    fake.publish(LINUX, good_tar())
    installws("--base-url", fake.url)
    settings.INSTANT = {"DIR": folder, "ALLOWED_ORIGINS": ["https://new.example"]}
    said = installws("--base-url", fake.url)
    assert "Config updated" in said
    assert "Restart the server" in said
    assert read(folder)["client"]["allowed_origins"][-1] == "https://new.example"


def test_no_origin_is_warned_about(fake, folder, settings):
    settings.ALLOWED_HOSTS = ["*"]
    fake.publish(LINUX, good_tar())
    assert 'INSTANT["ALLOWED_ORIGINS"]' in installws("--base-url", fake.url)


def test_keys_of_the_settings_that_differ_are_named(fake, folder, settings):
    fake.publish(LINUX, good_tar())
    assert "CENTRIFUGO_API_KEY and CENTRIFUGO_HMAC_KEY in" in installws("--base-url", fake.url)
    settings.CENTRIFUGO_HMAC_KEY, settings.CENTRIFUGO_API_KEY = secrets(folder)
    assert "CENTRIFUGO_" not in installws("--base-url", fake.url)


def test_the_port_of_the_settings_is_written(fake, folder, settings):
    settings.CENTRIFUGO_PORT = 9000
    fake.publish(LINUX, good_tar())
    installws("--base-url", fake.url)
    assert read(folder)["http_server"]["port"] == 9000


def test_the_port_of_a_reverse_proxy_or_another_machine_is_not_ours(fake, folder, settings):
    settings.CENTRIFUGO_HOST = "https://push.example.com"
    settings.CENTRIFUGO_PORT = 443
    fake.publish(LINUX, good_tar())
    installws("--base-url", fake.url)
    assert read(folder)["http_server"]["port"] == 8427


def test_old_file_is_carried_over_with_its_keys(fake, folder, settings):
    del settings.CENTRIFUGO_HMAC_KEY
    del settings.CENTRIFUGO_API_KEY
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"token_hmac_secret_key": "old-hmac", "api_key": "old-api"})
    )
    fake.publish(LINUX, good_tar())
    said = installws("--base-url", fake.url)
    assert "converted to version 6" in said
    assert secrets(folder) == ["old-hmac", "old-api"]
    assert "api_key" not in read(folder)


def test_closed_network(folder, tmp_path):
    archive = tmp_path / LINUX
    archive.write_bytes(good_tar())
    said = installws("--archive", str(archive))
    assert "This archive was not verified" in said
    said = installws("--archive", str(archive), "--sha256", sha256(good_tar()), "--force")
    assert "matches the given sha256" in said
    assert "not verified" not in said


def test_unsupported_platform(folder, monkeypatch):
    monkeypatch.setattr(release, "current_platform", lambda: release.Platform("plan9_mips"))
    assert "runws --server embedded" in installws(code=1)


@pytest.mark.parametrize("trouble", ["checksum", "404", "cut", "no-archive"])
def test_trouble_is_one_line_and_leaves_nothing(fake, folder, trouble):
    fake.publish(LINUX, b"no archive" if trouble == "no-archive" else good_tar())
    if trouble == "checksum":
        fake.files[f"v{VERSION}/{CHECKSUMS}"] = f"{'0' * 64}  {LINUX}\n".encode()
    elif trouble == "404":
        fake.files.clear()
    elif trouble == "cut":
        fake.cut[f"v{VERSION}/{LINUX}"] = 30
    said = installws("--base-url", fake.url, code=1)
    assert not folder.exists()
    assert "Traceback" not in said
    assert "Config" not in said


def test_a_wrong_setting_is_a_command_error(folder, settings):
    settings.INSTANT = {"DIRR": folder}
    assert "unknown key 'DIRR'" in installws(code=1)


def test_ctrl_c_in_the_middle_of_the_download_leaves_nothing(fake, project):
    fake.publish(LINUX, good_tar())
    # Whatever this machine is called.
    here = release.SUPPORTED
    for name in here:
        fake.publish(release.Platform(name).archive(VERSION), good_tar())
        fake.held[f"v{VERSION}/{release.Platform(name).archive(VERSION)}"] = threading.Event()
    with project.start("installws", "--base-url", fake.url) as process:
        assert fake.half_sent.wait(60)
        assert [path.name[:9] for path in project.folder.iterdir()] == [".install-"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not project.folder.exists()
    assert err == b"CommandError: Interrupted. No partial installation was left behind.\n"


# Progress


def test_progress_is_a_bar_on_a_terminal(fake, folder):
    fake.publish(LINUX, good_tar())
    said = installws("--base-url", fake.url, terminal=True)
    assert re.search(r"\r\[#{30}\] 100 %  0\.0 of 0\.0 MB\n", said)


def test_progress_is_a_few_lines_elsewhere(fake, folder):
    fake.publish(LINUX, good_tar())
    said = installws("--base-url", fake.url)
    assert "\r" not in said
    assert "100 % of 0.0 MB\n" in said


def steps(*states, terminal):
    said = []
    progress = DownloadProgress(said.append, terminal=terminal)
    for state in states:
        progress(*state)
    progress.close()
    progress.close()
    return said


def test_progress_prints_each_step_once():
    mb = 1_000_000
    states = [(done * mb // 10, 40 * mb) for done in range(1, 401)]
    assert steps(*states, terminal=False) == [
        " 25 % of 40.0 MB\n",
        " 50 % of 40.0 MB\n",
        " 75 % of 40.0 MB\n",
        "100 % of 40.0 MB\n",
    ]
    on_terminal = steps(*states, terminal=True)
    assert len(on_terminal) == 102
    assert on_terminal[50] == f"\r[{'#' * 15}{'.' * 15}]  50 %  20.0 of 40.0 MB"


def test_progress_of_unknown_length():
    assert steps((1, None), (2_500_000, None), terminal=True) == [
        "\r   0.0 MB",
        "\r   2.5 MB",
        "\n",
    ]
    assert steps((1, None), (2_500_000, None), terminal=False) == []
