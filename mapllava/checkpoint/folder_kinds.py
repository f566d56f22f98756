"""Folders that look like a base model's and are something else, in words that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError

_OLD_SETTINGS = {"quantize_config.json": "GPTQ", "quant_config.json": "AWQ"}  # beside config.json


def without_config(folder: Path) -> str:
    """Why a folder without ``config.json`` is no model's, as far as its other files tell."""
    names = {path.name for path in folder.iterdir()}
    if "adapter_config.json" in names:
        return (
            f"{folder} holds an adapter of peft, not a model: merge it into its base (merge_and_unload, "
            "save_pretrained), or name the base"
        )
    if "params.json" in names or any(name.startswith("consolidated.") for name in names):
        return (
            f"{folder} has Meta's original layout: convert it with transformers' "
            "convert_llama_weights_to_hf, or download the model in Hugging Face's"
        )
    if any(name.endswith(".gguf") for name in names):
        return f"{folder} holds GGUF, which is for inference: download the model it was made from"
    inner = sorted({*folder.glob("*/config.json"), *folder.glob("snapshots/*/config.json")})
    hint = f"is it {inner[0].parent}?" if inner else "point it at a model folder as transformers saves it"
    return f"no config.json in {folder}; {hint}"


def refuse_packed(name: str, folder: Path, config: Mapping[str, Any]) -> None:
    """Weights that were quantised before they were saved are of another form.

    Raises:
        MapLLaVAError: naming the method.
    """
    parts = [config, *(value for value in config.values() if isinstance(value, Mapping))]
    for key in ("quantization_config", "compression_config"):
        for settings in [part[key] for part in parts if isinstance(part.get(key), Mapping)]:
            method = settings.get("quant_method") or "bitsandbytes"
            raise MapLLaVAError(_packed(name, str(method), f"config.json has a {key}"))
    for file, method in _OLD_SETTINGS.items():
        if (folder / file).is_file():
            raise MapLLaVAError(_packed(name, method, f"there is a {file}"))


def _packed(name: str, method: str, sign: str) -> str:
    return (
        f"pretrained='{name}': its weights were quantised with {method} when they were saved ({sign}), and "
        "are not read here: name the model in 16 or 32 bits that they were made from; "
        "quantization=dict(bits=4) packs that while it loads"
    )
