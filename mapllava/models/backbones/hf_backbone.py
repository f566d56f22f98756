"""Backbones from transformers: what a part's config says of one, and the one place that does it.

transformers is imported when a component that needs it is built, not before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mapllava.checkpoint import (
    KeyTable,
    WeightSource,
    computed_dtype,
    keep_built,
    load_weights,
    parameters_on_meta,
    share_weights,
)
from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.hf_config import without_dropout
from mapllava.models.backbones.trainability import add_lora, check_trainability, quantize_, train_adapters


class HFBackbone:
    """Where a transformers model comes from, which weights train, and how they are stored.

    No module itself: a part keeps the model that :meth:`build` gives as its ``backbone``, so that this is
    what it is called in state dicts, and calls :func:`keep_frozen` in its own ``train``.

    Args:
        component: what messages call the part.
        pretrained: folder or hub id; its ``config.json`` decides the architecture.
        architecture: values of the config for a random start; ignored with ``pretrained``.
        frozen: keep the model's own weights; gradients still reach its inputs.
        gradient_checkpointing: recompute activations in the backward pass.
        dtype: the model's dtype, ``float32`` if None; ``bfloat16`` for a large frozen one.
        lora: adapters that train on the frozen weights, ``dict(rank, alpha, targets, dropout)``.
        quantization: hold the frozen weights of linear layers packed, ``dict(bits=4)`` (NF4, optionally
            ``compute_dtype``) or ``dict(bits=8)``.

    Attributes:
        source: the weight files, or None for a random start.

    Raises:
        ValueError: if neither ``pretrained`` nor ``architecture`` is given, or ``dtype`` is none.
        MapLLaVAError: if ``frozen``, ``lora`` and ``quantization`` contradict each other, or there is no
            such folder.
    """

    def __init__(
        self,
        component: str,
        pretrained: str | None = None,
        architecture: dict | None = None,
        frozen: bool = True,
        gradient_checkpointing: bool = False,
        dtype: str | None = None,
        lora: dict | None = None,
        quantization: dict | None = None,
    ) -> None:
        check_trainability(component, frozen, lora, quantization)
        if pretrained is None and architecture is None:
            raise ValueError(
                f"{component} needs 'pretrained' (a folder or hub id) or 'architecture' (values of its "
                "config.json)"
            )
        self.component = component
        self.source = None if pretrained is None else WeightSource(pretrained)
        self.architecture = dict(architecture or {})
        self.frozen = frozen
        self.gradient_checkpointing = gradient_checkpointing
        self.dtype = computed_dtype(resolve_dtype(dtype))
        self.lora, self.quantization = lora, quantization

    def build(
        self,
        model_class: Any,
        config: Any,
        table: KeyTable,
        attention: str | None = "sdpa",
        adapter: str = "default",
        held: nn.Module | None = None,
    ) -> Any:
        """The model: constructed, filled with one copy of the weights in memory, and frozen as asked.

        Args:
            model_class: of transformers.
            config: its config; without dropout afterwards where the model is frozen.
            table: key table of the files.
            attention: transformers' name of the attention; None for the family's default.
            adapter: what the weights of ``lora`` are called.
            held: the same model without its head, in memory already: its frozen weights are used, not read
                again; see :func:`~mapllava.checkpoint.share_weights`.

        Returns:
            the model; a filled one has its ``LoadReport`` in the attribute ``load_report``.

        Raises:
            MapLLaVAError: if the weights do not fit, transformers builds no model of their config.json, a
                target of ``lora`` matches no layer, or an extra is not installed.
        """
        if self.frozen:
            without_dropout(config)
        model = self._construct(model_class, config, attention)
        shared = set() if held is None else share_weights(model, held, f"{model.base_model_prefix}.")
        if self.quantization is not None:
            quantize_(model, self.quantization)
        if self.source is not None:
            model.load_report = load_weights(model, self.source, table, shared)
        keep_built(model)
        if self.gradient_checkpointing:
            if not getattr(model, "supports_gradient_checkpointing", True):
                raise MapLLaVAError(
                    f"{self.component}: a {type(model).__name__} cannot recompute its activations: set "
                    "gradient_checkpointing=False"
                )
            enable_checkpointing(model)
        if self.frozen:
            model.requires_grad_(False)
            if self.lora is not None:
                add_lora(model, self.lora, type(model).__name__, adapter)
            keep_frozen(model, model.training)
        return model

    def describe(self) -> dict[str, str | None] | None:
        """Identity of the weight files that were read, for checkpoints without them; None without files."""
        return None if self.source is None else self.source.describe()

    def _construct(self, model_class: Any, config: Any, attention: str | None) -> Any:
        try:
            with nullcontext() if self.source is None else parameters_on_meta():
                return construction(model_class)(config, dtype=self.dtype, attn_implementation=attention)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # by the value that is wrong
            if self.source is None:
                raise
            raise MapLLaVAError(
                f"{self.component}: transformers builds no model of the config.json of '{self.source.name}' "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]}): download it again"
            ) from error


def construction(model_class: Any) -> Callable[..., Any]:
    """How a model is built from its config: ``build_from`` of a class of ours, or as transformers does it."""
    # AutoModel.from_config does no more, and knows no Blip2VisionModel
    return getattr(model_class, "build_from", None) or model_class._from_config


def takes_backbone(constructor: Callable) -> Callable:
    """Put the arguments of :class:`HFBackbone` in a signature in place of ``**backbone``.

    What checks a config's keys asks for signatures.
    """
    own = inspect.signature(constructor)
    named = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
    more = [
        each.replace(kind=each.KEYWORD_ONLY)
        for each in inspect.signature(HFBackbone).parameters.values()
        if each.name != "component" and each.name not in own.parameters
    ]
    constructor.__signature__ = own.replace(parameters=[*named, *more])  # type: ignore[attr-defined]
    return constructor


def resolve_dtype(name: str | None) -> torch.dtype:
    """Dtype of a name such as ``bfloat16``; float32 for None.

    Raises:
        ValueError: if torch has no floating-point dtype of that name.
    """
    dtype = getattr(torch, name, None) if name is not None else torch.float32
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype '{name}' is no floating-point type: use float32, bfloat16 or float16")
    return dtype


def enable_checkpointing(model: nn.Module) -> None:
    """Recompute activations in the backward pass, without reentrance.

    Reentrant checkpointing loses gradients where no parameter needs one (a frozen backbone) and
    marks parameters ready twice under DDP.
    """
    options = {"use_reentrant": False}
    enable = getattr(model, "activation_checkpointing_enable", None)
    if enable is not None:
        enable(activation_checkpointing_kwargs=options)
    else:  # transformers before it renamed the method
        getattr(model, "gradient_checkpointing_enable")(gradient_checkpointing_kwargs=options)  # noqa: B009


def attention_to_train(model: Any, hidden: Tensor) -> AbstractContextManager:
    """Torch's attention in a pass that is to be differentiated.

    On a CPU in bfloat16 the fused one's backward pass takes twice the time of the plain products (SmolLM2,
    140 tokens). Checkpointed layers run a second time outside of this context, and must run alike.

    Args:
        model: transformers' model.
        hidden: (B, L, D) what goes through it, for device and dtype.
    """
    slow = hidden.device.type == "cpu" and hidden.dtype == torch.bfloat16 and torch.is_grad_enabled()
    if not slow or any(getattr(module, "gradient_checkpointing", False) for module in model.modules()):
        return nullcontext()
    return sdpa_kernel(SDPBackend.MATH)


def keep_frozen(model: nn.Module, mode: bool) -> None:
    """Undo what ``.train(mode)`` does to a frozen backbone: it stays in evaluation mode.

    Except for the flag of checkpointed layers themselves: transformers recomputes a layer only if
    it is in training mode. Their children, where dropout lives, are in evaluation mode. Adapters
    train, so the dropout in front of them has the mode asked for.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    model.eval()
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer) and module.gradient_checkpointing:
            module.training = mode
    train_adapters(model, mode)
