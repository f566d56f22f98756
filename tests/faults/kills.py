"""Kills a training run again and again, resumes it, and compares it with the run that was left alone.

Half of the kills (SIGKILL) come at a random moment, half while a checkpoint is being written. With two
processes (gloo) one of them is killed and the other must end by itself, or both are killed. In the end
weights, averaged weights, optimiser, schedules, best model and metrics must be equal bit for bit.

PYTHONPATH=. python tests/faults/kills.py                        # 20 kills, one process, then two
PYTHONPATH=. python tests/faults/kills.py --kills 4 --model toy  # a quick look
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "engine")]

from toy import toy_config  # noqa: E402

from mapllava import gt_cache  # noqa: E402
from mapllava.__main__ import run_command  # noqa: E402
from mapllava.synthetic import create_city  # noqa: E402

CITY = {"version": "v1.0-mini", "num_train_scenes": 3, "num_val_scenes": 1, "samples_per_scene": 4}
EXACT = ("state_dict", "ema_state_dict", "ema_updates", "optimizer", "param_schedulers")
PATIENCE = 100.0  # seconds after which a process that should have ended counts as hanging


@dataclass
class Outcome:
    """What a campaign did and found."""

    kills: int = 0
    inside_writing: int = 0
    runs: int = 0
    partial_files: int = 0
    differences: list[str] = field(default_factory=list)


def city_config(folder: Path) -> Path:
    """The demo's config (ViT, BEV Q-Former, LLaMA, all hooks, two data workers) on a tiny city."""
    city = create_city(folder / "city", **CITY, image_size=(160, 90), workers=1, progress=False)
    city = folder / "city"
    caches = {split: gt_cache.build(city, CITY["version"], split, folder) for split in ("train", "val")}
    cfg = Config.fromfile(ROOT / "configs" / "stage2" / "synthetic.py")
    for name, split in (("train", "train"), ("val", "val"), ("test", "val")):
        loader = cfg[f"{name}_dataloader"]
        loader.update(batch_size=2, num_workers=2 if name == "train" else 0)
        loader.persistent_workers = name == "train"
        loader.dataset.update(data_root=str(city), ann_file=str(caches[split]))
    cfg.train_cfg.update(max_epochs=3, val_interval=1)
    cfg.default_hooks.map_visualization = None
    return _dump(cfg, folder / "config.py")


def toy(folder: Path) -> Path:
    """A model of three layers; two data workers."""
    cfg = toy_config(folder, epochs=4, workers=2, persistent=True)
    cfg.custom_hooks += [{"type": "SharedBuffersHook"}, {"type": "GracefulStopHook"}]
    cfg.pop("work_dir")
    return _dump(cfg, folder / "config.py")


def _dump(cfg: Config, path: Path) -> Path:
    cfg.env_cfg = {"mp_cfg": {"mp_start_method": "fork"}, "dist_cfg": {"backend": "gloo", "timeout": 20}}
    cfg.default_hooks.checkpoint.update(every_steps=1, max_keep=2)
    cfg.log_level = "ERROR"
    cfg.dump(path)
    return path


MODELS: dict[str, Callable[[Path], Path]] = {"city": city_config, "toy": toy}


def start(config: Path, work_dir: Path, processes: int) -> list[int]:
    """Fork the processes of one ``train.py --resume auto``; returns their ids."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        pid = os.fork()
        if pid == 0:
            _train(config, work_dir, processes, rank, port)
        started.append(pid)
    return started


def _train(config: Path, work_dir: Path, processes: int, rank: int, port: int) -> None:
    """In the forked process: never returns."""
    status = 1
    try:
        log = os.open(work_dir.with_suffix(f".{rank}.log"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        faulthandler.register(signal.SIGUSR1, all_threads=True)  # a process that hangs says where
        options = [str(config), "--work-dir", str(work_dir), "--resume", "auto"]
        if processes > 1:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            options += ["--launcher", "pytorch"]
        status = run_command("train", options)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(pids: list[int], seconds: float = PATIENCE) -> list[int]:
    """Statuses of all processes, negative for a signal; one that hangs is killed and counts as -1000."""
    ends, found = time.monotonic() + seconds, dict.fromkeys(pids, None)
    while None in found.values() and time.monotonic() < ends:
        for pid in [pid for pid, status in found.items() if status is None]:
            ended, raw = os.waitpid(pid, os.WNOHANG)
            if ended:
                found[pid] = os.waitstatus_to_exitcode(raw)
        time.sleep(0.002)
    for pid in [pid for pid, status in found.items() if status is None]:
        os.kill(pid, signal.SIGUSR1)
        time.sleep(0.5)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found[pid] = -1000
    return list(found.values())


def attack(pids: list[int], work_dir: Path, when: str, delay: float, victims: list[int]) -> bool:
    """Kill ``delay`` seconds after a moment; False if the run ended first.

    Args:
        pids: The run's processes.
        work_dir: Its folder.
        when: ``start``: after its start; ``progress``: after it has written a checkpoint; ``writing``: while
            it writes one.
        delay: Seconds.
        victims: Who is killed.
    """
    before = _checkpoints(work_dir)
    patience = time.monotonic() + PATIENCE
    ends = time.monotonic() + delay if when == "start" else None
    while (ends or patience) > time.monotonic():
        if _ended(pids[0]):
            return False
        if ends is None and when == "writing" and any(work_dir.glob(".*.pth.*.tmp")):
            ends = time.monotonic() + delay
        if ends is None and when == "progress" and _checkpoints(work_dir) - before:
            ends = time.monotonic() + delay
        time.sleep(0.0005)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    return True


def _checkpoints(work_dir: Path) -> set[str]:
    return {path.name for path in work_dir.glob("checkpoint_*.pth")}


def _ended(pid: int) -> bool:
    """Whether a child has ended, without collecting its status."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def campaign(config: Path, folder: Path, kills: int, processes: int, seed: int) -> Outcome:
    """Train once undisturbed, then under ``kills`` kills, in as many runs as it takes."""
    dice, outcome = random.Random(seed), Outcome()
    whole = folder / f"whole_{processes}"
    began = time.monotonic()
    if any(wait(start(config, whole, processes))):
        raise SystemExit(f"the undisturbed run failed, see {whole}.0.log")
    duration = time.monotonic() - began
    while outcome.kills < kills:
        outcome.runs += 1
        work_dir = folder / f"killed_{processes}_{outcome.runs}"
        _one_run(config, work_dir, dice, kills, processes, duration, outcome)
        outcome.differences += [f"run {outcome.runs}: {line}" for line in differences(whole, work_dir)]
        shutil.rmtree(work_dir, ignore_errors=True)
    return outcome


