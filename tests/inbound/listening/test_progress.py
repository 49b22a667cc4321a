"""The file that says how far a listener has come."""

import errno
from io import TextIOWrapper

import pytest

from instant.inbound.listening import progress
from instant.inbound.listening.progress import FileProgress
from instant.revoking import host


@pytest.fixture
def place(tmp_path, monkeypatch):
    for module in (host, progress):
        monkeypatch.setattr(module, "folder", lambda: tmp_path)
    return tmp_path


class Full(TextIOWrapper):
    """A file on a full disk: what was written is lost when it is closed."""

    def close(self):
        if not self.closed:
            super().close()
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_what_was_saved_and_no_other_file(place, monkeypatch):
    kept = FileProgress("default")
    assert kept.claim() == {}
    assert kept.save({"news": (7, "e")})
    files = sorted(path.name for path in place.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(
            progress.os, "fdopen", lambda handle, mode: Full(open(handle, "wb"))  # noqa: SIM115, PTH123
        )  # fmt: skip
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                kept.save({"news": (8, "e")})
    with monkeypatch.context() as patch:
        patch.setattr(progress.os, "replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            kept.save({"news": (8, "e")})
    assert sorted(path.name for path in place.iterdir()) == files
    kept.release()
    assert kept.claim() == {"news": (7, "e")}
    assert kept.save({"news": (8, "e")})
    kept.release()
    assert kept.claim() == {"news": (8, "e")}
    kept.release()
