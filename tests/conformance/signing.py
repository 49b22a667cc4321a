"""Key pairs made for this run, the sets they are published in, and tokens signed with them."""

import base64
import json
from functools import cache

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

_CURVES = {"ec256": ec.SECP256R1, "ec384": ec.SECP384R1, "ec521": ec.SECP521R1}


@cache
def private_key(name):
    """Make a key pair; the name says of which kind."""
    kind = name.partition("-")[0]
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind]())
    if kind == "ed":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(name, **more):
    """Write a key as a member of a set; a member of `more` that is None is left out."""
    key = private_key(name)
    kind = {"r": RSAAlgorithm, "ec": ECAlgorithm, "ed": OKPAlgorithm}
    algorithm = kind[name[:2] if name[0] == "e" else "r"]
    written = algorithm.to_jwk(
        (more.pop("private", None) and key) or key.public_key(), as_dict=True
    )
    written.pop("key_ops", None)
    written = {**written, "kid": name, "use": "sig", **more}
    return {member: value for member, value in written.items() if value is not None}


OCT = {"kty": "oct", "kid": "oct", "use": "sig", "k": base64.urlsafe_b64encode(b"s" * 33).decode()}


def _all():
    return [
        public("rsa", alg="RS256"),
        public("rsa-any"),
        public("rsa-oaep", alg="RSA-OAEP"),
        public("rsa-enc", use="enc"),
        public("rsa-nouse", use=None),
        public("rsa-private", private=True),
        public("ec256", alg="ES256"),
        public("ec384"),
        public("ec521", alg="ES512"),
        public("ec256-wrong", alg="ES384"),
        public("ed", alg="EdDSA"),
        public("ed-odd", alg="RS256"),
        OCT,
    ]


SETS = {
    "all": lambda: {"keys": _all()},
    "one": lambda: {"keys": [public("rsa", alg="RS256")]},
    "two": lambda: {"keys": [public("rsa-two", kid="rsa")]},
    "twice": lambda: {"keys": [public("rsa-old", kid="rsa"), public("rsa")]},
    "nokeys": lambda: {"keys": []},
    "nothing": dict,
    "foreign": lambda: {"keys": [public("rsa"), {"kty": "XYZ", "kid": "x", "use": "sig"}]},
    "curve": lambda: {"keys": [public("rsa"), {**public("ec256"), "crv": "secp256k1"}]},
    "spoilt": lambda: {"keys": [public("rsa"), {**public("ec384"), "x": "AAAA"}]},
    "numbers": lambda: {"keys": [public("rsa"), {**public("ec384"), "alg": 1}]},
    "html": lambda: "<html>",
    "list": list,
}


def served(name):
    """Return the text of a set."""
    content = SETS[name]()
    return content if isinstance(content, str) else json.dumps(content)


def signed(claims, key, algorithm, kid):
    """Sign claims; `kid` None leaves it out."""
    secret = b"s" * 33 if key == "oct" else private_key(key)
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims, secret, algorithm, headers)
