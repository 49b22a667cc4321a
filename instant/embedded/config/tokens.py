"""The options of tokens: how those of connections and of subscriptions are verified."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .go_regex import compile_regex
from .schema import ConfigError
from .token_keys import check_key_endpoint, check_public_key

_CLAIM = re.compile(r"[a-zA-Z_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOptions:
    """How tokens of one kind are verified; a key that isn't configured is "".

    With a `key_endpoint` only its keys count. `path` is the place of these options in the config.
    """

    path: str
    secret: str
    previous_secret: str
    previous_until: int
    rsa_key: str
    ecdsa_key: str
    key_endpoint: str
    audience: str
    audience_regex: re.Pattern[str] | None
    issuer: str
    issuer_regex: re.Pattern[str] | None
    user_claim: str
    unsigned: bool


def _regex(raw: dict[str, Any], key: str, path: str) -> re.Pattern[str] | None:
    if not raw[key]:
        return None
    plain = key.removesuffix("_regex")
    if raw[plain]:
        raise ConfigError(f"{path}: {plain} and {key} exclude each other")
    try:
        return compile_regex(raw[key])
    except ValueError as exc:
        raise ConfigError(f"{path}.{key}: {exc}") from None


def check_claim(raw: dict[str, Any], path: str) -> None:
    """Raise ConfigError for a claim that users can't be in."""
    claim = raw["user_id_claim"]
    if claim and not _CLAIM.fullmatch(claim):
        raise ConfigError(f"{path}.user_id_claim: must match {_CLAIM.pattern}")


def token_options(raw: dict[str, Any], path: str, *, unsigned: bool) -> TokenOptions:
    """Read the options of one kind; raises ConfigError with `path` in it.

    If `unsigned`, tokens are accepted whoever signed them.
    """
    if raw["jwks_public_endpoint"]:
        check_key_endpoint(raw, path)
    for key in ("rsa_public_key", "ecdsa_public_key"):
        if raw[key]:
            check_public_key(raw[key], f"{path}.{key}")
    check_claim(raw, path)
    return TokenOptions(
        path=path,
        secret=raw["hmac_secret_key"],
        previous_secret=raw["hmac_previous_secret_key"],
        previous_until=raw["hmac_previous_secret_key_valid_until"],
        rsa_key=raw["rsa_public_key"],
        ecdsa_key=raw["ecdsa_public_key"],
        key_endpoint=raw["jwks_public_endpoint"],
        audience=raw["audience"],
        audience_regex=_regex(raw, "audience_regex", path),
        issuer=raw["issuer"],
        issuer_regex=_regex(raw, "issuer_regex", path),
        user_claim=raw["user_id_claim"],
        unsigned=unsigned,
    )
