import pytest

from instant.stored import wake_up
from instant.testing import capture_publications


@pytest.fixture
def store(settings):
    def store(**values):
        settings.INSTANT = {**settings.INSTANT, "STORE": values}

    return store


@pytest.fixture(autouse=True)
def tokens_are_not_known(monkeypatch):
    """What a process remembers of workers elsewhere is another test's."""
    monkeypatch.setattr(wake_up, "_known", {})


@pytest.fixture(autouse=True)
def captured():
    with capture_publications() as captured:
        yield captured
