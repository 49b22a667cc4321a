"""A TCP relay that can be cut, as a cable can."""

import contextlib
import socket
import threading


class Relay:
    def __init__(self, port):
        self.port = port
        self.target = 0
        """Port of the message server; known once the site runs."""
        self._is_cut = False
        self._sockets = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        # close() alone leaves accept() waiting.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join()

    def cut(self):
        """Close all connections, and every new one at once until heal()."""
        with self._lock:
            self._is_cut = True
            sockets, self._sockets = self._sockets, set()
        for one in sockets:
            _close(one)

    def heal(self):
        with self._lock:
            self._is_cut = False

    def _accept(self):
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            self._connect(client)

    def _connect(self, client):
        with self._lock:
            if self._is_cut:
                _close(client)
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                _close(client)
                return
            server.settimeout(None)
            self._sockets |= {client, server}
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with self._lock:
            self._sockets -= {source, target}
        _close(source)
        _close(target)


def _close(one):
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
