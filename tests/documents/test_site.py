"""What `make docs` builds: its navigation has every page, links lead to files, words are uniform."""

import re

import pytest

from tests.documents.blocks import PAIRS, ROOT

PAGES = [page for pair in PAIRS for page in pair]
PAGES += [ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*/api/*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def prose(page):
    """A page without its code."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`]*`", "", text)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_every_page_stands_in_the_navigation_once(language):
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    folder = ROOT / "docs" / language
    pages = sorted(page.relative_to(folder).as_posix() for page in folder.rglob("*.md"))
    assert sorted(re.findall(r"\S+\.md", nav)) == pages, "mkdocs.yml, nav"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_link_leads_to_a_file(page):
    """Anchors are looked after by `make docs`, which is strict."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(page)):
        if not target.startswith("https://"):
            assert (page.parent / target).is_file(), target


@pytest.mark.parametrize("page", [page for _, page in PAIRS], ids=lambda page: page.name)
def test_chinese_pages_keep_to_one_word(page):
    """The left one is written nowhere; CONTRIBUTING has the list."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| ([^|]+) \| ([^|]+) \| not ([^|]+) \|$", contributing, re.MULTILINE)
    assert table, "CONTRIBUTING.md, Words in Chinese"
    text = prose(page)
    for _, word, others in table:
        for other in others.split("、"):
            assert other.strip() not in text, f"{page.name}: {other.strip()}; write {word}"
