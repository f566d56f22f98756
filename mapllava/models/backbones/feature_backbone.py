"""Image backbones that give feature maps: those of transformers' AutoBackbone, and timm's.

Which class, which config, how the files' keys are called, and what the maps are. transformers is imported
when a component that needs it is built, not before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mapllava.checkpoint import KeyTable
from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.hf_backbone import HFBackbone, construction
from mapllava.models.backbones.hf_config import config_of, configure

_COARSEST = 32  # stride of the last stage of the usual hierarchies; a ViT's patch comes on top of it
_HEADS = r"(classifier|head|decoder|pooler|mlm_head)\."


@dataclass(frozen=True)
class FeatureMaps:
    """What a backbone gives for an image, as one pass over shapes tells.

    Attributes:
        channels: of each level.
        strides: pixels of the image per cell, along both axes.
        idle: parameters that no level depends on.
    """

    channels: list[int]
    strides: list[int]
    idle: frozenset[str]


def build_features(hf: HFBackbone, levels: Sequence[int], drop_path: float | None) -> tuple[Any, FeatureMaps]:
    """The backbone with its weights, and what its feature maps are.

    Args:
        hf: where it comes from. A folder of timm's has an ``architecture`` in its config.json in place of a
            ``model_type``; so does the ``architecture`` of our config.
        levels: the library's ``out_indices``, in order.
        drop_path: rate of stochastic depth; None leaves the config's own.

    Raises:
        MapLLaVAError: if there is no such backbone or level, no stochastic depth, or weights do not fit.
    """
    values = hf.architecture if hf.source is None else hf.source.config()
    if "architecture" in values and "model_type" not in values:
        from mapllava.models.backbones.timm_features import TimmFeatures, timm_config

        model_class: Any = TimmFeatures
        config: Any = timm_config(values, levels, drop_path, hf.component)
        shapes, maps = _probe(model_class, config)
        table = shapes.key_table()
    else:
        config = _config(hf)
        model_class = _class_of(config, hf.component)
        _set_drop_path(config, drop_path, hf.component)
        unread = _set_levels(config, levels, hf.component)
        shapes, maps = _probe(model_class, config)
        table = _table(shapes)
        if unread:
            table = table.without(rf"(.*\.)?layer\.({'|'.join(map(str, unread))})\.")
    model = hf.build(model_class, config, table, attention=None)
    if not hf.frozen:
        _keep_idle(model, maps.idle)
    return model, maps


def recomputes(architecture: Mapping[str, Any] | None) -> bool:
    """Whether the backbone of an ``architecture`` can recompute activations; True where it is not known."""
    from transformers import CONFIG_MAPPING

    kind: Any = (architecture or {}).get("model_type")
    if kind not in CONFIG_MAPPING:
        return True
    return bool(_class_of(CONFIG_MAPPING[kind](), "BackboneEncoder").supports_gradient_checkpointing)


def _config(hf: HFBackbone) -> Any:
    from transformers import CONFIG_MAPPING

    if hf.source is not None:
        return config_of(hf.source)
    values = dict(hf.architecture)
    kind = values.pop("model_type", None)
    if kind not in CONFIG_MAPPING:
        raise MapLLaVAError(
            f"{hf.component}.architecture.model_type is {kind!r}: name a backbone of transformers, such as "
            "'dinov2' or 'resnet', or give architecture=… as timm calls its model"
        )
    return configure(CONFIG_MAPPING[kind], values, hf.component)


def _class_of(config: Any, component: str) -> Any:
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING

    if type(config) not in MODEL_FOR_BACKBONE_MAPPING:
        raise MapLLaVAError(
            f"{component}: transformers has no backbone of a '{config.model_type}' (its AutoBackbone): use "
            "another family, such as dinov2, dinov3_vit, dinov3_convnext, swin, convnextv2 or resnet"
        )
    return MODEL_FOR_BACKBONE_MAPPING[type(config)]


def _set_drop_path(config: Any, drop_path: float | None, component: str) -> None:
    if drop_path is None:
        return
    if not hasattr(config, "drop_path_rate"):
        raise MapLLaVAError(
            f"{component}: drop_path={drop_path}, but a {config.model_type} has no stochastic depth: leave "
            "drop_path out"
        )
    config.drop_path_rate = drop_path


def _set_levels(config: Any, levels: Sequence[int], component: str) -> range:
    """Ask for levels; layers of a plain ViT behind the last of them, which are returned, are not built."""
    count = len(config.stage_names)
    chosen = [level % count if -count <= level < count else -1 for level in levels]
    if not chosen or min(chosen) < 0 or sorted(set(chosen)) != chosen:
        raise MapLLaVAError(
            f"{component}: levels={list(levels)} are none of a {config.model_type}, from the finest to "
            f"the coarsest: 0 ({config.stage_names[0]}) to {count - 1} ({config.stage_names[-1]}), or "
            "counted from the end"
        )
    unread = range(0)
    # where every level has the norm, what is read does not depend on which layer is the last
    if getattr(config, "apply_layernorm", False) and count == config.num_hidden_layers + 1:
        unread = range(max(chosen[-1], 1), config.num_hidden_layers)
        config.num_hidden_layers = max(chosen[-1], 1)
        config.stage_names = config.stage_names[: config.num_hidden_layers + 1]
    config.out_indices = chosen
    return unread


def _probe(model_class: Any, config: Any) -> tuple[Any, FeatureMaps]:
    """A pass, forward and backward, over shapes alone."""
    with torch.device("meta"), torch.enable_grad():
        model = construction(model_class)(config).eval()
        patch = getattr(config, "patch_size", 1)
        patches = list(patch) if isinstance(patch, (list, tuple)) else [patch]
        side = 4 * math.lcm(_COARSEST, *patches, *getattr(model, "strides", ()))
        maps = model(torch.empty(1, 3, side, side)).feature_maps
        torch.stack([each.float().sum() for each in maps]).sum().backward()
    idle = frozenset(name for name, each in model.named_parameters() if each.grad is None)
    return model, FeatureMaps(
        [each.shape[1] for each in maps], [side // each.shape[-1] for each in maps], idle
    )


def _keep_idle(model: nn.Module, idle: frozenset[str]) -> None:
    """What no level depends on, such as a token for masked patches, does not train; state dicts keep it.

    A parameter that never gets a gradient would stop training on several GPUs.
    """
    for name in idle:
        path, _, leaf = name.rpartition(".")
        layer = model.get_submodule(path)
        value = getattr(layer, leaf).detach()
        delattr(layer, leaf)
        layer.register_buffer(leaf, value)


def _table(shapes: Any) -> KeyTable:
    """How files of a family call what its backbone has: as transformers' own loader reads them.

    Files hold the model alone or below a head; ``shapes`` is the backbone, on any device.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightRenaming

    own = set(shapes.state_dict())
    prefix = f"{shapes.base_model_prefix}."
    renamings = [each for each in get_model_conversion_mapping(shapes) if isinstance(each, WeightRenaming)]

    def translate(key: str) -> str:
        bare = key.removeprefix(prefix)
        for candidate in (key, bare, prefix + bare):
            name = candidate
            for renaming in renamings:
                name = renaming.rename_source_key(name)[0]
            for found in (name, name.removeprefix(prefix), prefix + name):
                if found in own:
                    return found
        return bare

    heads = [(_HEADS, None)]
    if not any(name.startswith(("layernorm.", "layer_norm.")) for name in own):
        heads.append((r"(layernorm|layer_norm)\.(?=(weight|bias)$)", None))  # of the pooled output
    return KeyTable(
        f"{shapes.config.model_type} backbone",
        (*heads, (r"", "")),
        translate=translate,
        new=r"hidden_states_norms\.",  # of the levels, which no file of a whole model has
    )
