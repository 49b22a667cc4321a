"""Public keys that the signer of tokens publishes (JWKS), by address and key id; no I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from instant.embedded.algorithms import load_algorithms
from instant.embedded.config.token_keys import key_url

# How long a key that is used stays known.
KEPT = 3600.0

_RSA = frozenset(("RS256", "RS384", "RS512"))
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_OTHER_PAIRS = frozenset(("Ed448", "X25519", "X448"))
_TEXTS = ("kid", "kty", "alg", "use", "crv", "x", "y", "n", "e", "d", "p", "q", "k")
_PUBLIC = ("kty", "crv", "x", "y", "n", "e")


class UnusableSet(Exception):
    """What the endpoint serves is no key set; the message is for logs."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key and what it may verify; `algorithms` is empty where nothing can be verified with it."""

    algorithms: frozenset[str]
    key: Any = None

    def valid(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is this key's."""
        if algorithm not in self.algorithms:
            return False
        return load_algorithms()[algorithm].verify(message, self.key, signature)


def _use_of(members: Mapping[str, str]) -> frozenset[str]:
    """Return what a key can verify, nothing for a private or a foreign one."""
    kind, curve = members["kty"], members["crv"]
    if kind == "RSA":
        private, names = all(members[name] for name in "dpq"), _RSA
    elif kind == "EC" and curve in _CURVES:
        private, names = bool(members["d"]), frozenset((_CURVES[curve],))
    elif kind == "OKP" and curve == "Ed25519":
        return frozenset(("EdDSA",))
    elif (kind == "oct" and members["k"]) or (kind == "OKP" and curve in _OTHER_PAIRS):
        return frozenset()
    else:
        raise UnusableSet("a key is of an unknown kind")
    if members["alg"]:
        names &= {members["alg"]}
    return frozenset() if private else names


def _read_key(item: Any) -> tuple[str, PublicKey | None]:
    """Read one key of a set: its id, and None where it isn't meant for signatures."""
    if not isinstance(item, dict):
        raise UnusableSet("a key is no object")
    members = {name: item.get(name) or "" for name in _TEXTS}
    if not all(isinstance(value, str) for value in members.values()):
        raise UnusableSet("a member of a key is no string")
    names = _use_of(members)
    key: Any = None
    if names:
        import jwt  # noqa: PLC0415  it brings cryptography, which takes long to import

        try:
            public = {name: members[name] for name in _PUBLIC if members[name]}
            key = jwt.PyJWK(public, min(names)).key
        except Exception as exc:  # noqa: BLE001  whatever PyJWT and cryptography say of a bad key
            raise UnusableSet(f"a key can't be read: {type(exc).__name__}") from None
    return members["kid"], PublicKey(names, key) if members["use"] == "sig" else None


def read_set(text: str) -> dict[str, PublicKey]:
    """Read a key set: its keys for signatures by id; raises UnusableSet.

    One key that can't be read spoils the set, as with Centrifugo.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableSet("not JSON") from None
    found = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(found, list) or not found:
        raise UnusableSet("no keys in it")
    read = [_read_key(item) for item in found]
    return {kid: key for kid, key in read if key is not None}


class KeySets:
    """The keys of one endpoint; `now` is a monotonic clock, `path` the endpoint's in the config."""

    def __init__(self, endpoint: str, path: str, now: Callable[[], float]) -> None:
        self.path = path
        self._endpoint = endpoint
        self._now = now
        self._known: dict[tuple[str, str], tuple[PublicKey, float]] = {}

    def url(self, variables: Mapping[str, str]) -> str | None:
        """Return where the keys for a token are, None where that is no place to ask."""
        return key_url(self._endpoint, variables)

    def find(self, url: str, kid: str) -> PublicKey | None:
        """Return a key that is known; each use prolongs its time."""
        key, until = self._known.get((url, kid), (None, 0.0))
        if key is None or until < self._now():
            return None
        self._known[url, kid] = key, self._now() + KEPT
        return key

    def take(self, url: str, text: str) -> None:
        """Take what the endpoint answered; raises UnusableSet."""
        found, now = read_set(text), self._now()
        self._known = {name: held for name, held in self._known.items() if held[1] >= now}
        for kid, key in found.items():
            self._known[url, kid] = key, now + KEPT


@dataclass(frozen=True, slots=True)
class KeyWish:
    """A key that a token names and that isn't known yet."""

    keys: KeySets
    url: str
    kid: str

    @property
    def granted(self) -> bool:
        """Tell whether the key is known by now."""
        return self.keys.find(self.url, self.kid) is not None
