"""A config that came in a file: as plain values, never evaluated, naming registered components only.

MMEngine's registries import and call whatever dotted path a ``type`` holds, and its configs import modules
and run their bases. That is fine for a config that its user wrote and not for one that arrives with
somebody's weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import Registry

from mapllava import registry
from mapllava.config.moved import bring_up_to_date
from mapllava.config.walk import dicts
from mapllava.errors import MapLLaVAError
from mapllava.files import read_json_object
from mapllava.registry import MODELS, SCOPE, TASK_UTILS, TOKENIZERS, TRANSFORMS, WEIGHT_INITIALIZERS

_PARTS = (MODELS, TASK_UTILS, TRANSFORMS, TOKENIZERS, WEIGHT_INITIALIZERS)
_ALL = [value for value in vars(registry).values() if isinstance(value, Registry)]
_COMPONENTS = ("type", "runner_type", "constructor")
"""Keys whose value MMEngine looks up in a registry, which imports it where it has dots."""
_SCOPES = ("_scope_", "default_scope")
"""Keys whose value MMEngine imports as a package."""
_CODE = ("custom_imports", "_base_", "trust_remote_code")
"""Keys that ask for code from outside of the config."""


def config_in(meta: Mapping[str, Any], source: str) -> dict[str, Any] | None:
    """The config that a checkpoint was written with, as the plain values it is stored in.

    Args:
        meta: the checkpoint's ``meta``.
        source: the file, for the message.

    Returns:
        A copy, with what older versions wrote moved to its place; None where the checkpoint holds its config
        as text alone (``cfg``), which would have to be evaluated.

    Raises:
        MapLLaVAError: if what stands there is no config.
    """
    config = meta.get("full_config")
    if config is not None and not (isinstance(config, dict) and isinstance(config.get("model"), dict)):
        raise MapLLaVAError(f"'{source}': meta.full_config is no config with a model: copy the file again")
    return bring_up_to_date(copy.deepcopy(config))


def read_sent_config(path: str | Path) -> dict[str, Any]:
    """Read a run folder's ``config.json``, which may be somebody else's.

    Raises:
        MapLLaVAError: if it cannot be read, or asks for more than registered components.
    """
    config = bring_up_to_date(read_json_object(path, "config"))
    check_components(config, "config", str(path), _ALL)
    return config


def check_components(config: Any, where: str, source: str, registries: Sequence[Registry] = _PARTS) -> None:
    """Check that building from a nested config imports and calls registered components only.

    Args:
        config: dicts, lists and plain values.
        where: the place of ``config``, for the message.
        source: the file, for the message.
        registries: where the components may be from; by default, what a model and its preprocessing are of.

    Raises:
        MapLLaVAError: if a type is not registered, or a dict asks for another scope or for code.
    """
    for place, node in dicts(config, where):
        for key in _SCOPES:
            if node.get(key, SCOPE) != SCOPE:
                raise MapLLaVAError(f"'{source}': {place} asks for the scope '{node[key]}', not '{SCOPE}'")
        for key in _CODE:
            if node.get(key):
                raise MapLLaVAError(
                    f"'{source}': {place}.{key} = {node[key]} asks for code from elsewhere, which a file "
                    "that may be somebody else's must not: import what you trust yourself (--plugins)"
                )
        for key in _COMPONENTS:
            if key in node and not _registered(node[key], registries):
                raise MapLLaVAError(
                    f"'{source}': {place}.{key} is '{node[key]}', which is no registered component. If it is "
                    "a plug-in's, import that first (--plugins MODULE); otherwise do not trust the file"
                )


def _registered(name: Any, registries: Sequence[Registry]) -> bool:
    if not isinstance(name, str):
        return False
    name = name.removeprefix(f"{SCOPE}.")
    for each in registries:
        level: Registry | None = each
        while level is not None:
            level.import_from_location()
            if name in level.module_dict:
                return True
            level = level.parent
    return False
