"""Fits pages that GitHub shows to the site: a page's link to its other language is the site's own switch."""

from __future__ import annotations

import re

# `[简体中文](../zh_CN/data.md)` under a page's title: on GitHub the only way to the other language
_OTHER_LANGUAGE = re.compile(r"^\[(?:简体中文|English)\]\(\.\./(?:\.\./)?(?:zh_CN|en)/\S+\)\n+", re.MULTILINE)


def on_page_markdown(markdown: str, **_: object) -> str:
    """The page without what its site has otherwise."""
    return _OTHER_LANGUAGE.sub("", markdown, count=1)
