"""Verification of connection and subscription tokens: JSON Web Tokens."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from instant.embedded.config.tokens import TokenOptions
from instant.embedded.errors import INTERNAL, Failure, Malformed
from instant.embedded.json_text import Fields

from .grants import Grant, read_grant, read_grants
from .jwks import MissingKey, PublishedKeys
from .signatures import Signatures


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
    try:
        return base64.b64decode(
            part.encode("ascii") + b"=" * (-len(part) % 4), b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        raise InvalidToken("not base64url") from None


def _moment(fields: Fields, name: str) -> float | None:
    value = fields.value(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{name} is not a time")
    return float(value)


def _audiences(fields: Fields) -> list[str]:
    audience: Any = fields.value("aud")
    named = audience if isinstance(audience, list) else [audience]
    return [item for item in named if isinstance(item, str)]


def _issuers(fields: Fields) -> list[str]:
    issuer = fields.value("iss")
    return [issuer] if isinstance(issuer, str) else []


def _matches(found: list[str], wanted: str, pattern: re.Pattern[str] | None) -> bool:
    if wanted:
        return wanted in found
    return pattern is None or any(pattern.search(item) for item in found)


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
            header, fields, _, _ = self._parse(token)
            url, kid = keys.url(self._variables(fields)), header.text("kid")
        except (InvalidToken, Malformed):
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

    def _parse(self, token: str) -> tuple[Fields, Fields, bytes, bytes]:
        """Take a token apart: header, claims, what is signed, and the signature."""
        header, dot, rest = token.partition(".")
        claims, second, signature = rest.partition(".")
        if not dot or not second:
            raise InvalidToken("not three parts")
        try:
            head = Fields(_decoded(header).decode())
            head.text("alg")
            fields = Fields(_decoded(claims).decode())
            fields.text("sub")
        except (Malformed, UnicodeDecodeError):
            raise InvalidToken("header or claims can't be read") from None
        message = f"{header}.{claims}".encode("ascii", "replace")
        return head, fields, message, _decoded(signature)

    def _claims(self, token: str) -> Fields:
        header, fields, message, signature = self._parse(token)
        try:
            signed = self._options.unsigned or self._signed(header, fields, message, signature)
        except Malformed:
            raise InvalidToken("header can't be read") from None
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
        value = fields.value(claim)
        return value if isinstance(value, str) else fields.raw_or_nothing(claim)

    @staticmethod
    def _info(fields: Fields) -> str:
        if not fields.text("b64info"):
            return fields.raw_or_nothing("info")
        try:
            return fields.json_or_base64("info", "b64info")
        except Malformed:
            raise Failure(INTERNAL) from None

    def connect(self, token: str) -> ConnectToken:
        """Read a connection token; raises InvalidToken or ExpiredToken, or Failure for its info."""
        fields = self._claims(token)
        try:
            if fields.text("channel"):
                raise InvalidToken("a subscription token")
            self._check_clocks(fields)
            granted = read_grants(fields)
            return ConnectToken(
                user=self._user(fields),
                expire_at=self._life(fields),
                info=self._info(fields),
                meta=fields.raw_or_nothing("meta"),
                grants=granted,
            )
        except Malformed as exc:
            raise InvalidToken(str(exc)) from None

    def subscribe(self, token: str) -> SubscribeToken:
        """Read a subscription token; raises InvalidToken or ExpiredToken."""
        fields = self._claims(token)
        try:
            self._check_clocks(fields)
            if not fields.text("channel"):
                raise InvalidToken("no channel in it")
            return SubscribeToken(
                user=self._user(fields),
                channel=fields.text("channel"),
                client=fields.text("client"),
                expire_at=self._life(fields),
                grant=read_grant(fields),
            )
        except Malformed as exc:
            raise InvalidToken(str(exc)) from None
