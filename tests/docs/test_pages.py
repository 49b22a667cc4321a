"""Templates, JavaScript, JSON and YAML of the documents are what they seem."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from django.contrib.auth.models import AnonymousUser
from django.template import RequestContext, engines

from instant import Namespace, namespaces
from instant.deliveries import AtMostOnce
from tests.docs.documents import CLIENT, ROOT, blocks

TSC = ROOT / "js-client/node_modules/typescript/bin/tsc"
_SCRIPT = re.compile(r"<script>\n(.*?)</script>", re.DOTALL)

GRANTED = """
import type { Instant } from "djangoinstant"
import type * as Module from "djangoinstant"
import type * as Live from "djangoinstant/live"
declare module "djangoinstant" {
  interface InstantEvents {
    shipped: { status: string }
    "order.updated": { pk: number; status: string }
    chat: { by?: string; text: string }
    typing: { by: string }
    "instant:ping": undefined
    "instant:stream": unknown
    "instant:notification": { title: string; url: string }
    "instant:notifications-read": { unread: number }
  }
}
declare global {
  const instant: Instant
  const $instant: typeof Module & Pick<typeof Live, "liveList">
  const badge: HTMLElement
  const input: HTMLInputElement
  const csrfToken: string
  const ownChannel: string
  function count(unread: number): void
  function draw(message: unknown): void
  function show(...values: unknown[]): HTMLElement
  interface HTMLElementTagNameMap {
    "turbo-frame": HTMLElement & { reload(): Promise<void> }
  }
}
"""
"""What the documents' scripts take for granted: the page's globals, and what is the page's own."""


def of(blocks):
    return [pytest.param(block, id=block.where) for block in blocks]


def scripts():
    """Yield each script with a name: blocks of JavaScript, and what pages have inside."""
    for block in blocks("js", "javascript"):
        if block.document != CLIENT:
            yield block.where, block.code
    for block in blocks("django", "html"):
        if block.document != CLIENT:
            for code in _SCRIPT.findall(block.code):
                yield block.where, code


class Order(Namespace, abstract=True):
    name, pattern, delivery = "order", "<int:pk>", AtMostOnce()
    authorize, snapshot_is_public = "open", True

    def snapshot(self, user, pk):
        return {"status": "placed"}


@pytest.mark.parametrize("block", of(blocks("django")))
def test_templates_render(block, rf, monkeypatch, settings):
    monkeypatch.setattr(namespaces, "_registry", [Order])
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "instant.middleware.StateMiddleware"]
    settings.INSTANT = {**settings.INSTANT, "LITE": "instant_lite" in block.code}
    request = rf.get("/")
    request.user = AnonymousUser()
    template = engines["django"].from_string(block.code)
    if "{% live" in block.code:
        return  # it needs objects, which its own tests have
    page = template.template.render(RequestContext(request, {"request": request}))
    assert "{%" not in page
    assert ("data-instant-state" in page) is ("instant_state" in block.code)
    if "instant_script" in block.code:
        # The tag stands before what uses it.
        assert page.index("instant.min.js") < (page + "instant.channel").index("instant.channel")


def test_scripts_parse(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node isn't installed")
    found = list(scripts())
    assert len(found) >= 5
    for number, (where, code) in enumerate(found):
        path = tmp_path / f"{number}.mjs"
        path.write_text(code)
        done = subprocess.run([node, "--check", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{where}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.skipif(not TSC.exists(), reason="the client's packages are not installed (npm ci)")
def test_scripts_use_what_the_client_has(tmp_path):
    """Each is checked as TypeScript checks JavaScript, with the client's types."""
    (tmp_path / "granted.d.ts").write_text(GRANTED)
    for number, (where, code) in enumerate(scripts()):
        (tmp_path / f"{number}.js").write_text(f"// {where}\n{code}\nexport {{}}\n")
    options = {
        "noEmit": True, "allowJs": True, "checkJs": True, "target": "es2022", "module": "esnext",
        "moduleResolution": "bundler", "lib": ["es2022", "dom", "dom.iterable"], "types": [],
        "skipLibCheck": True, "paths": {
            "djangoinstant": [str(ROOT / "js-client/src/index.ts")],
            "djangoinstant/live": [str(ROOT / "js-client/src/live/index.ts")],
            "djangoinstant/stream": [str(ROOT / "js-client/src/stream/index.ts")],
        },
    }  # fmt: skip
    config = {"compilerOptions": options, "include": ["*.js", "*.d.ts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        ["node", TSC, "-p", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("block", of(blocks("json")))
def test_json_is_json(block):
    json.loads(block.code)


@pytest.mark.parametrize("block", of(blocks("yaml")))
def test_yaml_is_yaml(block):
    yaml.safe_load(block.code)


def test_every_language_is_looked_at():
    """A block without a language, or of a new one, would be looked at by nobody."""
    known = {
        "python",
        "console",
        "django",
        "css",  # tests/browser/test_bell.py looks at what it does
        "html",
        "js",
        "javascript",
        "json",
        "yaml",
        "ts",
        *("jsx", "vue", "svelte"),  # js-client/test/hooks-docs.test.ts
        "sql",  # tests/publishing/test_known_namespaces.py
        "text",
        "xml",  # tests/views/test_gateway.py
    }
    directives = {"{include}", "{toctree}"}
    for block in blocks():
        assert block.language in known | directives, block.where
        assert block.language not in directives or block.document.startswith("docs/")
        assert block.language != "ts" or block.document == CLIENT
