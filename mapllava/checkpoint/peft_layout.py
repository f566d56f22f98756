"""LoRA adapters of a language model as peft saves them, so that peft and what builds on it can load them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mapllava.files import write_json

_PARAMETER = re.compile(r"(?P<layer>.+)\.lora_(?P<matrix>[AB])\.(?P<adapter>\w+)\.weight")


def write_adapters(
    folder: Path, tensors: Mapping[str, Tensor], lora: Mapping[str, Any], base: str | None
) -> None:
    """Write ``<adapter>/adapter_config.json`` and ``adapter_model.safetensors`` for each adapter.

    ``PeftModel.from_pretrained(causal_lm, folder / adapter)`` loads one.

    Args:
        folder: made where there are adapters.
        tensors: under the names of the causal language model, ``model.layers.0.….lora_A.<adapter>.weight``;
            what is no adapter's is left out.
        lora: as :func:`~mapllava.models.backbones.trainability.add_lora` took it.
        base: name of the base weights.
    """
    from safetensors.torch import save_file

    adapters: dict[str, dict[str, Tensor]] = {}
    layers: dict[str, set[str]] = {}
    for name, tensor in tensors.items():
        found = _PARAMETER.fullmatch(name)
        if found is not None:
            layer, matrix, adapter = found.group("layer", "matrix", "adapter")
            adapters.setdefault(adapter, {})[f"base_model.model.{layer}.lora_{matrix}.weight"] = tensor
            layers.setdefault(adapter, set()).add(layer)
    for adapter, state in adapters.items():
        path = folder / adapter
        path.mkdir(parents=True)
        save_file(state, str(path / "adapter_model.safetensors"), metadata={"format": "pt"})
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": lora["rank"],
            "lora_alpha": lora["alpha"],
            "lora_dropout": lora.get("dropout", 0.0),
            "target_modules": sorted(layers[adapter]),
            "bias": "none",
            "inference_mode": True,
        }
        write_json(path / "adapter_config.json", config)
