"""Memory has run out, or would: what was asked for, and what to lower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.runner import Runner

from mapllava.engine.distributed.fsdp2_wrapper import FSDP2Wrapper
from mapllava.engine.distributed.memory import state_memory
from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.engine.optim.accumulation import accumulative_counts

_ON_CPU = ("DefaultCPUAllocator", "not enough memory", "Cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was no memory, on a GPU or on the host."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        words in str(error) for words in _ON_CPU
    )


def memory_advice(cfg: Mapping[str, Any], activations: bool = True) -> list[str]:
    """What to lower, best first.

    Args:
        cfg: A full config; what it has lowered already is left out.
        activations: They count too; False where weights, gradients and optimiser alone are too much.
    """
    text, advice = str(cfg.get("model")), []
    loader = cfg.get("train_dataloader") or cfg.get("test_dataloader") or {}
    batch = int(loader.get("batch_size") or 1)
    if activations and batch > 1:
        before = accumulative_counts(cfg.get("optim_wrapper"))
        half, every = batch // 2, before * (batch // (batch // 2))
        same = half * every == batch * before
        advice.append(
            f"--cfg-options train_dataloader.batch_size={half} optim_wrapper.accumulative_counts={every}, "
            + ("which trains the same" if same else f"{half * every} samples a step, not {batch * before}")
        )
    if activations and "'gradient_checkpointing': True" not in text:
        advice.append(f"gradient_checkpointing=True in {_checkpointed(cfg)}: less memory, a third slower")
    if not activations:
        advice.append("freeze more: frozen=True in vision encoder, Q-Former or decoder")
    if "quantization" not in text and "LLMMapDecoder" in text:
        advice.append("frozen parts in 4 bits: see configs/stage2/trainval_4bit.py")
    if activations and (cfg.get("optim_wrapper") or {}).get("dtype") is None:
        advice.append("--amp: bfloat16 activations take half")
    advice.append("several GPUs with configs/_base_/sharding/fsdp2.py")
    config = getattr(cfg, "filename", None) or "CONFIG"
    return [*advice, f"mapllava plan {config} counts what each of them brings"]


def _checkpointed(cfg: Mapping[str, Any]) -> str:
    """Keys of the parts that can compute their activations again: a parser's, or a map model's."""
    parser = "language_model" in (cfg.get("model") or {})
    return "model.language_model" if parser else "model.decoder and model.neck.qformer"


def explain_out_of_memory(runner: Runner, reason: str) -> str:
    """What was asked for, and what to lower.

    Args:
        runner: The runner; its config says what is in use.
        reason: The allocator's message.
    """
    sharded = isinstance(runner.model, FSDP2Wrapper)
    kept = state_memory(unwrap_model(runner.model), processes=runner.world_size, sharded=sharded)
    return (
        f"out of memory at step {runner.iter + 1}: {reason.splitlines()[0] if reason else 'none is left'}\n"
        f"  weights, gradients and optimiser alone take {kept.total / 2**30:.2f} GiB. Lower, in this "
        "order:\n    " + "\n    ".join(memory_advice(runner.cfg))
    )
