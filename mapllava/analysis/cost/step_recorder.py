"""What the operators of a training step allocate and compute, seen one by one."""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import graph
from torch.utils._python_dispatch import TorchDispatchMode  # documented under this name
from torch.utils._pytree import tree_leaves  # torch.utils.pytree is younger than 2.6
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

OUTSIDE = "losses"  # the part of whatever runs outside of the model's children


def _cpu_attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _cpu_attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any
) -> int:
    return sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)


# torch's flop counter knows the fused attention of GPUs only
_FUSED: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _cpu_attention_backward,
}


class StepRecorder(TorchDispatchMode):
    """Follows every storage from the operator that makes it to its end, and counts multiply-adds.

    Works on real and on fake tensors alike. An operator's own scratch memory is not seen.

    Args:
        model: the detector; its children are the parts that operations are counted for.

    Attributes:
        live: bytes alive now, held ones included.
        peak: most bytes alive at once since :meth:`hold`, and ``peak_grads``, the gradients of
            parameters among them.
        peak_activations: most bytes alive at once that are neither held nor gradients of parameters.
        flops: (phase, part) to floating-point operations of matrix products, convolutions and
            attention (a multiply-add counts 2); phases are ``forward``, ``recompute`` (gradient
            checkpointing) and ``backward``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.live = self.peak = self.held = self.grads = self.peak_grads = self.peak_activations = 0
        self.flops: Counter[tuple[str, str]] = Counter()
        self._seen: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._parts: list[str] = [OUTSIDE]
        self._borders: list[tuple[int, str]] = []
        self._handles: list[Any] = []
        for name, child in model.named_children():
            self._handles.append(child.register_forward_pre_hook(self._entering(name)))
            self._handles.append(child.register_forward_hook(self._leaving()))
        for parameter in model.parameters():
            if parameter.requires_grad:
                self._handles.append(parameter.register_post_accumulate_grad_hook(self._got_gradient))

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count what was there before, such as the weights."""
        for tensor in tensors:
            self._add(tensor)
        self.held = self.peak = self.live
        self.peak_activations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        formula = _FUSED.get(func.overloadpacket) or flop_registry.get(func.overloadpacket)
        if formula is not None:
            count = formula(*args, **(kwargs or {}), out_val=out)
            self.flops[self._where()] += count
        return out

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._seen:
            return
        size = storage.nbytes()
        self._seen[storage] = size
        self.live += size
        weakref.finalize(storage, self._freed, size)
        if self.live > self.peak:
            self.peak, self.peak_grads = self.live, self.grads
        self.peak_activations = max(self.peak_activations, self.live - self.held - self.grads)

    def _freed(self, size: int) -> None:
        self.live -= size

    def _got_gradient(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            self.grads += parameter.grad.nbytes

    def _entering(self, name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self._parts.append(name)
            self._mark()

        return hook

    def _leaving(self) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self._parts.pop()
            self._mark()

        return hook

    def _mark(self) -> None:
        """From here on, nodes of the graph belong to the part that runs."""
        # the number that autograd gives the next node; no public name
        self._borders.append((torch._C._autograd._get_sequence_nr(), self._parts[-1]))

    def _where(self) -> tuple[str, str]:
        """Phase and part of the operation that has just run."""
        # the node whose backward runs, which no public call tells
        node: graph.Node | None = torch._C._current_autograd_node()
        if node is None:
            return "forward", self._parts[-1]
        # autograd's own number of the node, no public name
        index = bisect_right([border for border, _ in self._borders], node._sequence_nr())
        part = self._borders[index - 1][1] if index else OUTSIDE
        return ("recompute" if torch.is_grad_enabled() else "backward"), part
