"""A trained model opened from its checkpoint, with the config of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mapllava.checkpoint.checkpoint_loader import checkpoint_file, load_from_disk
from mapllava.checkpoint.model_loader import load_trained
from mapllava.config.hooks import hooks_of
from mapllava.config.read import load_config
from mapllava.config.resolve import resolve
from mapllava.errors import MapLLaVAError
from mapllava.models.map_llava import MapLLaVA


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
    cfg = resolve(load_config(config or _config_beside(path), options, plugins, sent=config is None))
    hook = next((each for each in hooks_of(cfg) if each.get("type") == "SafeCheckpointHook"), {})
    allowed = {key: hook.get(key, ()) for key in ("allow_missing", "allow_unexpected")}
    content = load_from_disk(str(path))
    model = load_trained(cfg, content, path, device, **allowed)
    if not isinstance(model, MapLLaVA):
        raise MapLLaVAError(
            f"'{path}' is a {type(model).__name__}; what is looked at here are the parts of a MapLLaVA: "
            "encoder, neck, map queries, decoder and head"
        )
    meta = content.get("meta", {})
    return OpenedModel(model, cfg, path, {key: meta[key] for key in ("epoch", "best") if key in meta})


def _config_beside(checkpoint: Path) -> Path:
    path = checkpoint.parent / "config.json"
    if not path.is_file():
        raise MapLLaVAError(
            f"'{path}' is not there: keep the checkpoint in its run folder, or name the config: --config FILE"
        )
    return path
