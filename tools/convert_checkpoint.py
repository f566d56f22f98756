#!/usr/bin/env python
"""``mapllava convert to-hf`` and ``mapllava convert from-hf``, from a checkout."""

from mapllava.__main__ import tool

if __name__ == "__main__":
    raise SystemExit(tool("convert to-hf", "convert from-hf"))
