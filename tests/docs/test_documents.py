"""The form of all documents: lines, links, size, and what they must not name."""

import re
import sys

import pytest

from instant.models import Channel
from tests.docs.documents import CLIENT, ROOT, names, prose, text

sys.path.insert(0, str(ROOT / "docs"))

WIDTH = 120


@pytest.mark.parametrize("name", names())
def test_no_line_is_too_long(name):
    long = [n for n, line in enumerate(text(name).splitlines(), 1) if len(line) > WIDTH]
    assert not long


@pytest.mark.parametrize("name", names())
def test_links_lead_somewhere(name):
    found = re.findall(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", prose(name), re.MULTILINE)
    for link in (inline or below for inline, below in found):
        path, _, anchor = link.partition("#")
        if "://" in link:
            assert link.startswith("https://"), link
            continue
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{name}: {link}"


def anchors(source):
    """Return the anchors of a document's headings, as GitHub and MyST make them."""
    source = re.sub(r"^```.*?^```$", "", source, flags=re.MULTILINE | re.DOTALL)
    found = set()
    for heading in re.findall(r"^#+ (.*)$", source, re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


@pytest.mark.parametrize("name", names())
def test_no_secret_no_path_of_a_machine_and_nothing_that_is_not_shipped(name):
    source = text(name)
    for word in ("/work/", "/root/", "/home/", "peer_", "peers.md"):
        assert word not in source
    assert not re.search(r"\bthe design\b|\bresearch\b", source, re.IGNORECASE)


def test_the_readme_is_short_and_begins_with_code():
    source = text("README.md")
    assert len(source.encode()) <= 12_000
    before = source[: source.index("```")]
    assert len(before.splitlines()) <= 10  # within one screen, on a phone too


def test_the_readme_answers_in_the_order_of_the_questions():
    order = re.findall(r"^## (.*)$", text("README.md"), re.MULTILINE)
    assert order == [
        "Try it",
        "Install",
        "The first message",
        "Publish",
        "Channels",
        "Your own rules",
        "In the browser",
        "Tests",
        "What is guaranteed",
        "Where to go on",
    ]


def test_every_page_is_reached_from_the_first():
    """By the README where the repository is shown, by the sidebar where the pages are."""
    import included

    shown = {page.stem for page in included.shown_at().values()}
    sidebar = set(
        re.findall(r"^(?:.*<)?(?:[a-z]+/)?([a-z]+)>?$", text("docs/index.md"), re.MULTILINE)
    )
    assert shown - {"index"} == sidebar & shown
    linked = {(ROOT / link).resolve() for link in re.findall(r"[\w/-]+\.md", text("README.md"))}
    pages = {path for path in included.shown_at() if "{include}" not in path.read_text()}
    assert pages - linked == {ROOT / "README.md"}


def test_the_levels_are_those_of_the_model():
    for name in ("README.md", "docs/channels.md"):
        table = re.findall(r"^\| `(\w+)` \| (.*) \|$", text(name), re.MULTILINE)
        assert [
            level for level, _ in table if level in Channel.Level.values
        ] == Channel.Level.values
    # One place says it, the other repeats it.
    one, other = (
        re.search(r"\| level \|.*?\n\n", text(name), re.DOTALL)[0]
        for name in ("README.md", "docs/channels.md")
    )
    assert one == other


def test_the_architecture_names_files_that_are_there():
    answers = text("ARCHITECTURE.md").partition("## Where is …?")[2].partition("\n## ")[0]
    named = 0
    for answer in re.split(r"^\d+\. ", answers, flags=re.MULTILINE):
        beside = [ROOT, ROOT / "instant"]
        for path in re.findall(r"`([\w/.-]+\.(?:py|ts))`", answer):
            found = [folder / path for folder in beside if (folder / path).exists()]
            assert found, path
            beside.append(found[0].parent)
            named += 1
    assert named > 50


def test_the_architecture_names_every_room():
    tree = text("ARCHITECTURE.md").partition("## The tree")[2].partition("\n## ")[0]
    rooms = {path.parent.name for path in (ROOT / "instant").rglob("*/__init__.py")}
    rooms |= {path.parent.name for path in (ROOT / "js-client/src").rglob("*/*.ts")}
    found = set(re.findall(r"(\w+)/", tree)) | set(re.findall(r"\w+", tree))
    assert rooms - found == set()


def test_links_on_pypi_and_in_the_pages_are_resolved():
    import included

    pages = included.shown_at()
    readme = ROOT / "README.md"
    assert included.target("docs/settings.md#timeout", readme, pages) == "settings.md#timeout"
    assert included.target("SECURITY.md", readme, pages) == "security.md"
    assert included.target("LICENSE", readme, pages) == f"{included.BROWSE}LICENSE"
    assert included.target("../README.md#install", ROOT / CLIENT, pages) == "index.md#install"
    with pytest.raises(ValueError, match="isn't there"):
        included.target("docs/nothing.md", readme, pages)
