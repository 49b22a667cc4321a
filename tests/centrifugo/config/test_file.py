"""config.json on the disk."""

import json
import os
import stat
from pathlib import Path

import pytest

from instant.centrifugo.config import file
from instant.exceptions import InstantConfigError
from tests.centrifugo.config.test_defaults import compiled


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


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


def test_the_folder_is_closed_whatever_the_umask(tmp_path):
    folder = tmp_path / "a" / "centrifugo"
    old = os.umask(0)
    try:
        file.write_config(folder / "config.json", compiled())
    finally:
        os.umask(old)
    assert mode(folder) == 0o700
    assert mode(folder / ".gitignore") == 0o644


def test_what_others_can_read_or_write_is_told(tmp_path):
    folder = tmp_path / "centrifugo"
    path = folder / "config.json"
    assert file.open_to_others(path) == []
    file.write_config(path, compiled())
    assert file.open_to_others(path) == []
    for wrong in (0o604, 0o620, 0o602, 0o644):
        path.chmod(wrong)
        assert file.open_to_others(path) == [f"{path} can be read or written by other users"]
    path.chmod(0o640)  # Django and the server may be two users of one group
    folder.chmod(0o755)
    assert file.open_to_others(path) == []
    folder.chmod(0o777)
    assert file.open_to_others(path) == [f"{folder} can be written by every user"]
    folder.chmod(0o700)


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


def test_what_is_written_already_needs_no_writable_folder(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    file.write_config(path, {"a": 1})

    def refuse(*_args, **_kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(file, "prepare_folder", refuse)
    monkeypatch.setattr("pathlib.Path.chmod", refuse)
    assert file.write_config(path, {"a": 1}) is False
    with pytest.raises(InstantConfigError, match="Read-only"):
        file.write_config(path, {"a": 2})


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
