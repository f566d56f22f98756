"""A trained model from its checkpoint: the one way of prediction, diagnosis and testing.

It is built through the registry from the config it was trained with, and every weight is accounted for:
what trained is in the file, what did not comes from the same base weights.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

from mapllava.checkpoint.base_weights import IDENTITY, base_differences, base_weight_modules, reloadable_keys
from mapllava.checkpoint.fit import check_fit
from mapllava.checkpoint.self_description import check_prompt
from mapllava.config.build_errors import explain_config
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS
from mapllava.structures.frames import MapSpec

_IN_CONFIG = "Name the base weights that it was trained on in the config's 'pretrained', or train anew"


def load_trained(
    cfg: Mapping[str, Any],
    checkpoint: Mapping[str, Any],
    source: str | Path,
    device: str | torch.device | None = None,
    remedy: str = _IN_CONFIG,
    **rules: Any,
) -> nn.Module:
    """Build the model of a config and fill in what a checkpoint holds; random numbers are left alone.

    Args:
        cfg: The full config, resolved.
        checkpoint: What :func:`~mapllava.checkpoint.checkpoint_loader.load_from_disk` gives.
        source: Its file, for messages.
        device: Where the model runs; the first GPU by default, or else the CPU.
        remedy: What to do where base weights are missing or differ.
        **rules: Of :func:`check_trained`.

    Returns:
        The model, in evaluation mode.

    Raises:
        MapLLaVAError: If the device cannot be used, base weights are missing, or the checkpoint does not
            fit; names the file.
    """
    place = _usable(device)
    try:
        model = _build(cfg["model"], remedy)
        for warning in check_trained(model, cfg, checkpoint, remedy, **rules):
            print_log(f"'{source}': {warning}", logger="current", level=logging.WARNING)
    except MapLLaVAError as error:
        raise MapLLaVAError(f"'{source}': {error}") from error
    expected = model.state_dict()
    state = checkpoint.get("state_dict", checkpoint)
    known = {key: value for key, value in state.items() if key in expected}
    model.load_state_dict(known, strict=len(known) == len(expected))  # the others are accounted for
    return model.to(place).eval()


def check_trained(
    model: nn.Module,
    cfg: Mapping[str, Any],
    checkpoint: Mapping[str, Any],
    remedy: str = _IN_CONFIG,
    *,
    allow_missing: Sequence[str] = (),
    allow_unexpected: Sequence[str] = (),
    same_precision: bool = False,
    same_roi: bool = True,
) -> list[str]:
    """Whether a built model becomes the trained one with a checkpoint's weights.

    Args:
        model: The unwrapped model.
        cfg: Its config, resolved.
        checkpoint: ``state_dict``, and ``meta`` as far as it has one.
        remedy: What to do where base weights differ.
        allow_missing: Module paths that may stay as they were built.
        allow_unexpected: Module paths whose weights in the file may have no place in the model.
        same_precision: Refuse base weights in another precision, too.
        same_roi: Refuse another ROI.

    Returns:
        Differences that are allowed and worth a warning.

    Raises:
        MapLLaVAError: If frame, classes or ROI, the base weights, the model's tensors or the prompt's ids
            are others; lists them.
    """
    meta, state = checkpoint.get("meta", {}), checkpoint.get("state_dict", checkpoint)
    warnings = _spec_differences(meta.get("map_spec"), cfg.get("map_spec"), same_roi)
    roots = base_weight_modules(model, cfg.get("model"))
    reloaded = reloadable_keys(model, roots)
    saved, elsewhere = meta.get("base_weights", {}), reloaded - set(state)
    needed = {path: base for path, base in saved.items() if not path.startswith(tuple(allow_missing))}
    fields = IDENTITY if same_precision else IDENTITY[:1]
    differences = base_differences(needed, roots, elsewhere, fields)
    if differences:
        listed = "\n  ".join(differences)
        raise MapLLaVAError(
            f"base weights are not those that the checkpoint was trained on:\n  {listed}\n{remedy}"
        )
    check_fit(state, model.state_dict(), reloaded, allow_missing, allow_unexpected)
    if "decoder" not in allow_missing:
        check_prompt(model, meta.get("prompt"))
    precision = base_differences(saved, roots, elsewhere)
    return warnings + [f"base weights in another precision: {line}" for line in precision]


def _spec_differences(saved: Any, wanted: Any, same_roi: bool) -> list[str]:
    """A warning where another ROI is allowed; every other difference is an error."""
    own_config = "use the run folder's own config"
    remedies = {
        "frame": f"{own_config}, or train anew",
        "classes": f"{own_config}, or train anew",
        "roi": f"the model's points are shares of the former; {own_config}, or train on from the weights "
        "(load_from) for the latter",
    }
    if saved is None or wanted is None:
        return []
    theirs, ours = (MapSpec.from_config(each).to_config() for each in (saved, wanted))
    for key, remedy in remedies.items():
        if theirs[key] != ours[key]:
            told = (
                f"the checkpoint was trained with map_spec.{key} = {theirs[key]}, the config says {ours[key]}"
            )
            if key == "roi" and not same_roi:
                return [told]
            raise MapLLaVAError(f"{told}: {remedy}")
    return []


def _build(model_cfg: Any, remedy: str) -> nn.Module:
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # for parts that a checkpoint may lack
            return MODELS.build(model_cfg)
    except MapLLaVAError as error:
        raise MapLLaVAError(f"{error}\n{remedy}") from error
    except Exception as error:
        said = explain_config(error)
        if said is None:
            raise
        raise said from error


def _usable(device: str | torch.device | None) -> torch.device:
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=torch.device(chosen)).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise MapLLaVAError(f"device '{chosen}' cannot be used ({reason}): try --device cpu") from error
