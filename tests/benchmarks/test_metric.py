import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_checks_the_score_and_writes_what_it_measured(tmp_path):
    out = tmp_path / "new" / "metric.json"
    options = [
        "--samples",
        "4",
        "--naive-samples",
        "1",
        "--val-samples",
        "5",
        "--rounds",
        "1",
        "--out",
        str(out),
    ]
    done = subprocess.run(
        [sys.executable, "benchmarks/metric.py", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "chamfer_average_precision" in done.stdout
    result = json.loads(out.read_text())
    assert result["largest_difference_of_ap"] < 1e-6
    assert result["val_sized"]["samples"] == 5
    assert {"machine", "commit", "command", "ms_per_sample", "ratio_to_naive"} <= set(result)
