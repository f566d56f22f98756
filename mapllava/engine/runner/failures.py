"""Errors of other libraries in words that say what to do."""

from __future__ import annotations

import re
import time

import torch.distributed as dist
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from mapllava.engine.runner.out_of_memory import explain_out_of_memory, is_out_of_memory
from mapllava.errors import MapLLaVAError
from mapllava.resources import explain_resources, is_worker_lost

ROLL_CALL_SECONDS = 5.0
_OWN_ERROR = re.compile(r"^mapllava\.errors\.MapLLaVAError: (.*)", re.MULTILINE | re.DOTALL)
_PROCESSES = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Timed out waiting",
    "Socket Timeout",
    "Connection refused",
    "NCCL",
    "ProcessGroup",
    "gloo",
)


def explain(error: Exception, runner: Runner) -> MapLLaVAError | None:
    """A failure that the user can do something about, as the error that says what.

    Args:
        error: What training or testing has raised.
        runner: The runner it came out of.

    Returns:
        The error to raise in its place; None where ``error`` is a defect or says it already.
    """
    text = str(error)
    if isinstance(error, MapLLaVAError):
        if "in DataLoader worker process" not in text:
            return None
        found = _OWN_ERROR.search(text)
        return MapLLaVAError(found.group(1).strip()) if found else None
    if isinstance(error, (AttributeError, TypeError)) and (metric := _metric_without_dict(error)):
        return MapLLaVAError(metric)
    if is_out_of_memory(error):
        return MapLLaVAError(explain_out_of_memory(runner, text))
    if is_worker_lost(error) or (isinstance(error, RuntimeError) and "DataLoader worker (pid" in text):
        return MapLLaVAError(_worker_died(text or type(error).__name__))
    exhausted = explain_resources(error, getattr(runner, "log_dir", None))
    if exhausted is not None:
        return MapLLaVAError(f"{exhausted}. Go on with --resume auto")
    if isinstance(error, RuntimeError) and dist.is_initialized() and _is_of_processes(error):
        return MapLLaVAError(_processes_parted(text, runner))
    return None


def _metric_without_dict(error: Exception) -> str:
    """What to say where MMEngine's evaluator stumbled over what a metric has returned, or nothing."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    local = trace.tb_frame.f_locals if trace is not None else {}
    if trace is None or trace.tb_frame.f_code is not Evaluator.evaluate.__code__ or "_results" not in local:
        return ""
    kind, gave = type(local["metric"]).__name__, type(local["_results"]).__name__
    return f"{kind}.compute_metrics gave a {gave}; expected a dict of name to number"


def absent_ranks(seconds: float = ROLL_CALL_SECONDS) -> list[int] | None:
    """The processes that do not answer: each that has failed calls this, the dead and the stuck do not.

    Args:
        seconds: How long to wait for the others.

    Returns:
        Their ranks; None where the store that process 0 or torchrun keeps is gone.
    """
    ranks = range(dist.get_world_size())
    ends = time.monotonic() + seconds
    try:
        store = dist.distributed_c10d._get_default_store()  # no public name gives the group's own
        store.set(_answer(dist.get_rank()), "here")
        while True:
            absent = [rank for rank in ranks if not store.check([_answer(rank)])]
            if not absent or time.monotonic() > ends:
                return absent
            time.sleep(0.2)
    except RuntimeError:
        return None


def _is_of_processes(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(words in str(error) for words in _PROCESSES)


def _answer(rank: int) -> str:
    return f"mapllava/answer/{rank}"


def _processes_parted(reason: str, runner: Runner) -> str:
    absent = absent_ranks()
    if absent is None:
        who = "rank 0, or the torchrun that started it, is gone"
    elif absent:
        who = f"rank {', '.join(map(str, absent))} does not answer: it was killed, has failed or stalls"
    else:
        who = "all ranks answer: the network between them failed, or one was late"
    return (
        f"rank {dist.get_rank()} waited for the other processes at step {runner.iter + 1} in vain: {who}.\n"
        f"  {reason.splitlines()[0]}\n"
        "  See that process's own message, and dmesg for the kernel's memory killer. How long to wait is "
        "env_cfg.dist_cfg.timeout, and within an epoch StepTimeoutHook's seconds. Go on with --resume auto"
    )


def _worker_died(reason: str) -> str:
    return (
        f"a process that reads the data died: {reason.splitlines()[0]}\n"
        "  Usual causes: memory (see dmesg; lower train_dataloader.num_workers or batch_size), or too little "
        "shared memory (df -h /dev/shm; in a container, start it with --shm-size=8g). To see the error "
        "itself, read in this process: --cfg-options train_dataloader.num_workers=0 "
        "train_dataloader.persistent_workers=False"
    )
