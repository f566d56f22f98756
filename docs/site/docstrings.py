"""Docstrings are written with Sphinx's roles; Markdown shows what they name as code."""

from __future__ import annotations

import re

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc|obj):`~?([^`]+)`")


class SphinxRoles(griffe.Extension):
    """``:func:`~a.b.c` `` becomes `` `a.b.c` ``."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Called once for every object that is read."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
