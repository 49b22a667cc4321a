"""What package indexes show, and what the package asks for."""

import json
import tomllib

from packaging.requirements import Requirement

from tests.docs.documents import ROOT, text

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


def test_one_version_everywhere():
    client = json.loads((ROOT / "js-client/package.json").read_text())["version"]
    assert client == PROJECT["version"].replace(".dev", "-dev.")
    assert f"## {PROJECT['version'].split('.dev')[0]}" in text("CHANGELOG.md")


def test_the_python_and_the_django_of_the_readme():
    needed = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    assert f"Python {PROJECT['requires-python'].removeprefix('>=')}" in text("README.md")
    assert f"Django {str(needed['django']).removeprefix('>=')}" in text("README.md")


def test_links_of_the_project():
    assert {"Repository", "Documentation", "Changelog", "Issues"} == set(PROJECT["urls"])
    repository = PROJECT["urls"]["Repository"]
    assert all(url.startswith(repository) for url in PROJECT["urls"].values())
    for rule in PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"][
        "substitutions"
    ]:
        assert repository.removeprefix("https://github.com") in rule["replacement"]


def test_the_dependencies_are_bounded_where_they_broke():
    """cent 5 broke 4.2.0, whose requirement had no bound; and Django was not required at all."""
    needed = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    assert "6.0" not in needed["cent"]
    assert "5.2" in needed["cent"]
    assert set(needed) == {"django", "cent", "pyjwt", "requests", "aiohttp", "urllib3"}
    assert "5.1" not in needed["django"]
