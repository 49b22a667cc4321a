"""Installing from a fake release."""

import pytest

from instant.centrifugo.binary.installer import InstallError, install
from instant.centrifugo.binary.release import Platform

AMD64 = Platform("linux_amd64")


def put(fake, folder, **kwargs):
    return install(folder, **{"base_url": fake.url, "platform": AMD64, **kwargs})


def refused(fake, folder, *words, **kwargs):
    with pytest.raises(InstallError) as caught:
        put(fake, folder, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert not folder.exists()
    return message
