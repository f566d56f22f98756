"""A trained model as a Hugging Face folder, and back.

The folder holds ``config.json`` and ``model.safetensors``. Parts that have a Hugging Face naming use
it: the vision tower ``vision_model.*``, the Q-Former ``qformer.*`` with ``query_tokens`` (1, Q, D),
as in BLIP-2; the language model the keys of its causal LM (``model.*`` for LLaMA), without the
vocabulary head where the part has none. Everything else keeps its own name. ``config.json`` has
these parts' configs as ``vision_config``, ``qformer_config`` and ``text_config``, and what the model
file says of itself. The language model's adapters are also in ``adapters/<name>``, as peft saves them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mapllava.checkpoint.fit import is_below
from mapllava.checkpoint.key_tables import VOCABULARY_HEAD, causal_prefix
from mapllava.checkpoint.model_file import ModelFile, write_model_file
from mapllava.checkpoint.peft_layout import write_adapters
from mapllava.config.walk import at
from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, write_json

_CONFIG, _WEIGHTS, _KIND = "config.json", "model.safetensors", "mapllava"
_QUERY_TOKENS = "query_tokens"
_TUPLE = "__tuple__"
_LORA, _WRAPPED = ".lora_", ".base_layer."


def to_hf(
    file: ModelFile, folder: str | Path, state: Mapping[str, Tensor] | None = None, merged: bool = False
) -> Path:
    """Write a model file as a Hugging Face folder, whole or not at all.

    Args:
        file: the model file.
        folder: must not exist, or be empty.
        state: tensors to write in place of the file's, such as a model's full state.
        merged: whether adapters are merged into ``state``; there is no way back then.

    Returns:
        the folder.

    Raises:
        MapLLaVAError: if the folder has content, or two parts would share a name.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MapLLaVAError(f"'{folder}' exists and is not empty: name another folder, or remove it")
    tensors: dict[str, Tensor] = {}
    origins: dict[str, dict[str, Any]] = {}
    for key, value in (file.state if state is None else state).items():
        name = _hf_name(key, file.meta["architectures"])
        if name in tensors:
            raise MapLLaVAError(
                f"'{file.path}': {key} and {origins[name]['key']} would both be called {name}"
            )
        origins[name] = {"key": key, "shape": list(value.shape), "own": key in file.state}
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        if name == _QUERY_TOKENS:
            tensors[name] = tensors[name].reshape(1, -1, value.shape[-1])
    config = {
        "architectures": ["MapLLaVA"],
        "model_type": _KIND,
        **_part_configs(file.meta["architectures"]),
        _KIND: {"meta": _to_json(file.description()), "tensors": origins, "merged": merged},
    }
    with atomic_write(folder) as partial:
        partial.mkdir()
        save_file(tensors, str(partial / _WEIGHTS), metadata={"format": "pt"})
        write_json(partial / _CONFIG, config)
        for path, part in file.meta["architectures"].items():
            lora = (at(file.meta["full_config"]["model"], path) or {}).get("lora")
            if lora and _section(path, part) == "text_config":
                own = {name: each for name, each in tensors.items() if is_below(origins[name]["key"], path)}
                base = file.meta["base_weights"].get(path, {}).get("id")
                write_adapters(partial / "adapters", own, lora, base)
    return folder


