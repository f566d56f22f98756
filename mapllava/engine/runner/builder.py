"""From a config to a runner that is ready on this machine."""

from __future__ import annotations

import copy
import os
from datetime import timedelta

import torch
import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.dist import init_dist
from mmengine.runner import Runner
from torch.nn.parallel import DistributedDataParallel

from mapllava.checkpoint.plain_file import read_plain
from mapllava.config.build_errors import unregistered
from mapllava.config.resolve import resolve
from mapllava.engine.optim.accumulation import accumulative_counts
from mapllava.engine.runner.resume_changes import check_resume
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODEL_WRAPPERS, OPTIMIZERS, RUNNERS, find
from mapllava.resources import explain_resources
from mapllava.startup import wait_policy

_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config, for training or testing.

    What the config leaves to be filled in is (:func:`mapllava.config.resolve.resolve`), a config that cannot
    go on from the checkpoint it resumes is refused before anything is built, and several processes on a
    machine without a GPU talk through gloo.

    Args:
        cfg: A full config; it is copied, not changed. ``work_dir`` must be set.

    Returns:
        The runner; call its ``train()`` or ``test()``.

    Raises:
        MapLLaVAError: If ``map_spec`` or ``work_dir`` is missing, or ``launcher='pytorch'`` was set
            outside of torchrun, or a resumed checkpoint was trained with another config.
    """
    cfg = copy.deepcopy(cfg)
    if not cfg.get("work_dir"):
        raise MapLLaVAError("work_dir is not set: give --work-dir, or set work_dir in the config")
    resolve(cfg)
    check_schedule_unit(cfg)
    _check_optimizer(cfg)
    if cfg.get("resume"):
        if not cfg.get("load_from"):
            raise MapLLaVAError("resume=True without a checkpoint: name it, load_from=FILE")
        check_resume(cfg, read_plain(cfg.load_from, verify=False).get("meta", {}), cfg.load_from)
    prepare_processes(cfg)
    kind = cfg.get("runner_type", "MapRunner")
    runner = RUNNERS.get(kind)
    if runner is None:
        raise MapLLaVAError(f"runner_type '{kind}' is not registered: use MapRunner, or name its --plugins")
    made = runner.from_cfg(cfg)
    made.logger.info(f"{torch.get_num_threads()} threads; OpenMP's wait {wait_policy()}")
    return made


def _check_optimizer(cfg: Config) -> None:
    """MMEngine's constructor calls an optimiser that it has not found."""
    kind = ((cfg.get("optim_wrapper") or {}).get("optimizer") or {}).get("type")
    if kind is not None and find(OPTIMIZERS, kind) is None:
        raise MapLLaVAError(unregistered(kind, OPTIMIZERS.name))


def check_schedule_unit(cfg: Config) -> None:
    """Schedules by iteration count updates of the weights; earlier versions saved them in batches.

    Raises:
        MapLLaVAError: If the config is such a one and accumulates batches, so that it makes a difference.
    """
    batches = accumulative_counts(cfg.get("optim_wrapper"))
    if cfg.get("schedule_unit") == "batch" and batches > 1:
        raise MapLLaVAError(
            "schedule_unit='batch': an earlier version saved this config, with schedules by iteration in "
            "batches, which are in updates of the weights now\n  Divide begin, end and T_max of each "
            f"param_scheduler with by_epoch=False by accumulative_counts ({batches}), take schedule_unit out"
        )


def prepare_processes(cfg: Config) -> None:
    """Start the process group, and choose the wrapper where MMEngine would pick a GPU.

    Args:
        cfg: The config; ``launcher`` says how the processes were started. A second call changes nothing.

    Raises:
        MapLLaVAError: If the processes do not meet, or were not started by that launcher.
    """
    launcher = cfg.get("launcher", "none")
    if launcher == "none":
        return
    missing = [name for name in _TORCHRUN if name not in os.environ]
    if launcher == "pytorch" and missing:
        raise MapLLaVAError(
            f"launcher 'pytorch' needs the environment that torchrun sets; not there: {', '.join(missing)}; "
            "use tools/dist_train.sh CONFIG PROCESSES"
        )
    options = dict((cfg.get("env_cfg") or {}).get("dist_cfg") or {})
    if not dist.is_initialized() and (launcher == "pytorch" or torch.cuda.is_available()):
        _join_processes(launcher, options)
    if torch.cuda.is_available():
        return
    wrapper = cfg.setdefault("model_wrapper_cfg", ConfigDict())
    kind = find(MODEL_WRAPPERS, wrapper.setdefault("type", "MMDistributedDataParallel"))
    if kind is None or not issubclass(kind, DistributedDataParallel):
        return
    wrapper.setdefault("broadcast_buffers", False)
    wrapper.setdefault("find_unused_parameters", bool(cfg.get("find_unused_parameters", False)))
    wrapper["device_ids"] = None


def _join_processes(launcher: str, options: dict) -> None:
    """Meet the other processes: MMEngine's way, or without a GPU over gloo.

    Raises:
        MapLLaVAError: If they do not come within the time, or the port is another program's.
    """
    seconds = options.get("timeout")
    try:
        if torch.cuda.is_available():
            init_dist(launcher, **options)
        else:
            timeout = None if seconds is None else timedelta(seconds=seconds)
            dist.init_process_group(backend="gloo", timeout=timeout)
    except dist.DistError as error:
        host, port = (os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
        if taken := explain_resources(error):
            raise MapLLaVAError(f"{host}:{port}: {taken}") from error
        raise MapLLaVAError(
            f"rank {os.environ.get('RANK')} of {os.environ.get('WORLD_SIZE')} did not meet the others at "
            f"{host}:{port}: {str(error).splitlines()[0]} Has every process been started, and does "
            "MASTER_ADDR lead to the machine of rank 0? How long to wait is env_cfg.dist_cfg.timeout, in "
            "seconds"
        ) from error
