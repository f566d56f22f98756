"""Backbones from transformers: configured, built, filled and frozen in one way.

transformers is imported when a component that needs it is built, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from mapllava.checkpoint import KeyTable, WeightSource, keep_built, load_weights, parameters_on_meta
from mapllava.config.mistake import check_sizes
from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.trainability import add_lora, quantize_, train_adapters

RANDOM_STD = 0.02  # for families whose own default (BLIP-2's 1e-10) only makes sense with weights


def open_source(pretrained: str | None, architecture: dict | None, component: str) -> WeightSource | None:
    """The weights a component starts from, or None for a random start.

    Raises:
        ValueError: if neither ``pretrained`` nor ``architecture`` is given.
    """
    if pretrained is not None:
        return WeightSource(pretrained)
    if architecture is None:
        raise ValueError(
            f"{component} needs 'pretrained' (a folder or hub id) or 'architecture' (values of its "
            "config.json)"
        )
    return None


def config_of(source: WeightSource) -> Any:
    """The transformers config in a model's folder; code that lies beside it is never run.

    Raises:
        MapLLaVAError: if only code of the folder's own would understand it, or a value in it is wrong.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    model_type = source.config().get("model_type")
    if model_type not in CONFIG_MAPPING:
        raise MapLLaVAError(
            f"pretrained='{source.name}': its model_type '{model_type}' is not one of transformers' own, and "
            "code that a folder brings along is not run: use a model that transformers knows"
        )
    try:
        return AutoConfig.from_pretrained(source.folder, trust_remote_code=False)
    except Exception as error:  # of many kinds, by what a config's class does with its values
        reason = " ".join(str(error).split())[:200]
        raise MapLLaVAError(
            f"pretrained='{source.name}': transformers does not take its config.json "
            f"({type(error).__name__}: {reason}): download it again"
        ) from error


def part_config(
    source: WeightSource, part: str, config_class: Any, component: str, alike: Sequence[str] = ()
) -> Any:
    """The config of a model's part, from a folder of the part alone or of the whole model.

    Args:
        source: the folder.
        part: where a whole model's config has it, e.g. ``vision_config``.
        config_class: what the part's must be.
        component: what a message calls the part.
        alike: ``model_type`` of other families whose part is built the same.

    Raises:
        MapLLaVAError: if the folder holds another kind of part.
    """
    whole = config_of(source)
    config = getattr(whole, part, whole)
    if isinstance(config, config_class):
        return config
    if config.model_type not in alike:
        raise MapLLaVAError(
            f"{component}: '{source.name}' holds a {config.model_type}, expected a "
            f"{' or '.join((config_class.model_type, *alike))}"
        )
    known = set(config_class().to_dict()) - {"model_type"}
    return config_class(**{key: value for key, value in config.to_dict().items() if key in known})


def configure(config_class: Any, values: dict[str, Any], component: str) -> Any:
    """A transformers config from our config's ``architecture``.

    Raises:
        ValueError: for a key that the config class does not have (transformers would keep it
            without a word).
    """
    known = set(config_class().to_dict()) | set(config_class.attribute_map)
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"{component}: architecture has {', '.join(unknown)}, which {config_class.__name__} does not know"
        )
    _check_sizes(values, f"{component}.architecture")
    config = config_class(**values)
    heads, shared = (getattr(config, f"num_{kind}_heads", None) for kind in ("attention", "key_value"))
    if heads and shared and heads % shared:
        raise MapLLaVAError(
            f"{component}.architecture: num_attention_heads={heads} is no multiple of "
            f"num_key_value_heads={shared}: give both, so that it is"
        )
    return config


def _check_sizes(values: Mapping[str, Any], where: str) -> None:
    """Refuse sizes that transformers builds a model of, which then fails on its first batch."""
    words = ("_size", "_heads", "_layers", "_frequency")
    sizes = {name: value for name, value in values.items() if name.endswith(words) and value is not None}
    check_sizes(where, **sizes)
    heads = values.get("num_attention_heads")
    if heads and values.get("hidden_size", heads) % heads and "head_dim" not in values:
        raise MapLLaVAError(
            f"{where}: hidden_size={values['hidden_size']} is no multiple of num_attention_heads={heads}: "
            "change one of the two"
        )


