import pytest

from instant.testing import capture_publications


@pytest.fixture
def store(settings):
    def store(**values):
        settings.INSTANT = {**settings.INSTANT, "STORE": values}

    return store


@pytest.fixture(autouse=True)
def captured():
    with capture_publications() as captured:
        yield captured
