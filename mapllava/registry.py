"""The registries of mapllava: one child of every MMEngine root registry, scope ``mapllava``.

``locations`` tells MMEngine which modules to import before it looks a name up, so that a config
may say ``type='QFormerNeck'`` and nobody imports anything by hand. Plug-ins register with the
same decorators::

    from mapllava.registry import MODELS

    @MODELS.register_module()
    class MyNeck(BaseModule): ...
"""

from __future__ import annotations

import inspect
from typing import Any

from mmengine import registry as _root
from mmengine.registry import Registry

SCOPE = "mapllava"

_MODELS = ["mapllava.models"]
_ENGINE = ["mapllava.engine"]
_METRICS = ["mapllava.evaluation.metrics"]
_DATASETS = ["mapllava.datasets"]
_TASKS = ["mapllava.models.task_modules"]

DATASETS = Registry("dataset", parent=_root.DATASETS, scope=SCOPE, locations=_DATASETS)
DATA_SAMPLERS = Registry("data sampler", parent=_root.DATA_SAMPLERS, scope=SCOPE, locations=_DATASETS)
TRANSFORMS = Registry("transform", parent=_root.TRANSFORMS, scope=SCOPE, locations=_DATASETS)
FUNCTIONS = Registry("function", parent=_root.FUNCTIONS, scope=SCOPE, locations=_DATASETS)

TOKENIZERS = Registry("tokenizer", scope=SCOPE, locations=_MODELS)
MODELS = Registry("model", parent=_root.MODELS, scope=SCOPE, locations=_MODELS)
MODEL_WRAPPERS = Registry("model wrapper", parent=_root.MODEL_WRAPPERS, scope=SCOPE, locations=_ENGINE)
WEIGHT_INITIALIZERS = Registry(
    "weight initializer", parent=_root.WEIGHT_INITIALIZERS, scope=SCOPE, locations=_MODELS
)
TASK_UTILS = Registry("task util", parent=_root.TASK_UTILS, scope=SCOPE, locations=_TASKS)

RUNNERS = Registry("runner", parent=_root.RUNNERS, scope=SCOPE, locations=_ENGINE)
RUNNER_CONSTRUCTORS = Registry(
    "runner constructor", parent=_root.RUNNER_CONSTRUCTORS, scope=SCOPE, locations=_ENGINE
)
STRATEGIES = Registry("strategy", parent=_root.STRATEGIES, scope=SCOPE, locations=_ENGINE)
LOOPS = Registry("loop", parent=_root.LOOPS, scope=SCOPE, locations=_ENGINE)
HOOKS = Registry("hook", parent=_root.HOOKS, scope=SCOPE, locations=_ENGINE)
OPTIMIZERS = Registry("optimizer", parent=_root.OPTIMIZERS, scope=SCOPE, locations=_ENGINE)
OPTIM_WRAPPERS = Registry("optim wrapper", parent=_root.OPTIM_WRAPPERS, scope=SCOPE, locations=_ENGINE)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    "optimizer wrapper constructor", parent=_root.OPTIM_WRAPPER_CONSTRUCTORS, scope=SCOPE, locations=_ENGINE
)
PARAM_SCHEDULERS = Registry(
    "parameter scheduler", parent=_root.PARAM_SCHEDULERS, scope=SCOPE, locations=_ENGINE
)
LOG_PROCESSORS = Registry("log processor", parent=_root.LOG_PROCESSORS, scope=SCOPE, locations=_ENGINE)

METRICS = Registry("metric", parent=_root.METRICS, scope=SCOPE, locations=_METRICS)
EVALUATOR = Registry(
    "evaluator", parent=_root.EVALUATOR, scope=SCOPE, locations=["mapllava.evaluation.metrics"]
)
VISUALIZERS = Registry(
    "visualizer",
    parent=_root.VISUALIZERS,
    scope=SCOPE,
    locations=["mapllava.visualization.map_visualizer"],
)
VISBACKENDS = Registry(
    "vis backend",
    parent=_root.VISBACKENDS,
    scope=SCOPE,
    locations=["mapllava.visualization.tensorboard_backend"],
)
INFERENCERS = Registry(
    "inferencer", parent=_root.INFERENCERS, scope=SCOPE, locations=["mapllava.apis.map_inferencer"]
)


def find(registry: Registry, kind: Any) -> Any:
    """What MMEngine would build for a ``type``: by its prefix, or in the config's ``default_scope``.

    Args:
        registry: One of these, for instance ``MODELS``.
        kind: A name, or the class itself.

    Returns:
        The class or function; None if the name is not registered.
    """
    if not isinstance(kind, str):
        return kind
    with registry.switch_scope_and_registry(None) as current:
        return current.get(kind)


def registered(registry: Registry, kind: Any) -> Any:
    """What is registered under a ``type`` by now; unlike :func:`find`, nothing is imported or raised.

    Args:
        registry: One of these, for instance ``MODELS``.
        kind: What a config has there: a name, a class, or anything in a file that may be damaged.

    Returns:
        The class or function; None if there is none.
    """
    if not isinstance(kind, str):
        return kind if inspect.isclass(kind) else None
    scope, name = Registry.split_scope_key(kind)
    root = registry.parent or registry
    levels = [each for each in (registry, root, *root.children.values()) if scope in (None, each.scope)]
    return next((each.module_dict[name] for each in levels if name in each.module_dict), None)


def is_a(registry: Registry, kind: Any, name: str) -> bool:
    """Whether a ``type`` is a class of ours or a registered subclass of it; nothing is imported for that.

    Args:
        registry: See :func:`registered`.
        kind: See there.
        name: Of the class of ours.
    """
    found = registered(registry, kind)
    if found is None:
        return kind in (name, f"{SCOPE}.{name}")
    return inspect.isclass(found) and registry.module_dict.get(name) in found.__mro__