def without_dropout(config: Any) -> Any:
    """The config with every dropout rate at zero, for a backbone that stays as it is."""
    for name in config.to_dict():
        if name.endswith(("dropout", "pdrop", "dropout_prob", "attention_probs_dropout_prob")):
            setattr(config, name, 0.0)
    return config


def build_backbone(
    construct: Callable[[], nn.Module],
    source: WeightSource | None,
    table: KeyTable,
    quantization: Mapping[str, Any] | None = None,
) -> Any:
    """Construct a transformers model and fill it, with one copy of the weights in memory.

    Args:
        construct: builds the model.
        source: its weights, or None to keep the random start.
        table: key table of the files.
        quantization: how to hold the weights of linear layers, packed as they are read; None for
            the model's dtype.

    Returns:
        the model; a filled one has its ``LoadReport`` in the attribute ``load_report``.

    Raises:
        MapLLaVAError: if the weights do not fit, or transformers builds no model of their config.json.
    """
    try:
        with nullcontext() if source is None else parameters_on_meta():
            backbone: Any = construct()
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # by the value that is wrong
        if source is None:
            raise
        raise MapLLaVAError(
            f"{table.component}: transformers builds no model of the config.json of '{source.name}' "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}): download it again"
        ) from error
    if quantization is not None:
        quantize_(backbone, quantization)
    if source is not None:
        backbone.load_report = load_weights(backbone, source, table)
    keep_built(backbone)
    return backbone


def resolve_dtype(name: str | None) -> torch.dtype:
    """Dtype of a name such as ``bfloat16``; float32 for None.

    Raises:
        ValueError: if torch has no floating-point dtype of that name.
    """
    dtype = getattr(torch, name, None) if name is not None else torch.float32
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype '{name}' is no floating-point type: use float32, bfloat16 or float16")
    return dtype


def enable_checkpointing(backbone: nn.Module) -> None:
    """Recompute activations in the backward pass, without reentrance.

    Reentrant checkpointing loses gradients where no parameter needs one (a frozen backbone) and
    marks parameters ready twice under DDP.
    """
    options = {"use_reentrant": False}
    enable = getattr(backbone, "activation_checkpointing_enable", None)
    if enable is not None:
        enable(activation_checkpointing_kwargs=options)
    else:  # transformers before it renamed the method
        getattr(backbone, "gradient_checkpointing_enable")(gradient_checkpointing_kwargs=options)  # noqa: B009


def settle(
    backbone: nn.Module, frozen: bool, gradient_checkpointing: bool, lora: Mapping[str, Any] | None = None
) -> None:
    """Freeze a backbone, add adapters to it and make it recompute its activations, as asked.

    Args:
        backbone: the model.
        frozen: whether its own weights stay as they are; see also :func:`keep_frozen`.
        gradient_checkpointing: recompute its activations in the backward pass.
        lora: settings of adapters on the frozen weights, or None.

    Raises:
        MapLLaVAError: if a target of ``lora`` matches no layer, or peft is not installed.
    """
    if gradient_checkpointing:
        enable_checkpointing(backbone)
    if frozen:
        backbone.requires_grad_(False)
        if lora is not None:
            add_lora(backbone, lora, type(backbone).__name__)
        keep_frozen(backbone, backbone.training)


def keep_frozen(backbone: nn.Module, mode: bool) -> None:
    """Undo what ``.train(mode)`` does to a frozen backbone: it stays in evaluation mode.

    Except for the flag of checkpointed layers themselves: transformers recomputes a layer only if
    it is in training mode. Their children, where dropout lives, are in evaluation mode. Adapters
    train, so the dropout in front of them has the mode asked for.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    backbone.eval()
    for module in backbone.modules():
        if isinstance(module, GradientCheckpointingLayer) and module.gradient_checkpointing:
            module.training = mode
    train_adapters(backbone, mode)
