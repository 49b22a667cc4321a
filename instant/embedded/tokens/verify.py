"""Verification of connection and subscription tokens: JSON Web Tokens."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from instant.embedded.config.tokens import TokenOptions
from instant.embedded.errors import INTERNAL, Failure, Malformed
from instant.embedded.json_text import Fields
from instant.embedded.json_types import Types, map_of

from .grants import GRANT, Grant, read_grant, read_grants
from .jwks import MissingKey, PublishedKeys
from .signatures import Signatures

_BASE64 = re.compile(r"[A-Za-z0-9_-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INT64 = 2.0**63


class InvalidToken(Exception):
    """The token can't be accepted; the message is for logs and quotes nothing of it."""


class ExpiredToken(Exception):
    """The token has expired, or is not valid yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectToken:
    """What a connection token says; `expire_at` 0 is never."""

    user: str
    expire_at: int
    info: str
    meta: str
    grants: dict[str, Grant]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeToken:
    """What a subscription token says; `expire_at` 0 is never."""

    user: str
    channel: str
    client: str
    expire_at: int
    grant: Grant


def _decoded(part: str) -> bytes:
    """Read base64url as Go does: without padding, and with any line breaks in it."""
    text = part.replace("\r", "").replace("\n", "")
    if not _BASE64.fullmatch(text) or len(text) % 4 == 1:
        raise InvalidToken("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _moment(fields: Fields, name: str) -> float | None:
    """Read seconds, which may be a number in a string; None if they are absent."""
    value = fields.value(name)
    if value is None:
        return None
    text = value if isinstance(value, str) else fields.raw(name)
    if isinstance(value, bool) or not _NUMBER.fullmatch(text) or abs(float(text)) == inf:
        raise Malformed(f"{name} is not a time")
    # In Go, what doesn't fit in 64 bits is the lowest number that does.
    return float(text) if abs(float(text)) < _INT64 else -_INT64


def _audiences(fields: Fields) -> list[str]:
    """Read `aud`, which is absent, a string or a list of strings, and not null."""
    audience: Any = fields.value("aud")
    named = audience if isinstance(audience, list) else [audience] if fields.raw("aud") else []
    if not all(isinstance(item, str) for item in named):
        raise Malformed("aud is not a string or a list of strings")
    return named


def _issuers(fields: Fields) -> list[str]:
    return [fields.text("iss")]


def _matches(found: list[str], wanted: str, pattern: re.Pattern[str] | None) -> bool:
    if wanted:
        return wanted in found
    return pattern is None or any(pattern.search(item) for item in found)


_HEADER: Types = dict.fromkeys(("alg", "typ", "cty", "kid"), Fields.text)
_CLAIMS: Types = {
    "jti": Fields.text,
    "aud": lambda fields, _: _audiences(fields),
    "iss": Fields.text,
    "sub": Fields.text,
    "exp": _moment,
    "iat": _moment,
    "nbf": _moment,
    "expire_at": Fields.int64,
    "b64info": Fields.text,
    "channel": Fields.text,
}
_CONNECT: Types = {**_CLAIMS, "channels": Fields.texts, "subs": map_of(GRANT)}
_SUBSCRIBE: Types = {**_CLAIMS, **GRANT, "client": Fields.text}


class Verifier:
    """Verifies tokens of one kind; `now` returns Unix time, `monotonic` that of deadlines.

    If the keys are published, a token's `missing_key` has to be fetched before the token is read.
    """

    def __init__(
        self,
        options: TokenOptions,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._now = now
        self._signatures = Signatures(options, now)
        self._keys: PublishedKeys | None = None
        if options.key_endpoint:
            path = options.path + ".jwks_public_endpoint"
            self._keys = PublishedKeys(options.key_endpoint, path, monotonic)

    def missing_key(self, token: str) -> MissingKey | None:
        """Return the key that must be fetched before the token can be read, None for none."""
        keys = self._keys
        if keys is None or self._options.unsigned:
            return None
        try:
            # The claims that only one kind of tokens has don't choose the key.
            header, fields, _, _ = self._parse(token, _CLAIMS)
            url, kid = keys.url(self._variables(fields)), header.text("kid")
        except InvalidToken:
            return None
        if url is None or not kid or keys.find(url, kid) is not None:
            return None
        return MissingKey(keys, url, kid)

    def _variables(self, fields: Fields) -> dict[str, str]:
        """Return the variables of the endpoint: what the named groups of the regexes matched."""
        options = self._options
        found: dict[str, str] = {}
        for pattern, texts in (
            (options.issuer_regex, _issuers(fields)),
            (options.audience_regex, _audiences(fields)),
        ):
            if pattern is None:
                continue
            match = next(filter(None, map(pattern.search, texts)), None)
            if match is None:
                raise InvalidToken("for another audience, or from another issuer")
            found |= match.groupdict("")
        return found

    def _signed(self, header: Fields, fields: Fields, message: bytes, signature: bytes) -> bool:
        algorithm, keys = header.text("alg"), self._keys
        if keys is None:
            return self._signatures.valid(algorithm, message, signature)
        url, kid = keys.url(self._variables(fields)), header.text("kid")
        key = keys.find(url, kid) if url is not None and kid else None
        return key is not None and key.valid(algorithm, message, signature)

    @staticmethod
    def _parse(token: str, types: Types) -> tuple[Fields, Fields, bytes, bytes]:
        """Take a token apart: header, claims, what is signed, and the signature."""
        message, dot, signature = token.rpartition(".")
        header, first, claims = message.partition(".")
        # `{"` is what every header begins with.
        if not dot or not first or not header.startswith("eyJ"):
            raise InvalidToken("not three parts")
        try:
            head = Fields(_decoded(header).decode("utf-8", "replace"))
            head.check(_HEADER)
            text = _decoded(claims).decode("utf-8", "replace")
            fields = Fields("{}" if text.strip(" \t\r\n") == "null" else text)
            fields.check(types)
        except Malformed as exc:
            raise InvalidToken(f"header or claims can't be read: {exc}") from None
        return head, fields, message.encode("utf-8", "replace"), _decoded(signature)

    def _claims(self, token: str, types: Types) -> Fields:
        header, fields, message, signature = self._parse(token, types)
        signed = self._options.unsigned or self._signed(header, fields, message, signature)
        if not signed:
            raise InvalidToken("no configured key made the signature")
        self._check_parties(fields)
        return fields

    def _check_parties(self, fields: Fields) -> None:
        options = self._options
        if not _matches(_audiences(fields), options.audience, options.audience_regex):
            raise InvalidToken("for another audience")
        if not _matches(_issuers(fields), options.issuer, options.issuer_regex):
            raise InvalidToken("from another issuer")

    def _check_clocks(self, fields: Fields) -> None:
        now = self._now()
        expires, begins = _moment(fields, "exp"), _moment(fields, "nbf")
        if (expires is not None and expires <= now) or (begins is not None and begins >= now):
            raise ExpiredToken

    @staticmethod
    def _life(fields: Fields) -> int:
        """Return when what the token opens ends: `expire_at` wins over `exp`, 0 is never."""
        if "expire_at" in fields:
            return max(0, fields.int64("expire_at"))
        return int(_moment(fields, "exp") or 0)

    def _user(self, fields: Fields) -> str:
        claim = self._options.user_claim
        if not claim:
            return fields.text("sub")
        value, text = fields.exact(claim)
        return value if isinstance(value, str) else "" if value is None else text

    @staticmethod
    def _info(fields: Fields) -> str:
        try:
            return fields.json_or_base64("info", "b64info")
        except Malformed:
            raise Failure(INTERNAL) from None

    def connect(self, token: str) -> ConnectToken:
        """Read a connection token; raises InvalidToken or ExpiredToken, or Failure for its info."""
        fields = self._claims(token, _CONNECT)
        if fields.text("channel"):
            raise InvalidToken("a subscription token")
        self._check_clocks(fields)
        try:
            granted = read_grants(fields)
        except Malformed as exc:
            raise InvalidToken(str(exc)) from None
        return ConnectToken(
            user=self._user(fields),
            expire_at=self._life(fields),
            info=self._info(fields),
            meta=fields.raw_or_nothing("meta"),
            grants=granted,
        )

    def subscribe(self, token: str) -> SubscribeToken:
        """Read a subscription token; raises InvalidToken or ExpiredToken."""
        fields = self._claims(token, _SUBSCRIBE)
        self._check_clocks(fields)
        if not fields.text("channel"):
            raise InvalidToken("no channel in it")
        try:
            granted = read_grant(fields)
        except Malformed as exc:
            raise InvalidToken(str(exc)) from None
        return SubscribeToken(
            user=self._user(fields),
            channel=fields.text("channel"),
            client=fields.text("client"),
            expire_at=self._life(fields),
            grant=granted,
        )
