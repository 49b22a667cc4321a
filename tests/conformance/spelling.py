"""What recordings abbreviate: tokens, moments, and texts that are long.

`<now+30>` is the Unix time in 30 seconds. `times` names what is repeated: with `{"<open>": ["[", 9000]}`
`<open>` stands for 9000 brackets. `<pad>` is as many "x" as `pad` says.
"""

import base64
import hashlib
import hmac
import json
import re
import time

SECRET = "0123456789012345678901234567890123456789"

_NOW = re.compile(r"<now([+-]\d+)>")
_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_HEADER = '{"alg":"HS256","typ":"JWT"}'


def spelt(text, abbreviations):
    """Write out what `text` abbreviates."""
    text = _NOW.sub(lambda found: str(int(time.time()) + int(found[1])), text)
    for name, (what, count) in abbreviations.get("times", {}).items():
        text = text.replace(name, what * count)
    return text.replace("<pad>", "x" * abbreviations.get("pad", 0))


def timed(claims):
    """Replace "+30" as a time by the Unix time in 30 seconds."""
    now = int(time.time())
    moments = {
        name: now + int(claims[name])
        for name in ("exp", "expire_at", "nbf", "iat")
        if isinstance(claims.get(name), str)
    }
    return {**claims, **moments}


def token(claims, secret=SECRET, algorithm="HS256"):
    """Sign claims; "+30" as a time is 30 seconds from now."""
    header = json.dumps({"alg": algorithm, "typ": "JWT"})
    return signed(header, json.dumps(timed(claims)), secret, algorithm)


def signed(header, claims, secret=SECRET, algorithm="HS256", *, padded=False):
    """Sign two texts as they are; `padded` encodes them as a token must not be."""

    def part(data):
        encoded = base64.urlsafe_b64encode(data)
        return encoded if padded else encoded.rstrip(b"=")

    message = part(header.encode()) + b"." + part(claims.encode())
    signature = hmac.new(secret.encode(), message, _HASHES[algorithm]).digest()
    return (message + b"." + part(signature)).decode()


def written(parts, value=""):
    """Sign the header and the claims of a recorded token, with `value` in the place of `<v>`."""
    header, claims = (
        spelt(parts.get(name, default).replace("<v>", value), parts)
        for name, default in (("header", _HEADER), ("claims", ""))
    )
    algorithm = parts.get("alg", "HS256")
    return signed(header, claims, SECRET, algorithm, padded=parts.get("padded", False))
