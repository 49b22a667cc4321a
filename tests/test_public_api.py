"""What ``from instant import …`` promises, and what an import costs."""

import subprocess
import sys

import pytest

import instant
from instant import exceptions, producers, signals, testing


def test_all_is_pinned_and_sorted():
    assert instant.__all__ == [
        "Namespace",
        "abroadcast",
        "apublish",
        "batch",
        "broadcast",
        "publish",
        "user_channel",
    ]
    for module in (instant, exceptions, producers, signals, testing):
        assert module.__all__ == sorted(module.__all__)
        for name in module.__all__:
            assert hasattr(module, name)


def test_the_seeds_import_works():
    from instant.producers import publish

    assert publish is instant.publish


def test_every_exception_is_listed():
    found = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__ == "instant.exceptions"
    }
    assert found == set(exceptions.__all__)
    for name in exceptions.__all__:
        assert name in exceptions.__doc__


@pytest.mark.parametrize("heavy", ["cent", "aiohttp", "pydantic", "requests", "jwt"])
def test_import_without_settings_is_light(heavy):
    code = f"import sys, instant; instant.publish; sys.exit({heavy!r} in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_embedded_server_starts_without_django():
    code = "import sys, instant.embedded; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PATH": ""}, check=True)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="'instant' has no attribute 'nothing'"):
        _ = instant.nothing
    with pytest.raises(ImportError):
        from instant import nothing  # noqa: F401
    assert set(instant.__all__) <= set(dir(instant))


def test_import_names_no_settings():
    code = "from instant import publish; from django.conf import settings; assert not settings.configured"
    subprocess.run([sys.executable, "-c", code], env={"PATH": ""}, check=True)
