"""Checks of the keys that verify tokens: keys in the config, and the URL of published ones."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from instant.embedded.algorithms import load_algorithms, read_curve_key, read_rsa_key

from .schema import ConfigError

_VARIABLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_CLASSES = re.compile(r"\\[dDwWsSpP]|(?<!\\)(?:\\\\)*\[")
_VALUES = r"\(\?P<%s>(?:[^\\()\[\]{}.*+?^$]|\\[^\w])*\)"


def check_public_key(pem: str, path: str) -> None:
    """Raise ConfigError with `path` in it for a key that no token can be verified with."""
    algorithms = load_algorithms()
    if "RS256" not in algorithms:
        raise ConfigError(f"{path}: needs the package cryptography: pip install cryptography")
    if path.endswith("rsa_public_key"):
        key = read_rsa_key(pem, algorithms)
    else:
        _, key = read_curve_key(pem, algorithms) or ("", None)
    if key is None or hasattr(key, "private_numbers"):
        raise ConfigError(f"{path}: must be a public key of this kind in PEM")


def key_url(endpoint: str, variables: Mapping[str, str]) -> str | None:
    """Fill a token's values into the endpoint; returns None if that makes no safe URL."""
    url = _VARIABLE.sub(lambda found: variables.get(found[1], ""), endpoint)
    try:
        return url if _is_clean(url) else None
    except ValueError:
        return None


def _is_clean(url: str) -> bool:
    path = unquote(urlsplit(url).path)
    return not path or posixpath.normpath("/" + path.lstrip("/")) == path


def check_key_endpoint(raw: Mapping[str, Any], path: str) -> None:
    """Raise ConfigError for an endpoint that keys can't, or must not, be fetched from."""
    endpoint: str = raw["jwks_public_endpoint"]
    path += ".jwks_public_endpoint"
    if "RS256" not in load_algorithms():
        raise ConfigError(f"{path}: needs the package cryptography: pip install cryptography")
    names = set(_VARIABLE.findall(endpoint))
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        raise ConfigError(f"{path}: is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"{path}: must be a URL with http:// or https://")
    if "{" in parts.netloc:
        raise ConfigError(f"{path}: the host can't depend on the token")
    if "{{" in _VARIABLE.sub("", endpoint):
        raise ConfigError(f"{path}: {{{{ has no }}}}")
    if not _is_clean(_VARIABLE.sub("x", endpoint)):
        raise ConfigError(f"{path}: its path must have no /../, // or / at its end")
    patterns = [
        text.replace("(?<", "(?P<") for text in (raw["issuer_regex"], raw["audience_regex"]) if text
    ]
    if names and not raw["insecure_skip_jwks_endpoint_safety_check"]:
        _check_variables(names, patterns, path)


def _check_variables(names: set[str], patterns: list[str], path: str) -> None:
    # The values come from tokens that nobody has verified yet.
    for name in sorted(names):
        having = [text for text in patterns if f"(?P<{name}>" in text]
        if not having:
            raise ConfigError(f"{path}: no group of issuer_regex or audience_regex is named {name}")
        for text in having:
            if not re.search(_VALUES % re.escape(name), text):
                raise ConfigError(f"{path}: the group {name} must list its values: one|two|three")
    if any(_CLASSES.search(text) for text in patterns):
        raise ConfigError(
            f"{path}: with variables in it, the regexes must have no character classes"
        )
