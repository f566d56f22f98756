"""Whether every component that a config names is registered and takes the arguments it is given."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.registry import DefaultScope, Registry
from mmengine.runner import EpochBasedTrainLoop, Runner, TestLoop, ValLoop
from mmengine.utils import get_object_from_string
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from mapllava import registry
from mapllava.config.hooks import hook_slips
from mapllava.config.keys import known_keys
from mapllava.config.mistake import suggestion
from mapllava.config.moved import GONE, new_place
from mapllava.config.walk import dicts
from mapllava.finding import FAIL, Finding

_REGISTRIES = [value for value in vars(registry).values() if isinstance(value, Registry)]
# Arguments that MMEngine takes out before it calls the constructor, by what the config calls the place.
_TAKEN_OUT = {
    "hook": {"priority"},
    "optim wrapper": {"constructor", "paramwise_cfg"},
    "parameter scheduler": {"convert_to_iter_based"},
    "loop": {"by_epoch"},
}
_LOADER = {"dataset", "num_batch_per_epoch"}
_FIXED = {
    "auto_scale_lr": {"base_batch_size", "enable"},
    "env_cfg": {"cudnn_benchmark", "dist_cfg", "mp_cfg", "resource_limit"},
    "map_spec": {"classes", "frame", "roi"},
}


@dataclass(frozen=True)
class Component:
    """A dict of the config that becomes an object.

    Attributes:
        where: its place, e.g. ``model.neck``.
        kind: its ``type``.
        node: the dict.
        scope: where a name without one is looked up: the next ``_scope_`` around it, or the config's
            ``default_scope``.
    """

    where: str
    kind: Any
    node: Mapping[str, Any]
    scope: str

    @property
    def arguments(self) -> set[str]:
        """The keys that go to its constructor."""
        return set(self.node) - {"type", "_scope_"}


def unregistered_types(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Every ``type`` is a registered name, a class, or a dotted path that can be imported."""
    for component in components(cfg):
        if not candidates(component.kind, component.scope):
            kind, scope = str(component.kind), component.scope
            remedy = GONE.get(kind.rpartition(".")[2]) or _meant(kind, scope)
            remedy = remedy or "import the plug-in that registers it: --plugins MODULE"
            where = "" if scope == registry.SCOPE else f" in the scope '{scope}'"
            yield Finding(component.where, FAIL, f"type '{kind}' is not registered{where}", remedy)


