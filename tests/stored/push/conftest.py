"""A push service on this machine, and browsers that subscribe at it."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import http_ece
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from instant.stored.push import addresses, vapid

PRIVATE_KEY = "qEL-Ejtk7zQ7gVXPWNnqqPqzvVMH7qvLPMDHdvMW5mw"


def encoded(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Browser:
    """What a browser keeps of its subscription."""

    def __init__(self, service, name):
        self.endpoint = f"{service.origin}/{name}"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._secret = b"0123456789abcdef"
        self.public = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def subscription(self, **more):
        """Return it as PushSubscription.toJSON() does."""
        keys = {"p256dh": encoded(self.public), "auth": encoded(self._secret)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys, **more}

    def read(self, body):
        """Return what a message says that was encrypted for this browser."""
        plain = http_ece.decrypt(
            body, private_key=self._key, auth_secret=self._secret, version="aes128gcm"
        )
        return json.loads(plain)


class Service:
    def __init__(self):
        self.received = []
        self.answers = {}
        """Of a path: status and headers of the next answers; 201 where none is left."""
        self.says = b"said"
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.received.append((self.path, dict(self.headers), body))
                listed = service.answers.get(self.path, [])
                status, headers = listed.pop(0) if listed else (201, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(service.says)))
                self.end_headers()
                self.wfile.write(service.says)

            def do_GET(self):
                service.received.append((self.path, dict(self.headers), b""))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def browser(self, name="ann"):
        return Browser(self, name)

    def paths(self):
        return [path for path, _headers, _body in self.received]

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def service(monkeypatch):
    service = Service()
    monkeypatch.setattr(addresses, "LOCAL", frozenset({service.origin}))
    yield service
    service.close()


@pytest.fixture
def push(settings):
    """Switch it on, with more settings."""

    def push(**more):
        given = {"PRIVATE_KEY": PRIVATE_KEY, "CONTACT": "mailto:ops@example.com", **more}
        settings.INSTANT = {**settings.INSTANT, "PUSH": given}

    push()
    yield push
    vapid._headers.cache_clear()


@pytest.fixture
def post(client):
    def post(path, body, by=client):
        return by.post(
            f"/instant/{path}/", json.dumps(body), content_type="application/json",
            headers={"Sec-Fetch-Site": "same-origin"},
        )  # fmt: skip

    return post
