"""Every Python block of every document runs, in a project of its own."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests import interpreters
from tests.docs.documents import ROOT, blocks

SITE = Path(__file__).parent / "site"
DOCUMENTS = sorted({block.document for block in blocks("python")})
PARTS = {"settings.py", "urls.py"}
"""Files of which a document shows a part; of others it shows all."""

PUBLISHED = {
    "README.md": [
        "public",
        "public",
        "$staff user:1 public $users $staff $staff",
        "$staff",
        "order:42",
    ],
    "docs/broadcasting.md": [
        "order:1 order:2 order:3",
        "order:1 order:2 order:3 order:1 order:2 order:3",
    ],
    "docs/channels.md": ["user:1", "order:42"],
    "docs/handlers.md": ["order:42"],
    "docs/html.md": ["orders-de orders-fr"],
    "docs/migrating/dasf.md": ["$hello-topic"],
    "docs/migrating/mease.md": ["websocket:all"],
    "docs/notifications.md": ["user:1", "user:1 user:1"],
    "docs/publishing.md": [
        "public $users $staff user:1 $users public $group1 $group1",
        "user:1",
        "$staff $staff",
        "$staff $staff",
    ],
    "docs/state.md": ["order:42"],
    "docs/stored.md": ["$runs"],
    "docs/streams.md": ["answer:42 answer:42"] * 3,
    "docs/testing.md": ["public"],
    "docs/types.md": ["order:42 order:42"],
}
"""The channels to which the blocks of a document publish, block by block."""


def play(document, folder):
    """Run the document's blocks; return for each its result."""
    site = folder / "site"
    shutil.copytree(SITE, site, ignore=shutil.ignore_patterns("__pycache__"))
    loose = []
    for block in blocks("python", document=document):
        if block.file is None or block.file in PARTS:
            loose.append({"line": block.line, "code": block.code})
            continue
        path = site / block.file
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(block.code)
        # Imported where Django doesn't do it by itself.
        module = block.file.removesuffix(".py").replace("/", ".")
        loose.append({"line": block.line, "code": f"import {module}\n"})
    done = interpreters.run(
        [site / "play.py"],
        input=json.dumps(loose), capture_output=True, text=True, check=False, cwd=site,
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
            "VAPID_PRIVATE_KEY": "what a project has in its environment",
        },
    )  # fmt: skip
    assert done.returncode == 0, f"{document}\n{done.stderr}"
    return json.loads(done.stdout)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_blocks_run(document, tmp_path):
    results = play(document, tmp_path)
    wrong = [f"{document}:{r['line']}\n{r['problem']}" for r in results if r["problem"]]
    assert not wrong, "\n".join(wrong)
    assert len(results) == len(blocks("python", document=document))
    # That it runs would also be true of a sample that does nothing.
    published = [" ".join(r["published"]) for r in results if r["published"]]
    assert published == PUBLISHED.get(document, [])


def test_a_wrong_sample_is_found(tmp_path, monkeypatch):
    from tests.docs import documents

    bad = documents.Block("x.md", 1, "python", "publish('$', 'no such name')\n")
    monkeypatch.setattr("tests.docs.test_python.blocks", lambda *_, document: [bad])
    [result] = play("x.md", tmp_path)
    assert "NameError" in result["problem"]