def unknown_arguments(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Every argument of a component is one that its constructor, or a parent's, knows."""
    for component in components(cfg):
        choices = [accepted_by(*each) for each in candidates(component.kind, component.scope)]
        unknown = [(component.arguments - known, known) for known in choices if known is not None]
        if not choices or len(unknown) < len(choices) or not all(names for names, _ in unknown):
            continue
        names, known = min(unknown, key=lambda pair: len(pair[0]))
        for name in sorted(names):
            what, moved = f"{component.kind} has no argument", new_place(component.kind, name)
            yield _unknown(component.where, name, what, known, moved)
    yield from hook_slips(cfg)
    for where, node, known in plain_dicts(cfg):
        for name in sorted(set(node) - known):
            yield _unknown(where, name, "there is no key", known)


def _meant(kind: str, scope: str) -> str:
    """``did you mean 'x'?``, where x is written as that scope finds it."""
    names = {name for each in _REGISTRIES for level in _levels(each, scope) for name in level.module_dict}
    if scope == registry.SCOPE:
        return suggestion(kind, names)
    ours = {f"{registry.SCOPE}.{name}" for each in _REGISTRIES for name in each.module_dict}
    exact = f"{registry.SCOPE}.{kind.rpartition('.')[2]}"
    return f"did you mean '{exact}'?" if exact in ours else suggestion(kind, names | ours)


def _unknown(where: str, name: str, what: str, known: set[str], moved: str = "") -> Finding:
    remedy = moved or suggestion(name, known) or f"take it out; there are {', '.join(sorted(known))}"
    return Finding(f"{where}.{name}", FAIL, f"{what} '{name}'", remedy)


def components(cfg: Mapping[str, Any]) -> Iterator[Component]:
    """What a config builds; helper variables at the top level are left out."""
    scope = cfg.get("default_scope") or registry.SCOPE
    for key in known_keys() & set(cfg):
        scopes = {"": scope}
        for where, node in dicts(cfg[key], key):  # the whole before its parts: the last around is the next
            if node.get("_scope_"):
                scopes[f"{where}."] = node["_scope_"]
            if "type" in node:
                around = [each for each in scopes if f"{where}.".startswith(each)]
                yield Component(where, node["type"], node, scopes[around[-1]])
    wrapper = cfg.get("optim_wrapper")
    if isinstance(wrapper, Mapping) and wrapper.get("constructor"):
        yield Component("optim_wrapper.constructor", wrapper["constructor"], {}, scope)
    if cfg.get("runner_type"):
        yield Component("runner_type", cfg["runner_type"], {}, scope)


def candidates(kind: Any, scope: str | None = None) -> list[tuple[Any, str]]:
    """Classes or functions that a ``type`` may mean, each with the kind of thing its registry holds.

    Args:
        kind: the ``type``.
        scope: where a name without one is looked up; None for the current default scope.
    """
    if not isinstance(kind, str):
        return [(kind, "")]
    own, name = Registry.split_scope_key(kind)
    scope = own or scope
    if scope is None:
        current = DefaultScope.get_current_instance()
        scope = registry.SCOPE if current is None else current.scope_name
    found = []
    for each in _REGISTRIES:
        for level in _levels(each, scope):
            level.import_from_location()
            if name in level.module_dict:
                found.append((level.module_dict[name], each.name))
                break
    imported = get_object_from_string(kind) if not found and "." in kind else None
    return found if imported is None else [(imported, "")]


def argument(node: Mapping[str, Any] | None, name: str) -> Any:
    """What a component gets for an argument: the config's value or its constructor's; None without."""
    if node is None or name in node:
        return (node or {}).get(name)
    for built, _ in candidates(node.get("type")):
        parameter = inspect.signature(built).parameters.get(name)
        if parameter is not None and parameter.default is not parameter.empty:
            return parameter.default
    return None


def _levels(ours: Registry, scope: str = registry.SCOPE) -> Iterator[Registry]:
    """A registry of ours, or of another scope the one in its place, and those above it."""
    level: Registry | None = ours
    if ours.parent is not None and scope != ours.scope:
        level = ours.parent.children.get(scope, ours.parent)
    while level is not None:
        yield level
        level = level.parent


def arguments_of(built: Any) -> tuple[list[str], bool]:
    """Names of the arguments that a class or function takes, and whether it may take any other.

    ``**kwargs`` of a constructor are taken for those of the next parent; a rest of another name, or one
    without such a parent, goes elsewhere and may hold anything.
    """
    names: dict[str, None] = {}
    elsewhere = False
    parents = built.__mro__[:-1] if inspect.isclass(built) else ()
    constructors = [vars(parent)["__init__"] for parent in parents if "__init__" in vars(parent)]
    for function in constructors if parents else [built]:
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # written in C
            return list(names), True
        rest = [each.name for each in parameters if each.kind is each.VAR_KEYWORD]
        known = [each for each in parameters if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
        names.update((each.name, None) for each in known if each.name != "self")
        if not rest:
            return list(names), elsewhere
        elsewhere |= rest != ["kwargs"]
    return list(names), elsewhere or bool(constructors) or not parents


def accepted_by(built: Any, place: str = "") -> set[str] | None:
    """Names of the arguments that a config may give to a class or function; None if it takes any.

    Args:
        built: the class or function.
        place: the kind of thing that its registry holds, e.g. ``hook``.
    """
    names, others = arguments_of(built)
    return None if others else {*names, *_TAKEN_OUT.get(place, ())}


def plain_dicts(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], set[str]]]:
    """Dicts without a ``type`` whose keys are known all the same: place, dict, known keys."""
    known = dict(_FIXED)
    known["randomness"] = accepted_by(Runner.set_randomness) or set()
    for name in ("train", "val", "test"):
        known[f"{name}_dataloader"] = _LOADER | (accepted_by(DataLoader) or set())
    for name, loop in (("train_cfg", EpochBasedTrainLoop), ("val_cfg", ValLoop), ("test_cfg", TestLoop)):
        known[name] = (accepted_by(loop, "loop") or set()) | {"type"}
    for key, names in known.items():
        node = cfg.get(key)
        if isinstance(node, Mapping) and "type" not in node:
            yield key, node, names
    clip = (cfg.get("optim_wrapper") or {}).get("clip_grad")
    if isinstance(clip, Mapping) and clip.get("type", "norm") == "norm":
        yield "optim_wrapper.clip_grad", clip, (accepted_by(clip_grad_norm_) or set()) | {"type"}