def from_hf(folder: str | Path, path: str | Path) -> Path:
    """Write a model file from a folder that :func:`to_hf` has written; tensors come back bit-equal.

    Args:
        folder: the folder; of a full one, the base weights are left out again.
        path: the model file to write.

    Returns:
        its path.

    Raises:
        MapLLaVAError: if the folder is not one of these, has merged adapters, or lacks tensors.
    """
    from safetensors import safe_open

    folder = Path(folder)
    content = _read_config(folder)
    if content["merged"]:
        raise MapLLaVAError(
            f"'{folder}' has its LoRA merged into the base weights, which cannot be taken apart: convert a "
            "folder written without --merge-lora"
        )
    state = {}
    try:
        with safe_open(str(folder / _WEIGHTS), framework="pt", device="cpu") as weights:
            there = set(weights.keys())
            own = {name: origin for name, origin in content["tensors"].items() if origin["own"]}
            missing = sorted(set(own) - there)
            for name in [] if missing else own:
                state[own[name]["key"]] = weights.get_tensor(name).reshape(own[name]["shape"])
    except Exception as error:
        raise MapLLaVAError(
            f"'{folder / _WEIGHTS}' cannot be read ({error}): copy the folder again"
        ) from error
    if missing:
        raise MapLLaVAError(f"'{folder / _WEIGHTS}' lacks {', '.join(missing[:12])}: copy the folder again")
    return write_model_file(path, state, _from_json(content["meta"]))


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """A model's full state with its LoRA adapters merged, under the names it has without adapters.

    The model is changed. Works on any layers with peft's interface (``merge`` and ``base_layer``).

    Args:
        model: the unwrapped model.

    Raises:
        MapLLaVAError: if there is nothing to merge.
    """
    layers = [module for module in model.modules() if hasattr(module, "base_layer")]
    if not layers:
        raise MapLLaVAError("the model has no LoRA adapters to merge: leave --merge-lora out")
    for layer in layers:
        layer.merge(safe_merge=True)  # type: ignore[operator]
    return {
        key.replace(_WRAPPED, ".").replace(".base_model.model.", "."): value
        for key, value in model.state_dict().items()
        if _LORA not in key
    }


def check_plain_weights(file: ModelFile) -> None:
    """Full weights can only be written where they are numbers.

    Raises:
        MapLLaVAError: if a base is quantised; names the components.
    """
    packed = [path for path, base in file.meta["base_weights"].items() if base.get("quantization")]
    if packed:
        raise MapLLaVAError(
            f"'{file.path}': {', '.join(packed)} was trained on quantised base weights, which have no "
            "Hugging Face naming: convert without --full, what trained is then written"
        )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / _CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))[_KIND]
        return {key: content[key] for key in ("meta", "tensors", "merged")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MapLLaVAError(
            f"'{path}' is not of a folder that mapllava convert to-hf has written "
            f"({type(error).__name__}: {error})"
        ) from error


def _hf_name(key: str, architectures: Mapping[str, Any]) -> str:
    """A tensor's name in the folder."""
    for path, config in architectures.items():
        if key.startswith(f"{path}.backbone."):
            own, prefix = key.removeprefix(f"{path}.backbone."), _prefix(path, config)
            causal = _section(path, config) == "text_config" and own.startswith((prefix, VOCABULARY_HEAD))
            return own if causal else prefix + own
    return _QUERY_TOKENS if key == f"neck.{_QUERY_TOKENS}" else key


def _prefix(path: str, config: Mapping[str, Any]) -> str:
    return {"vision_config": "vision_model.", "qformer_config": "qformer."}.get(
        _section(path, config)
    ) or f"{causal_prefix(str(config['model_type']))}."


def _section(path: str, config: Mapping[str, Any]) -> str:
    """Where a part's config stands in a config.json of a vision-language model."""
    kind = str(config.get("model_type"))
    if kind.endswith("_qformer"):
        return "qformer_config"
    sees = path == "vision_encoder" or kind.endswith("_vision_model")
    return "vision_config" if sees else "text_config"


def _part_configs(architectures: Mapping[str, Any]) -> dict[str, Any]:
    return {_section(path, config): config for path, config in architectures.items()}


def _to_json(value: Any) -> Any:
    """Plain values as JSON has them, tuples marked."""
    if isinstance(value, Mapping):
        return {key: _to_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        entries = [_to_json(entry) for entry in value]
        return {_TUPLE: entries} if isinstance(value, tuple) else entries
    if isinstance(value, torch.Tensor):
        raise MapLLaVAError(f"the model's config holds a tensor of shape {tuple(value.shape)}: use a list")
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {_TUPLE}:
            return tuple(_from_json(entry) for entry in value[_TUPLE])
        return {key: _from_json(entry) for key, entry in value.items()}
    return [_from_json(entry) for entry in value] if isinstance(value, list) else value
