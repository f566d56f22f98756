#!/usr/bin/env python
"""``mapllava print-config``, from a checkout."""

from mapllava.__main__ import tool

if __name__ == "__main__":
    raise SystemExit(tool(__file__))
