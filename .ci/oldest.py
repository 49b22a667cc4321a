"""Print the oldest versions that pyproject.toml allows, tests' tools too, as constraints of pip."""

import re
import sys
import tomllib
from pathlib import Path

pyproject = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
for requirement in pyproject["project"]["dependencies"] + pyproject["dependency-groups"]["test"]:
    found = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\w.]+)(?:[,;].*)?", requirement)
    if found is None:
        sys.exit(f"{requirement}: which version is the oldest? Write it as name>=version.")
    print(f"{found[1]}=={found[2]}")
