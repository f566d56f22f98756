#!/usr/bin/env python
"""``mapllava train``, from a checkout."""

from mapllava.__main__ import tool

if __name__ == "__main__":
    raise SystemExit(tool("train"))
