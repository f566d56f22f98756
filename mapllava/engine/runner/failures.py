"""Errors of other libraries in words that say what to do."""

from __future__ import annotations

import re
import time

import torch
import torch.distributed as dist
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from mapllava.engine.distributed.fsdp2_wrapper import FSDP2Wrapper
from mapllava.engine.distributed.memory import state_memory
from mapllava.engine.distributed.unwrap_model import bare_model
from mapllava.engine.optim.accumulation import accumulative_counts
from mapllava.errors import MapLLaVAError
from mapllava.resources import explain_resources, is_worker_lost

ROLL_CALL_SECONDS = 5.0
_OWN_ERROR = re.compile(r"^mapllava\.errors\.MapLLaVAError: (.*)", re.MULTILINE | re.DOTALL)
_CPU_MEMORY = ("DefaultCPUAllocator", "not enough memory", "Cannot allocate memory")
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
    if isinstance(error, torch.OutOfMemoryError) or any(words in text for words in _CPU_MEMORY):
        return MapLLaVAError(out_of_memory(runner, text))
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


def out_of_memory(runner: Runner, reason: str) -> str:
    """What was asked for, and what to lower, best first.

    Args:
        runner: The runner; its config says what is in use.
        reason: The allocator's message.
    """
    cfg = runner.cfg
    loader = cfg.get("train_dataloader") or cfg.get("test_dataloader") or {}
    text = str(cfg.get("model"))
    sharded = isinstance(runner.model, FSDP2Wrapper)
    kept = state_memory(bare_model(runner.model), processes=runner.world_size, sharded=sharded)
    advice = []
    batch = int(loader.get("batch_size", 1))
    counts = accumulative_counts(cfg.get("optim_wrapper"))
    if batch > 1:
        advice.append(
            f"train_dataloader.batch_size {batch} -> {batch // 2} with optim_wrapper.accumulative_counts "
            f"{counts} -> {counts * 2}, which trains the same"
        )
    if "'gradient_checkpointing': True" not in text:
        advice.append(
            "gradient_checkpointing=True in model.decoder and model.neck.qformer: less memory, a third slower"
        )
    if "quantization" not in text and "LLMMapDecoder" in text:
        advice.append("a 4-bit base: see configs/stage2/trainval_4bit.py")
    if (cfg.get("optim_wrapper") or {}).get("dtype") is None:
        advice.append("--amp: bfloat16 activations take half")
    advice.append("several GPUs with configs/_base_/sharding/fsdp2.py")
    return (
        f"out of memory at step {runner.iter + 1}: {reason.splitlines()[0]}\n"
        f"  weights, gradients and optimiser alone take {kept.total / 2**30:.2f} GiB. Lower, in this "
        "order:\n    " + "\n    ".join(advice)
    )


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
        store = dist.distributed_c10d._get_default_store()
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
