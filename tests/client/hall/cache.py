"""An nginx that keeps pages for everybody, in front of the site."""

from tests.ports import free_port
from tests.servers import Nginx

SITES = """
proxy_cache_path {folder}/cache keys_zone=pages:1m;
server {{
  listen 127.0.0.1:{port};
  proxy_set_header Host $http_host;
  location / {{ proxy_pass http://127.0.0.1:{target}; }}
  location ~ ^/(state|instant/fragments)/ {{
    proxy_pass http://127.0.0.1:{target};
    # All that isn't said to be private is kept for everybody.
    proxy_cache pages; proxy_cache_valid 200 {seconds}s; proxy_cache_lock on;
    add_header X-Cache $upstream_cache_status;
  }}
}}
"""


class Cache(Nginx):
    """For so many seconds each."""

    def __init__(self, folder, hall, *, seconds=600):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        sites = SITES.format(folder=folder, port=port, target=hall.port, seconds=seconds)
        super().__init__(folder, sites, port)
