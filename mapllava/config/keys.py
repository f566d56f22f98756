"""Top-level keys that nobody reads: slips of the pen, and variables whose value goes nowhere."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mapllava.config.assignments import Assignment, idle_assignments
from mapllava.config.mistake import ALIKE, suggestion
from mapllava.config.walk import walk
from mapllava.finding import FAIL, WARN, Finding

# What is read by name, beside the arguments of MMEngine's Runner.
_OF_MMENGINE = {
    "activation_checkpointing", "compile", "custom_imports", "efficient_conv_bn_eval", "env_cfg",
    "find_unused_parameters", "model_wrapper_cfg", "sync_bn",
}  # fmt: skip
_OF_MAPLLAVA = {
    "ablation", "corruption", "map_spec", "read_by_plugins", "run_name", "runner_type", "schedule_unit",
    "without_checkpoints",
}  # fmt: skip
_MANY = 4  # places that a message names
MOVED = "data_root"  # which the command line takes to every data set


def known_keys(cfg: Mapping[str, Any] | None = None) -> set[str]:
    """Top-level keys that mapllava or MMEngine reads, and those in ``read_by_plugins`` of a config."""
    arguments = set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"}
    return arguments | _OF_MMENGINE | _OF_MAPLLAVA | set((cfg or {}).get("read_by_plugins") or ())


def unread_keys(cfg: Mapping[str, Any], path: Path | None, options: Iterable[str] = ()) -> Iterator[Finding]:
    """Top-level names set in a config, its bases or on the command line that nothing comes of.

    Args:
        cfg: the config with the options.
        path: its file; None to look at the options alone.
        options: dotted keys of the command line's options.

    Yields:
        Failures, and warnings for what may be meant, such as a note of one's own.
    """
    known = known_keys(cfg)
    consumed = {key: value for key, value in cfg.items() if key in known}
    own = set()
    for name in dict.fromkeys(option.partition(".")[0] for option in options):
        if name in known or (name == MOVED and is_used(cfg[name], consumed)):
            continue
        own.add(name)
        yield _judge_option(name, Config.fromfile(path).to_dict() if path else {}, consumed, known)
    for each in idle_assignments(path, known) if path else ():
        finding = None if each.name in own or each.name not in cfg else _judge(each, cfg, consumed, known)
        if finding is not None:
            yield finding


def _judge_option(name: str, written: Mapping, consumed: Mapping, known: set[str]) -> Finding:
    reason = f"--cfg-options {name} reaches nothing: "
    if name in written:
        reason += f"the file has made its dicts of {_short(written[name])} already"
        return Finding(f"key {name}", FAIL, reason, _remedy(name, list(places_of(written[name], consumed))))
    meant = suggestion(name, known, ALIKE) or _in_its_place(name, consumed)
    remedy = meant or "name a key of the config, KEY.KEY=VALUE"
    return Finding(f"key {name}", FAIL, f"{reason}nobody reads it", remedy)


def _judge(each: Assignment, cfg: Mapping, consumed: Mapping, known: set[str]) -> Finding | None:
    where, used = f"'{each.name}' of {each.path}", is_used(cfg[each.name], consumed)
    if each.overrides:
        places = list(places_of(each.old, consumed))
        if used and not places:
            return None
        reason = f"{where} reaches nothing: its base has made its dicts of {_short(each.old)} already"
        return Finding(f"key {each.name}", FAIL, reason, _remedy(each.name, places))
    if used and not each.inherits:
        return None
    meant = suggestion(each.name, known, ALIKE)
    if not meant and each.own and each.inherits:
        meant = _in_its_place(each.name, consumed)
    reason = f"nothing reads {where}, and its value {_short(cfg[each.name])} is used nowhere"
    remedy = meant or "take it out, or name it in read_by_plugins=[…] if a plug-in reads it"
    grave = bool(meant) or (each.own and each.inherits and _has_component(cfg[each.name]))
    status = FAIL if grave else WARN
    return Finding(f"key {each.name}", status, reason, remedy) if meant or each.own else None


def _remedy(name: str, places: list[str]) -> str:
    more = f" and {len(places) - _MANY} more" if len(places) > _MANY else ""
    text = f"set instead {', '.join(places[:_MANY])}{more}" if places else "override the dicts that used it"
    return f"{text}; --cfg-options {MOVED}=… reaches every data set" if name == MOVED else text


def _in_its_place(name: str, consumed: Mapping[str, Any]) -> str:
    """``did you mean 'train_cfg.max_epochs'?`` where a key of that name is further down."""
    places = list(_places(lambda key, _: key == name, consumed))[:2]
    return f"did you mean {' or '.join(repr(place) for place in places)}?" if places else ""


def places_of(value: Any, config: Any) -> Iterator[str]:
    """Dotted keys at which a config has a value; of lists and dicts of several, those of their parts."""
    found = list(_places(lambda _, node: _same(node, value), config))
    if not found and isinstance(value, (list, tuple)):
        found = [place for part in value for place in places_of(part, config)]
    yield from dict.fromkeys(found)


def _places(wanted: Any, config: Any) -> Iterator[str]:
    """Where a config has what is wanted, a test of a key and its value; not below such a place."""
    found = None
    for where, node in walk(config):
        if (found is None or not where.startswith(f"{found}.")) and wanted(where.rpartition(".")[2], node):
            found = where
            yield where


def is_used(value: Any, config: Any) -> bool:
    """Whether a helper variable's value, or each part of it, appears in a config; components may wait.

    Args:
        value: of the variable.
        config: everything else.
    """
    component = isinstance(value, Mapping) and "type" in value
    if value is None or component or _found(lambda _, node: _same(node, value), config):
        return True
    if isinstance(value, Mapping):
        return _found(lambda _, node: isinstance(node, Mapping) and _holds(node, value), config)
    return isinstance(value, (list, tuple)) and all(is_used(part, config) for part in value)


def _has_component(value: Any) -> bool:
    """Whether a value is to be built: nobody notes that down for its own sake."""
    return _found(lambda key, node: key == "type" and isinstance(node, str), {"value": value})


def _found(wanted: Any, config: Any) -> bool:
    return next(_places(wanted, config), None) is not None


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _holds(whole: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    return all(key in whole and whole[key] == value for key, value in part.items())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