def _one_run(
    config: Path,
    work_dir: Path,
    dice: random.Random,
    kills: int,
    processes: int,
    duration: float,
    outcome: Outcome,
) -> None:
    """One run to its end, killed until it gets there or no kills are left."""
    while True:
        pids = start(config, work_dir, processes)
        if outcome.kills == kills:
            if any(wait(pids)):
                outcome.differences.append(f"{work_dir.name} failed, see its log")
            return
        when = dice.choice(["start", "progress", "progress", "writing", "writing", "writing"])
        span = {"start": duration, "progress": 0.3 * duration, "writing": 0.004}[when]
        victims = pids if dice.random() < 0.5 else [dice.choice(pids)]
        killed = attack(pids, work_dir, when, dice.uniform(0.0, span), victims)
        statuses = wait(pids)
        if -1000 in statuses:
            outcome.differences.append(f"{work_dir.name}: a process hung after another was killed")
        if not killed or not any(statuses):
            if any(statuses):
                outcome.differences.append(f"{work_dir.name} failed: {statuses}, see its log")
            return
        outcome.kills += 1
        outcome.inside_writing += when == "writing"
        outcome.partial_files += len(list(work_dir.glob(".*.tmp")))
        sys.stderr.write(f"\r{outcome.kills} of {kills} kills, {processes} process(es) ")


def differences(left: Path, right: Path) -> list[str]:
    """What differs between two finished runs; nothing where they are equal bit for bit."""
    lines = []
    for name in ("final_model.pth", "best_model.pth"):
        if not (right / name).is_file():
            return [f"{name} is not there"]
        one, two = (torch.load(run / name, weights_only=True) for run in (left, right))
        for key in EXACT:
            lines += [f"{name} {where}" for where in _unequal(one.get(key), two.get(key), key)]
    for name in ("best_model.json", "metrics.json"):
        one, two = (json.loads((run / name).read_text()) for run in (left, right))
        lines += [f"{name} {where}" for where in _unequal(one, two, "")]
    lines += [f"left over: {path.name}" for path in right.glob(".*")]
    return lines


def _unequal(one: object, two: object, where: str) -> list[str]:
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        return [] if torch.equal(one, two) else [where]
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        return [line for key in one for line in _unequal(one[key], two[key], f"{where}.{key}")]
    if isinstance(one, (list, tuple)) and isinstance(two, (list, tuple)) and len(one) == len(two):
        pairs = enumerate(zip(one, two, strict=True))
        return [line for i, (a, b) in pairs for line in _unequal(a, b, f"{where}.{i}")]
    return [] if one == two else [where]


def main(argv: list[str] | None = None) -> int:
    """Run the campaigns; 1 if any run differs from the undisturbed one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="kills per number of processes (20)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="campaigns to run (1 2)")
    parser.add_argument("--model", choices=sorted(MODELS), default="city", help="what is trained (city)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--keep", metavar="FOLDER", help="leave runs and logs here")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    folder = Path(args.keep or tempfile.mkdtemp(prefix="kills_"))
    folder.mkdir(parents=True, exist_ok=True)
    config = MODELS[args.model](folder)
    bad = False
    for processes in args.processes:
        outcome = campaign(config, folder, args.kills, processes, args.seed)
        verdict = "DIFFERENT" if outcome.differences else "equal bit for bit"
        sys.stdout.write(
            f"\r{args.model}, {processes} process(es): {outcome.kills} kills ({outcome.inside_writing} while "
            f"a checkpoint was written, {outcome.partial_files} half files seen) over {outcome.runs} run(s): "
            f"{verdict}\n"
        )
        for line in outcome.differences[:20]:
            sys.stdout.write(f"  {line}\n")
        bad = bad or bool(outcome.differences)
    if not args.keep and not bad:
        shutil.rmtree(folder)
    return int(bad)


if __name__ == "__main__":
    raise SystemExit(main())
