"""What the page quotes is what the code says."""

import re

import pytest

from tests.documents.blocks import ROOT

PAGES = {language: ROOT / "docs" / language / "troubleshooting.md" for language in ("en", "zh_CN")}


def quoted(page):
    """The messages of the first columns."""
    rows = re.findall(r"^\| (.+?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    messages = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    return [text for text in messages if text.count(" ") > 1 and not re.match(r"(python|--|mapllava)", text)]


@pytest.fixture(scope="module")
def source():
    """All of the package's text, literals that go on in the next line put together."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "mapllava").rglob("*.py"))
    return re.sub(r"\"\s*\n\s*f?\"", "", text)


def is_in(message, source):
    """Whether three words on end are, or all around its gaps; names and numbers differ."""
    words = message.split()
    runs = [" ".join(words[k : k + 3]) for k in range(len(words) - 2)]
    pieces = [piece.strip() for piece in re.split(r"'?…'?|\w+\.pth|SIG\w+|/dev/\w+", message)]
    return any(run in source for run in runs) or all(piece in source for piece in pieces)


@pytest.mark.parametrize("language", PAGES)
def test_a_message_that_is_quoted_is_one_that_is_given(language, source):
    messages = quoted(PAGES[language])
    assert len(messages) > 40
    assert not [message for message in messages if not is_in(message, source)]


def test_both_languages_quote_the_same():
    assert quoted(PAGES["en"]) == quoted(PAGES["zh_CN"])
