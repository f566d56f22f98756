"""A full-size training step that runs without weights and without memory.

The model is built on the meta device and its parameters become fake tensors: every operator of
forward, losses and backward runs for its shapes, so that what autograd keeps and when it lets go
is the real graph's, not a formula's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode  # documented under this name
from torch.nn import functional as F

from mapllava.analysis.cost.step_recorder import StepRecorder
from mapllava.analysis.cost.training_step import exchanged, training_step
from mapllava.config.without_pretrained import without_pretrained
from mapllava.errors import MapLLaVAError
from mapllava.models.task_modules.hungarian_assigner import Assignment
from mapllava.models.task_modules.targets import MapTargets
from mapllava.registry import MODELS


@contextmanager
def gpu_rules() -> Iterator[None]:
    """Lets fake CPU tensors follow what a GPU does where the two differ.

    Under autocast a GPU normalises layers in float32; and its fused attention applies dropout from
    a seed, where a CPU would fall back to keeping the (L, L) probabilities. The CPU's fused
    attention keeps what the GPU's keeps: queries, keys, values, mask, output and the log-sum-exp.

    Both functions of ``torch.nn.functional`` are exchanged for the while: a torch function mode
    would be off inside of the backward pass, where checkpointed layers run again.
    """
    layer_norm, attention = F.layer_norm, F.scaled_dot_product_attention

    def layer_norm_in_float32(
        x: Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
    ) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            weight, bias = (None if value is None else value.float() for value in (weight, bias))
            x = x.float()
        return layer_norm(x, shape, weight, bias, eps)

    def attention_without_dropout(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        **kwargs: Any,
    ) -> Tensor:
        return attention(query, key, value, attn_mask, 0.0, **kwargs)

    with (
        exchanged(F, "layer_norm", layer_norm_in_float32),
        exchanged(F, "scaled_dot_product_attention", attention_without_dropout),
    ):
        yield


class _OnePairPerElement:
    """Stands in for the matching, whose result depends on values: the first queries get the elements."""

    def __call__(self, logits: Tensor, points: Tensor, targets: MapTargets) -> Assignment:
        triples = [
            (layer, sample, element % logits.shape[2], element)
            for layer in range(logits.shape[0])
            for sample, count in enumerate(targets.counts)
            for element in range(min(count, logits.shape[2]))
        ]
        packed = torch.tensor(triples, device=logits.device)
        return Assignment(*packed.unbind(1))


def build_meta(model_cfg: dict) -> Any:
    """A config's model on the meta device: nothing downloaded, nothing allocated.

    Raises:
        MapLLaVAError: naming what the config's model lacks.
    """
    try:
        with torch.device("meta"):
            return MODELS.build(without_pretrained(model_cfg))
    except (TypeError, ValueError, KeyError) as error:
        raise MapLLaVAError(f"the config's model cannot be built without its weights: {error}") from error


def record_step(
    model: Any, batch: dict[str, Any], dtype: str | None, gpu: bool = True, cache: bool = True
) -> StepRecorder:
    """Run one training step of a model from :func:`build_meta` on fake tensors.

    Args:
        model: the detector; its parameters are fake afterwards.
        batch: see :func:`~mapllava.analysis.cost.example_batch`.
        dtype: of autocast, None for full precision.
        gpu: count as on a GPU, see :func:`gpu_rules`; False for what a CPU does.
        cache: see :func:`~mapllava.analysis.cost.training_step`.

    Returns:
        The recorder; weights and buffers are its ``held`` bytes.
    """
    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        _become_fake(model)
        recorder = StepRecorder(model)  # of the parameters there are now
        model.train()
        criterion: Any = getattr(model.head, "criterion", None)
        if hasattr(criterion, "assigner"):
            criterion.assigner = _OnePairPerElement()
        if gpu:
            stack.enter_context(gpu_rules())
        stack.enter_context(recorder)
        recorder.hold(tensor.detach() for tensor in (*model.parameters(), *model.buffers()))
        training_step(model, batch, dtype, cache)
    recorder.remove()
    return recorder


def _become_fake(model: nn.Module) -> None:
    """Give every parameter and buffer a fake storage, shared ones one."""
    known: dict[int, Tensor] = {}
    for module in model.modules():
        parameters = module.named_parameters(recurse=False, remove_duplicate=False)
        buffers = module.named_buffers(recurse=False, remove_duplicate=False)
        for name, tensor in [*parameters, *buffers]:
            if id(tensor) not in known:
                fake = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
                if isinstance(tensor, nn.Parameter):
                    fake = nn.Parameter(fake, requires_grad=tensor.requires_grad)
                known[id(tensor)] = fake
            setattr(module, name, known[id(tensor)])
