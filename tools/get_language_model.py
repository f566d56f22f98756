#!/usr/bin/env python
"""``mapllava get``, from a checkout."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it must run where nothing is installed

from mapllava.__main__ import tool

if __name__ == "__main__":
    raise SystemExit(tool("get"))
