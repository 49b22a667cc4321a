"""Stored channels to which pages publish past Django, where nothing stores it."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from instant.centrifugo.config.file import read_config
from instant.centrifugo.config.publishing import past_proxy
from instant.conf import Conf
from instant.exceptions import InstantConfigError
from instant.namespaces import registered

__all__ = ["stored"]


def stored(current: Conf) -> Iterator[CheckMessage]:
    """Yield where the server lets pages publish what has to be stored, and doesn't ask Django."""
    names = set()
    for cls in registered():
        is_stored = cls.delivery.rule != "disabled"
        if is_stored and cls.client_publish == "subscribers":
            yield Error(
                f"{cls.__qualname__} is stored, and its pages publish without Django's knowing: "
                "what they publish is not stored.",
                hint='Set client_publish = "ask" there, or a delivery that stores nothing.',
                obj=cls,
                id="instant.E012",
            )
        elif is_stored or (cls.rows and current.store is not None):
            names.add(cls.name)
    try:
        config = read_config(current.config_file) or {}
    except InstantConfigError:  # told when it is needed, with the remedy
        return
    past = [
        one
        for one in past_proxy(config)
        if one.namespace in names or (not one.namespace and current.store is not None)
    ]
    if past:
        options = " and ".join(one.option for one in past)
        yield Warning(
            f"By {options} in {current.config_file} pages publish "
            "to stored channels without Django's knowing: what they publish is not stored.",
            hint="Remove them there, and reload the server: with PROXY_URL it asks Django.",
            id="instant.W023",
        )
