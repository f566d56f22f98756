"""A few of the kills of kills.py: as many as seconds allow."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_killed_and_resumed_run_is_the_run_that_was_left_alone(tmp_path, processes):
    command = [sys.executable, str(ROOT / "tests" / "faults" / "kills.py"), "--model", "toy", "--kills", "2"]
    done = subprocess.run(
        [*command, "--processes", processes, "--keep", str(tmp_path / "runs")],
        cwd=ROOT, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "2 kills" in done.stdout
    assert "equal bit for bit" in done.stdout
