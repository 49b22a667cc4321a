"""An nginx that keeps pages for everybody, in front of the site."""

import os
import shutil
import subprocess

import pytest

from tests.client.conftest import _wait_for
from tests.ports import free_port

CACHE = """
{user}
daemon off; worker_processes 1; error_log stderr crit; pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=pages:1m;
  server {{
    listen 127.0.0.1:{port};
    proxy_set_header Host $http_host;
    location / {{ proxy_pass http://127.0.0.1:{target}; }}
    location /state/ {{
      proxy_pass http://127.0.0.1:{target};
      # All that isn't said to be private is kept for everybody.
      proxy_cache pages; proxy_cache_valid 200 {seconds}s; proxy_cache_lock on;
      add_header X-Cache $upstream_cache_status;
    }}
  }}
}}
"""


class Cache:
    """For so many seconds each."""

    def __init__(self, folder, hall, *, seconds=600):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Else its workers are somebody who may not write there.
        user = "user root;" if os.getuid() == 0 else ""
        text = CACHE.format(
            user=user, folder=folder, port=self.port, target=hall.port, seconds=seconds
        )
        (folder / "nginx.conf").write_text(text)
        if shutil.which("nginx") is None:
            pytest.fail("This test needs nginx: apt-get install nginx-light", pytrace=False)
        self._command = ["nginx", "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]

    def __enter__(self):
        self._process = subprocess.Popen(self._command)
        _wait_for(self.port)
        return self

    def __exit__(self, *_exception):
        self._process.terminate()
        self._process.wait(60)
