"""What a machine computes in where a config asks for bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import torch
from mmengine.device import get_device
from mmengine.logging import print_log

NO_BFLOAT16 = "this CPU has no instructions for bfloat16: it computes in float32"
_only_written: ContextVar[bool] = ContextVar("only_written", default=False)


def computed_dtype(dtype: torch.dtype, device: str | torch.device | None = None) -> torch.dtype:
    """The dtype asked for, or float32 for bfloat16 on a CPU without instructions for it; that is said once.

    There PyTorch multiplies bfloat16 matrices number by number, in sixty times the time of float32's (AVX2).
    Every value of bfloat16 is one of float32, so weights lose nothing by it.

    Args:
        dtype: what a config asks for.
        device: what computes; None for what a run on this machine takes. The meta device gives ``dtype``:
            what is only planned runs elsewhere.
    """
    if device is None:
        elsewhere = _only_written.get() or torch.get_default_device().type == "meta"
        device = "meta" if elsewhere else get_device()
    if dtype != torch.bfloat16 or torch.device(device).type != "cpu" or cpu_has_bfloat16():
        return dtype
    _say()
    return torch.float32


@contextmanager
def only_written() -> Iterator[None]:
    """Weights that are built meanwhile go into a file, which is the same from any machine."""
    token = _only_written.set(True)
    try:
        yield
    finally:
        _only_written.reset(token)


@cache
def cpu_has_bfloat16() -> bool:
    """Whether PyTorch has fast bfloat16 products on this CPU: AVX-512, AMX or ARM's extension."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # what its products ask themselves
    except (AttributeError, RuntimeError):  # built without oneDNN
        return False


@cache
def _say() -> None:
    print_log(NO_BFLOAT16, logger="current")
