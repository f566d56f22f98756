"""The command lines that the launchers build, and what they say when something is missing."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = "configs/stage2/synthetic.py"


@pytest.fixture
def launch(tmp_path):
    """Runs a launcher with stubs of python and srun on PATH; its status, the stub's words, stderr."""
    stubs = tmp_path / "bin"
    stubs.mkdir()
    for name in ("python", "torchrun", "srun"):
        (stubs / name).write_text(
            "#!/bin/sh\n"
            f'echo {name} "$@"\n'
            'echo "env OMP_NUM_THREADS=$OMP_NUM_THREADS MASTER_PORT=$MASTER_PORT LAUNCH=$MAPLLAVA_LAUNCH'
            ' SHUTDOWN=$TORCH_ELASTIC_SHUTDOWN_TIMEOUT"\n'
        )
        (stubs / name).chmod(0o755)

    def run(tool, *arguments, path=None, **env):
        clean = {"PATH": path or f"{stubs}:{os.environ['PATH']}", **env}
        done = subprocess.run(
            ["/bin/bash", str(ROOT / "tools" / tool), *map(str, arguments)],
            cwd=ROOT, env=clean, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


TRAIN = f"{ROOT}/tools/train.py {CONFIG}"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "python -m torch.distributed.run --standalone"),
        ({"TORCHRUN": "torchrun"}, "torchrun --standalone"),
        (
            {"MASTER_PORT": "12345"},
            "python -m torch.distributed.run --nnodes 1 --node-rank 0 --master-addr 127.0.0.1 "
            "--master-port 12345",
        ),
        (
            {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "10.0.0.1", "PORT": "7000"},
            "python -m torch.distributed.run --nnodes 2 --node-rank 1 --master-addr 10.0.0.1 "
            "--master-port 7000",
        ),
        ({"MAX_RESTARTS": "3"}, "python -m torch.distributed.run --standalone --max-restarts 3"),
    ],
)
def test_dist_train_starts_torchrun(launch, env, expected):
    status, said, _ = launch("dist_train.sh", CONFIG, 4, "--amp", **env)
    assert status == 0
    assert said[0] == f"{expected} --nproc-per-node 4 {TRAIN} --amp --launcher pytorch"
    assert "OMP_NUM_THREADS=1" in said[1]
    assert re.search(r"LAUNCH=\S+-\d+-\d{19} ", said[1]), "all restarts know their run folder by it"
    assert said[1].endswith("SHUTDOWN=600"), "time enough to save"


def test_the_users_time_for_saving_holds(launch):
    _, said, _ = launch("dist_train.sh", CONFIG, 4, TORCH_ELASTIC_SHUTDOWN_TIMEOUT="7")
    assert said[1].endswith("SHUTDOWN=7")


def test_torchrun_obeys_that_time(monkeypatch):
    from torch.distributed.launcher.api import LaunchConfig

    monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "600")
    assert LaunchConfig(1, 1, 1).shutdown_timeout == 600


def test_a_port_in_use_is_named(launch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, said, errors = launch("dist_train.sh", CONFIG, 2, MASTER_PORT=port)
        assert (status, said) == (2, [])
        assert f"port {port} is in use" in errors.splitlines()[-1]
        other = {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "10.0.0.1"}
        assert launch("dist_train.sh", CONFIG, 2, MASTER_PORT=port, **other)[0] == 0, "it is machine 0's"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("dist_train.sh", [CONFIG, 2]), ("slurm_train.sh", ["gpu", "night", CONFIG, 2])],
)
def test_what_yapf_writes_once_is_written_before_several_processes_start(launch, tmp_path, tool, arguments):
    cache = tmp_path / "cache"
    options = {"PYTHON": sys.executable, "TORCHRUN": "torchrun", "XDG_CACHE_HOME": str(cache)}
    assert launch(tool, *arguments, **options)[0] == 0
    assert list(cache.rglob("Grammar*.pickle"))


