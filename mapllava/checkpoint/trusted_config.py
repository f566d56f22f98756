"""A config that came in a file: as plain values, never evaluated, naming registered components only.

MMEngine's registries import and call whatever dotted path a ``type`` holds, which is fine for a
config that its user wrote and not for one that arrives with somebody's weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.registry import Registry

from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS, SCOPE, TASK_UTILS, TOKENIZERS, TRANSFORMS, WEIGHT_INITIALIZERS

_REGISTRIES = (MODELS, TASK_UTILS, TRANSFORMS, TOKENIZERS, WEIGHT_INITIALIZERS)
_VALUES_ONLY = "architecture"  # of a Hugging Face config, which has 'type' keys of its own


def config_in(meta: Mapping[str, Any], source: str) -> dict[str, Any] | None:
    """The config that a checkpoint was written with, as the plain values it is stored in.

    Args:
        meta: the checkpoint's ``meta``.
        source: the file, for the message.

    Returns:
        A copy; None where the checkpoint holds its config as text alone (``cfg``), which would have to be
        evaluated.

    Raises:
        MapLLaVAError: if what stands there is no config.
    """
    config = meta.get("full_config")
    if config is not None and not (isinstance(config, dict) and isinstance(config.get("model"), dict)):
        raise MapLLaVAError(f"'{source}': meta.full_config is no config with a model: copy the file again")
    return copy.deepcopy(config)


def check_components(config: Any, where: str, source: str) -> None:
    """Check every ``type`` in a nested config.

    Args:
        config: dicts, lists and plain values.
        where: the place of ``config``, for the message.
        source: the file, for the message.

    Raises:
        MapLLaVAError: if a type is not registered, or a dict asks for another scope.
    """
    if isinstance(config, (list, tuple)):
        for index, entry in enumerate(config):
            check_components(entry, f"{where}.{index}", source)
    if not isinstance(config, Mapping):
        return
    if config.get("_scope_", SCOPE) != SCOPE:
        raise MapLLaVAError(f"'{source}': {where} asks for the scope '{config['_scope_']}', not '{SCOPE}'")
    if "type" in config and not _registered(config["type"]):
        raise MapLLaVAError(
            f"'{source}': {where}.type is '{config['type']}', which is no registered component. If it is a "
            "plug-in's, import that first; otherwise do not trust the file"
        )
    for key, value in config.items():
        if key != _VALUES_ONLY:
            check_components(value, f"{where}.{key}", source)


def _registered(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    name = name.removeprefix(f"{SCOPE}.")
    for registry in _REGISTRIES:
        level: Registry | None = registry
        while level is not None:
            level.import_from_location()
            if name in level.module_dict:
                return True
            level = level.parent
    return False
