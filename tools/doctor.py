#!/usr/bin/env python
"""Preflight: look at this machine and a config before training.

python tools/doctor.py
python tools/doctor.py configs/stage2/synthetic.py
"""

from __future__ import annotations

from mapllava.startup import begin

begin(__name__)

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it must run where nothing is installed

from mapllava.cli.doctor import main

if __name__ == "__main__":
    raise SystemExit(main())