def test_dist_test_goes_the_same_way(launch):
    status, said, _ = launch("dist_test.sh", CONFIG, "best_model.pth", 2)
    assert status == 0
    assert said[0].endswith(f"{ROOT}/tools/test.py {CONFIG} best_model.pth --launcher pytorch")


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        ([CONFIG], {}, "CONFIG and PROCESSES are needed"),
        ([CONFIG, "zero"], {}, "PROCESSES is 'zero'"),
        ([CONFIG, "0"], {}, "PROCESSES is '0'"),
        ([CONFIG, "2"], {"NNODES": "two"}, "NNODES is 'two'"),
        ([CONFIG, "2"], {"NNODES": "2"}, "MASTER_ADDR is not set"),
        ([CONFIG, "2"], {"NNODES": "2", "MASTER_ADDR": "a"}, "NODE_RANK is not set"),
        ([CONFIG, "2"], {"NNODES": "2", "MASTER_ADDR": "a", "NODE_RANK": "2"}, "count from 0 to 1"),
        ([CONFIG, "2"], {"MASTER_PORT": "http"}, "MASTER_PORT is 'http'"),
        ([CONFIG, "2"], {"MAX_RESTARTS": "-1"}, "MAX_RESTARTS is '-1'"),
    ],
)
def test_dist_train_refuses(launch, arguments, env, message):
    status, said, errors = launch("dist_train.sh", *arguments, **env)
    assert (status, said) == (2, [])
    assert message in errors.splitlines()[-1]


def test_slurm_train_starts_srun(launch):
    status, said, _ = launch(
        "slurm_train.sh", "gpu", "night", CONFIG, 16, "--amp", SRUN_ARGS="--time=1:00:00 --mem=9G"
    )
    assert status == 0
    assert said[0] == (
        "srun --partition gpu --job-name night --nodes 2 --ntasks 16 --ntasks-per-node 8 --gres gpu:8 "
        "--cpus-per-task 5 --kill-on-bad-exit=1 --time=1:00:00 --mem=9G "
        f"python -u {TRAIN} --amp --launcher slurm"
    )
    assert "MASTER_PORT=29500" in said[1]


@pytest.mark.parametrize(("gpus", "per_node", "nodes"), [(4, None, "1"), (8, 4, "2"), (2, 8, "1")])
def test_slurm_train_shares_gpus_among_nodes(launch, gpus, per_node, nodes):
    env = {"GPUS_PER_NODE": str(per_node)} if per_node else {}
    _, said, _ = launch("slurm_train.sh", "gpu", "night", CONFIG, gpus, **env)
    words = said[0].split()
    assert words[words.index("--nodes") + 1] == nodes
    assert words[words.index("--ntasks") + 1] == str(gpus)


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        ([], {}, "PARTITION is missing"),
        (["gpu"], {}, "JOB is missing"),
        (["gpu", "night"], {}, "CONFIG is missing"),
        (["gpu", "night", CONFIG], {}, "GPUS is missing"),
        (["gpu", "night", "none.py", "8"], {}, "config 'none.py' is not there"),
        (["gpu", "night", CONFIG, "many"], {}, "GPUS is 'many'"),
        (["gpu", "night", CONFIG, "12"], {}, "no multiple of GPUS_PER_NODE=8"),
        (["gpu", "night", CONFIG, "8"], {"CPUS_PER_TASK": "0"}, "CPUS_PER_TASK is '0'"),
        (["gpu", "night", CONFIG, "8"], {"path": "/usr/bin:/bin"}, "srun is not on PATH"),
    ],
)
def test_slurm_train_refuses(launch, arguments, env, message):
    status, said, errors = launch("slurm_train.sh", *arguments, **env)
    assert (status, said) == (2, [])
    assert message in errors.splitlines()[-1]


@pytest.mark.slow
def test_a_worker_that_dies_once_is_started_again_and_goes_on_from_its_checkpoint(tmp_path):
    """Elastic restart, for real: the plug-in kills the process once after the first epoch."""
    from toy import toy_config

    cfg = toy_config(tmp_path / "run", epochs=2)
    cfg.custom_hooks += [{"type": "DieOnce", "flag": str(tmp_path / "died")}]
    cfg.dump(tmp_path / "toy_config.py")
    (tmp_path / "die.py").write_text(
        "import os\nfrom pathlib import Path\nfrom mmengine.hooks import Hook\n"
        "from mapllava.registry import HOOKS\n"
        "@HOOKS.register_module()\n"
        "class DieOnce(Hook):\n"
        "    def __init__(self, flag): self.flag = Path(flag)\n"
        "    def before_train_epoch(self, runner):\n"
        "        if runner.epoch == 1 and not self.flag.exists():\n"
        "            self.flag.touch()\n"
        "            os._exit(9)\n"
    )
    env = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "", "MAX_RESTARTS": "1"}
    toy = ROOT / "tests" / "engine" / "toy.py"
    options = [tmp_path / "toy_config.py", "1", "--plugins", toy, tmp_path / "die.py"]
    done = subprocess.run(
        [ROOT / "tools" / "dist_train.sh", *options],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "died").exists()
    assert (tmp_path / "run" / "final_model.pth").is_file()
    logs = "".join(path.read_text() for path in (tmp_path / "run").glob("*/*.log"))
    assert "checkpoint_epoch_1.pth" in logs + done.stdout + done.stderr
