"""Two processes on a machine without a GPU train together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
TOY = ROOT / "tests" / "engine" / "toy.py"

from toy import toy_config  # noqa: E402


def test_two_processes_share_the_data_and_agree(tmp_path):
    cfg = toy_config(tmp_path / "run", epochs=1)
    cfg.dump(tmp_path / "toy_config.py")
    env = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [ROOT / "tools" / "dist_train.sh", tmp_path / "toy_config.py", "2", "--plugins", TOY]
    done = subprocess.run(
        [*map(str, command)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    saved = torch.load(tmp_path / "run" / "final_model.pth", weights_only=True)
    assert saved["meta"]["iter"] == 2, "8 samples, 2 processes, batches of 2"
    assert saved["ema_updates"] == 2
    assert [key for key in saved["state_dict"] if key.startswith("module.")] == []
    (entry,) = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert entry["epoch"] == 1
