"""Ports on 127.0.0.1 for servers that have to be told theirs before they start."""

import random
import socket

# Below the range from which kernels give a port to whoever connects or asks for any (Linux: from
# 32768, others: from 49152): between the choice and the server's start nobody is given it.
_RANGE = range(12_000, 32_000)
_taken = set()
# Not the tests' random: pytest-randomly begins it anew for each test, in all processes alike.
_random = random.SystemRandom()


def free_port():
    """Return a port on which nobody listens; the same one only once."""
    for _ in range(1000):
        port = _random.choice(_RANGE)
        if port in _taken:
            continue
        with socket.socket() as probe:
            try:
                # As servers do: what is only left of a connection is no hindrance.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise RuntimeError(f"no port is free in {_RANGE}")
