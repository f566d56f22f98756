#!/usr/bin/env python
"""``mapllava cache show|verify|lint|diff``, from a checkout."""

from mapllava.__main__ import tool

if __name__ == "__main__":
    raise SystemExit(tool("cache show", "cache verify", "cache lint", "cache diff"))
