"""Two nodes of the real server that share an engine, behind nginx."""

import contextlib
from urllib.parse import parse_qs, urlsplit

from django.core.management import call_command
from django.db import connections

from instant import conf
from instant.centrifugo.config.defaults import new_secret
from instant.server.sync import compare, write
from tests import engines
from tests.live.servers import LiveServer, use
from tests.ports import free_port
from tests.servers import Nginx

ENGINES = ("redis", "postgres", "postgres, presence in redis")

SITES = """
upstream nodes {{
  server 127.0.0.1:{a} fail_timeout=1s;
  server 127.0.0.1:{b} fail_timeout=1s;
}}
server {{
  listen 127.0.0.1:{port};
  location /connection/ {{
    proxy_pass http://nodes; proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
    proxy_read_timeout 60s;
  }}
}}
# For Django: a request that is repeated is recognised by its key.
server {{
  listen 127.0.0.1:{api_port};
  location /api {{
    proxy_pass http://nodes; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_next_upstream error timeout non_idempotent;
  }}
}}
"""


class Pair:
    """Nodes ``a`` and ``b`` of one server, as ``syncws`` writes their configs."""

    kind = "centrifugo"

    def __init__(self, folder, engine, config):
        keys = {
            "client": {
                "token": {"hmac_secret_key": new_secret()},
                "recovery_max_publication_limit": 2000,
            },
            "http_api": {"key": new_secret()},
        }
        self.nodes = []
        for name in "ab":
            (folder / name).mkdir()
            self.nodes.append(
                LiveServer("centrifugo", folder / name, **keys, node={"name": name}, **config)
            )
        self.a, self.b = self.nodes
        self.engine = engine
        if isinstance(engine, dict) and "nodes" in engine:
            engine["nodes"] = [f"http://127.0.0.1:{node.port}" for node in self.nodes]
        for node in self.nodes:
            with use(node, ENGINE=engine):
                write(compare(conf.current()))
        self.folder = self.a.folder
        self.port, self.api_port = free_port(), free_port()
        (folder / "nginx").mkdir()
        sites = SITES.format(a=self.a.port, b=self.b.port, port=self.port, api_port=self.api_port)
        self._nginx = Nginx(folder / "nginx", sites, self.port)

    @property
    def url(self):
        """The address of both, behind nginx."""
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    def __enter__(self):
        for node in self.nodes:
            node.start()
        self._nginx.__enter__()
        return self

    def __exit__(self, *_exc):
        self._nginx.__exit__()
        for node in self.nodes:
            node.kill()


@contextlib.contextmanager
def pair(folder, kind, config):
    """Run two nodes on an engine of their own."""
    with contextlib.ExitStack() as stack:
        if kind == "redis":
            engine = stack.enter_context(engines.redis())
        elif kind == "nats":
            engine = {"broker": stack.enter_context(engines.nats()), "nodes": []}
        elif kind == "postgres":
            engine = {"broker": stack.enter_context(engines.postgres()), "nodes": []}
        else:
            engine = {
                "broker": stack.enter_context(engines.postgres()),
                "presence": stack.enter_context(engines.redis()),
            }
        yield stack.enter_context(Pair(folder, engine, config))


@contextlib.contextmanager
def database(nodes, alias):
    """Have Django use the PostgreSQL of the nodes too, under this alias, migrated."""
    host = parse_qs(urlsplit(nodes.engine["broker"]).query)["host"][0]
    connections.databases[alias] = {
        **connections.databases["other"],
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": host,
    }
    try:
        call_command("migrate", "instant", database=alias, verbosity=0)
        yield
    finally:
        connections[alias].close()
        del connections[alias], connections.databases[alias]
