"""Tokens that are signed with RSA and ECDSA keys."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from instant.embedded.config.load import parse
from instant.embedded.tokens.verify import InvalidToken, Verifier
from tests.conformance.player import token
from tests.embedded.keys import CURVES, RSA, public


def verifier(**keys):
    return Verifier(parse({"client": {"token": keys}}, {}).token)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_rsa_tokens(algorithm):
    mine = verifier(rsa_public_key=public(RSA))
    assert mine.connect(jwt.encode({"sub": "1"}, RSA, algorithm)).user == "1"
    other = rsa.generate_private_key(65537, 2048)
    with pytest.raises(InvalidToken):
        mine.connect(jwt.encode({"sub": "1"}, other, algorithm))
    with pytest.raises(InvalidToken):
        verifier(hmac_secret_key="s" * 40).connect(jwt.encode({"sub": "1"}, RSA, algorithm))


@pytest.mark.parametrize("algorithm", CURVES)
def test_ecdsa_tokens(algorithm):
    mine = verifier(ecdsa_public_key=public(CURVES[algorithm]), hmac_secret_key="s" * 40)
    assert mine.connect(jwt.encode({"sub": "1"}, CURVES[algorithm], algorithm)).user == "1"
    assert mine.connect(token({"sub": "2"}, "s" * 40)).user == "2"
    for other in CURVES.keys() - {algorithm}:
        with pytest.raises(InvalidToken):
            mine.connect(jwt.encode({"sub": "1"}, CURVES[other], other))


def test_a_public_key_is_no_hmac_secret():
    with pytest.raises(InvalidToken):
        verifier(rsa_public_key=public(RSA)).connect(token({"sub": "1"}, public(RSA)))
