from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*args: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools" / "create_synthetic_nuscenes.py"), *args]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "100"}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=600, check=False)


def test_makes_a_city_then_refuses_another_one_there(tmp_path):
    options = ("--scenes-train", "1", "--scenes-val", "1", "--samples-per-scene", "1", "--workers", "1")
    made = run(str(tmp_path / "c"), *options, "--image-size", "64x36")
    assert made.returncode == 0, made.stderr
    assert "train" in made.stdout
    assert "12 images" in made.stdout
    other = run(str(tmp_path / "c"), *options, "--image-size", "128x72")
    assert other.returncode == 2
    assert "image_size [64, 36] instead of [128, 72]" in other.stderr
    assert "Traceback" not in other.stderr


def test_help_explains(tmp_path):
    shown = run("--help")
    assert shown.returncode == 0
    assert "--samples-per-scene" in shown.stdout
