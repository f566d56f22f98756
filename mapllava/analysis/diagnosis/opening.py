"""A trained model opened from its checkpoint, with the config of its run."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mapllava.checkpoint.checkpoint_loader import checkpoint_file
from mapllava.config.hooks import hooks_of
from mapllava.config.read import load_config
from mapllava.config.resolve import resolve
from mapllava.engine import build_runner
from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.errors import MapLLaVAError
from mapllava.models.map_llava import MapLLaVA

_NOT_NEEDED = ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "resume", "load_from")
_DAMAGED = (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, OSError)


@dataclass
class OpenedModel:
    """A model ready to be looked at.

    Args:
        model: In evaluation mode, on its device.
        cfg: The run's config, its map specification written into every component.
        checkpoint: The file.
        trained: What the file says of itself: ``epoch`` and ``best`` as far as known.
    """

    model: MapLLaVA
    cfg: Config
    checkpoint: Path
    trained: dict[str, Any]


def open_checkpoint(
    checkpoint: str | Path,
    config: str | Path | None = None,
    device: str | None = None,
    options: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
) -> OpenedModel:
    """Build the model of a checkpoint and load it, with every weight accounted for.

    Args:
        checkpoint: For instance ``best_model.pth`` of a run folder.
        config: Config file, which is a program; None takes ``config.json`` beside the checkpoint as values.
        device: For instance ``cpu`` or ``cuda:1``; None takes the first GPU, or else the CPU.
        options: Config values to override, dotted keys.
        plugins: Modules or ``.py`` files that register components.

    Raises:
        MapLLaVAError: If checkpoint, config or device is not there, the file is damaged or of
            another model, or the model is not built of the parts that are looked at.
    """
    path = checkpoint_file(checkpoint)
    place = _device(device)
    cfg = resolve(load_config(config or _config_beside(path), options, plugins, sent=config is None))
    model, trained = _load(cfg, path)
    if not isinstance(model, MapLLaVA):
        raise MapLLaVAError(
            f"'{path}' is a {type(model).__name__}; what is looked at here are the parts of a MapLLaVA: "
            "encoder, neck, map queries, decoder and head"
        )
    if next(model.parameters()).device != place:
        model.to(place)
    return OpenedModel(model.eval(), cfg, path, trained)


def _config_beside(checkpoint: Path) -> Path:
    path = checkpoint.parent / "config.json"
    if not path.is_file():
        raise MapLLaVAError(
            f"'{path}' is not there: keep the checkpoint in its run folder, or name the config: --config FILE"
        )
    return path


def _device(name: str | None) -> torch.device:
    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=torch.device(chosen)).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise MapLLaVAError(f"device '{chosen}' cannot be used ({reason}): try --device cpu") from error


def _load(cfg: Config, path: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The runner's way of building and loading, in a folder of its own that is gone afterwards."""
    bare = cfg.copy()
    bare.update(dict.fromkeys(_NOT_NEEDED))
    for stage in ("val", "test"):
        bare.update({f"{stage}_{part}": None for part in ("dataloader", "cfg", "evaluator")})
    safe = [hook for hook in hooks_of(cfg) if hook.get("type") == "SafeCheckpointHook"]
    bare.custom_hooks = safe or [{"type": "SafeCheckpointHook"}]
    bare.default_hooks = {"checkpoint": None}
    bare.visualizer, bare.log_level, bare.resume = None, "ERROR", False
    with tempfile.TemporaryDirectory() as folder:
        bare.work_dir = folder
        runner = build_runner(bare)
        try:
            meta = runner.load_checkpoint(str(path), map_location="cpu").get("meta", {})
        except _DAMAGED as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise MapLLaVAError(
                f"checkpoint '{path}' cannot be read ({reason}): it is damaged or no checkpoint of this "
                "package; take another one of the run folder"
            ) from error
    trained = {key: meta[key] for key in ("epoch", "best") if key in meta}
    return unwrap_model(runner.model), trained
