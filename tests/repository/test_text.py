"""What may stand in no file, and links that must lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.repository.tree import files, name_of
from tools.paths import ROOT

# The machine that installs says which index it uses; a tree that names one does not install behind another.
REGISTRIES = re.compile(
    r"\b(pypi\.org|pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|crates\.io|proxy\.golang\.org"
    r"|sum\.golang\.org|repo1?\.maven|maven\.apache\.org|deb\.debian\.org|buf\.build)\b"
)
HOMES = re.compile(r"(?<![\w.])/(home|Users|root)/")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)


def texts(*suffixes: str) -> list[tuple[Path, str]]:
    """Return each file of the tree that is text, with its text."""
    found = []
    for path in files(*suffixes):
        content = path.read_bytes()
        if b"\0" not in content:
            found.append((path, content.decode("utf-8")))
    return found


def test_no_file_names_a_package_registry() -> None:
    assert [name_of(path) for path, text in texts() if REGISTRIES.search(text)] == []


def test_no_file_names_a_home_or_the_place_of_this_tree() -> None:
    assert [name_of(path) for path, text in texts() if HOMES.search(text) or f"{ROOT}/" in text] == []


@pytest.mark.parametrize("text", ["https://registry" + ".npmjs.org/x", "files.python" + "hosted.org", "crates" + ".io"])
def test_registries_are_recognised(text: str) -> None:
    assert REGISTRIES.search(text)


def test_homes_are_recognised_and_paths_of_urls_are_not() -> None:
    assert HOMES.search("cd /" + "home/someone")
    assert not HOMES.search("example.com/" + "home/someone")


def test_every_relative_link_leads_to_a_file_and_to_a_heading_of_it() -> None:
    broken = [
        f"{name_of(path)}: {target}"
        for path, text in texts(".md")
        for target in LINK.findall(text)
        if not re.match(r"[a-z]+:", target) and not leads_somewhere(path, target)
    ]
    assert broken == []


def leads_somewhere(page: Path, target: str) -> bool:
    """Return whether a link on the page leads to a file of the tree and, if it names one, to a heading there."""
    file, _, anchor = target.partition("#")
    goal = (page.parent / file).resolve() if file else page
    if not goal.exists() or not goal.is_relative_to(ROOT):
        return False
    return not anchor or anchor in map(slug, HEADING.findall(goal.read_text(encoding="utf-8")))


def slug(heading: str) -> str:
    """Return the anchor that Markdown viewers give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_a_link_to_a_missing_file_or_heading_is_broken() -> None:
    page = ROOT / "docs" / "errors.md"
    assert leads_somewhere(page, "#session_expired")
    assert leads_somewhere(page, "configuration.md")
    assert not leads_somewhere(page, "#no-such-heading")
    assert not leads_somewhere(page, "no-such-file.md")
