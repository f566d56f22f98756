"""What a checkpoint says about the model in it, so that it can be built from the file alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from torch import nn

from mapllava.checkpoint.plain_state import plain_config
from mapllava.config.resolve import leaf_datasets
from mapllava.errors import MapLLaVAError
from mapllava.version import __version__


def describe_model(model: nn.Module, cfg: Config) -> dict[str, Any]:
    """The parts of ``meta`` that stay the same for a whole run; see :mod:`mapllava.checkpoint.model_file`.

    Args:
        model: The unwrapped model.
        cfg: The run's config, resolved.

    Raises:
        MapLLaVAError: If the config holds what is no plain value.
    """
    config = plain_config(cfg.to_dict())
    return {
        "mapllava_version": __version__,
        "full_config": config,
        "map_spec": config.get("map_spec"),
        "prompt": next(_prompts(model), ("", None))[1],
        "architectures": _architectures(model),
    }


def check_prompt(model: nn.Module, saved: Any) -> None:
    """Refuse a tokenizer that gives the trained prompt other ids than then; another prompt may be tried.

    Args:
        model: The unwrapped model.
        saved: ``meta['prompt']`` of the checkpoint that is loaded into it.

    Raises:
        MapLLaVAError: With both tokenizers and how the ids begin.
    """
    place, now = next(_prompts(model), ("", None))
    if not isinstance(saved, Mapping) or now is None or saved.get("text") != now["text"]:
        return
    ids = list(saved.get("ids") or ())
    if ids != now["ids"]:
        raise MapLLaVAError(
            f"the checkpoint was trained with other ids of the prompt '{now['text']}':\n  "
            f"{ids[:5]} … of {saved.get('tokenizer')} then\n  {now['ids'][:5]} … of {now['tokenizer']} now\n"
            f"Name the former in model.{place}.tokenizer, or the folder that it lay in as "
            f"model.{place}.pretrained"
        )


def _prompts(model: nn.Module) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Name and prompt of the part that reads one: a map model's decoder, a parser's language model."""
    for name, part in model.named_children():
        if (describe := getattr(part, "describe_prompt", None)) is not None:
            yield name, describe()


def inference_pipeline(config: Mapping[str, Any]) -> list[Any]:
    """The transforms of the data that the model is tested on, or else validated.

    Args:
        config: A full config, plain or not.

    Returns:
        The first data set's; empty if there is none, or what stands there is no list of transforms.
    """
    for name in ("test_dataloader", "val_dataloader"):
        for _, dataset in leaf_datasets(config, name):
            steps = dataset.get("pipeline") or []
            whole = isinstance(steps, (list, tuple)) and all(isinstance(step, Mapping) for step in steps)
            return list(steps) if whole else []
    return []


def _architectures(model: nn.Module) -> dict[str, Any]:
    """The Hugging Face config of every part that keeps such a model as its ``backbone``."""
    found = {}
    for path, module in model.named_modules():
        config: Any = getattr(getattr(module, "backbone", None), "config", None)
        if hasattr(config, "to_json_string"):
            found[path] = json.loads(config.to_json_string(use_diff=False))
    return found
