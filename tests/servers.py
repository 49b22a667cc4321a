"""Small servers on 127.0.0.1 that answer as a test tells them to, and nginx in front of others."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

NGINX = """
{user} daemon off; worker_processes 1; error_log stderr crit; pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {sites}
}}
"""


class Nginx:
    """
    An nginx with these ``sites`` (``server`` and ``upstream`` blocks), from entering to leaving.

    Its folder is the test's own. It is ready when something answers on ``port``, whatever it is.
    """

    def __init__(self, folder, sites, port):
        self.port = port
        self._folder = folder
        self._config = folder / "nginx.conf"
        # Else its workers are somebody who may not write there.
        user = "user root;" if os.geteuid() == 0 else ""
        self._config.write_text(NGINX.format(user=user, folder=folder, sites=sites))

    def __enter__(self):
        program = shutil.which("nginx")
        if program is None:
            pytest.fail("This test needs nginx: apt-get install nginx-light", pytrace=False)
        self._process = subprocess.Popen(
            [program, "-p", str(self._folder), "-e", "stderr", "-c", str(self._config)]
        )
        wait_for_http(self.port)
        return self

    def __exit__(self, *_exception):
        self._process.terminate()
        self._process.wait(60)


def wait_for_http(port):
    """Return when something answers there, whatever it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)  # between two looks at another process
            continue
        return
    raise AssertionError(f"Nothing answers on port {port}.")


class RawServer:
    """
    Accepts connections and hands each to ``behave(connection)`` in a thread of its own.

    ``connections`` counts them, ``requests`` holds head and body of each request that
    ``read_request()`` returned.
    """

    def __init__(self, behave, *, context: ssl.SSLContext | None = None, port: int = 0):
        self._behave = behave
        self._context = context
        self.connections = 0
        self.requests = []
        self._open = []
        self._threads = []
        self._socket = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._socket.getsockname()[1]
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock):
        with contextlib.suppress(OSError, EOFError), sock:
            if self._context:
                sock = self._context.wrap_socket(sock, server_side=True)
            connection = Connection(self, sock)
            self._open.append(connection)
            with sock:
                self._behave(connection)

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            connection.abort()
        for thread in [self._acceptor, *self._threads]:
            thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()


class Connection:
    """One accepted connection."""

    def __init__(self, server, sock):
        self.server = server
        self.sock = sock
        self._buffer = b""

    def read_request(self):
        """Return head and body of the next request; EOFError when there is none."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(rest) < length:
            self._buffer = head + b"\r\n\r\n" + rest
            self._fill()
            rest = self._buffer[len(head) + 4 :]
        self._buffer = rest[length:]
        request = (head, rest[:length])
        self.server.requests.append(request)
        return request

    def _fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self._buffer += data

    def send(self, data):
        self.sock.sendall(data)

    def answer(self, body=b'{"result":{}}', status="200 OK", headers=()):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def reset(self):
        """Close with a RST, as a killed server does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def abort(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


def echoing(connection):
    """Answer each request with what it sent, as offset and epoch of a publication."""
    import json

    while True:
        _, body = connection.read_request()
        key = json.loads(body)["idempotency_key"]
        connection.answer(json.dumps({"result": {"offset": 1, "epoch": key}}).encode())


def answering(connection):
    """Answer each request with an empty result."""
    while True:
        connection.read_request()
        connection.answer()
