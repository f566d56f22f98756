"""Whether the config can be read, and whether somebody reads each of its top-level keys."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mapllava.doctor.context import Context
from mapllava.doctor.finding import FAIL, OK, WARN, Finding

# What is read by name, beside the arguments of MMEngine's Runner.
_OF_MMENGINE = {
    "activation_checkpointing", "compile", "custom_imports", "efficient_conv_bn_eval", "env_cfg",
    "find_unused_parameters", "model_wrapper_cfg", "sync_bn",
}  # fmt: skip
_OF_MAPLLAVA = {"ablation", "map_spec", "run_name", "runner_type", "schedule_unit"}
_ALIKE = 0.8  # share of letters in common above which another key was meant


def known_keys() -> set[str]:
    """Top-level keys that mapllava or MMEngine reads."""
    from mmengine.runner import Runner

    arguments = set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"}
    return arguments | _OF_MMENGINE | _OF_MAPLLAVA


def suggestion(word: str, known: Iterable[str], alike: float = 0.6) -> str:
    """``did you mean 'x'?`` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1, alike)
    return f"did you mean '{near[0]}'?" if near else ""


def file(context: Context) -> Iterator[Finding]:
    """The config is read, with the command line's options, and its ``map_spec`` holds everywhere."""
    cfg = context.cfg
    missing = [key for key in ("model", "train_dataloader", "optim_wrapper", "train_cfg") if not cfg.get(key)]
    if missing:
        remedy = "inherit them: _base_ = [...], as configs/stage2/synthetic.py does"
        yield Finding("file", FAIL, f"{context.config} sets no {', '.join(missing)}", remedy)
        return
    spec = cfg.map_spec
    yield Finding(
        "file", OK, f"{context.config}: {', '.join(spec.classes)} in the {spec.frame} frame, ROI {spec.roi}"
    )


def keys(context: Context) -> Iterator[Finding]:
    """Unknown top-level keys: slips of the pen, and variables whose value went nowhere.

    A leaf that sets a variable of its base does not reach the dicts that the base made of it. A variable
    of the base may well have nothing left to do, where the leaf has set the dicts.
    """
    cfg, known, clean = context.written.to_dict(), known_keys(), True
    own = _set_by_the_user(context)
    for key in cfg:
        if key in known or key.startswith("__"):
            continue
        elsewhere = {name: value for name, value in cfg.items() if name != key}
        if is_used(cfg[key], elsewhere):
            continue
        meant = suggestion(key, known, _ALIKE)
        if not meant and key not in own:
            continue
        clean = False
        if meant:
            yield Finding(f"key {key}", FAIL, f"nothing reads the top-level key '{key}'", meant)
        else:
            reason = (
                f"nothing reads the top-level key '{key}', and its value {_short(cfg[key])} is used nowhere"
            )
            remedy = "take it out; to change what a _base_ made of it, override the dicts with its old value"
            if key == "data_root":
                remedy = "--cfg-options data_root=… reaches every data set; or set it in their dicts"
            yield Finding(f"key {key}", WARN, reason, remedy)
    if clean:
        yield Finding("keys", OK, "every top-level key is read or used")


def _set_by_the_user(context: Context) -> set[str]:
    """Top-level keys of the config's own file and of the command line."""
    tree = ast.parse(Path(str(context.config)).read_text(encoding="utf-8"))
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return names | {option.partition("=")[0] for option in context.cfg_options}


def is_used(value: Any, config: Any) -> bool:
    """Whether a helper variable's value, or each part of it, appears in a config; components may wait.

    Args:
        value: of the variable.
        config: everything else.
    """
    if value is None or (isinstance(value, Mapping) and "type" in value) or _appears(value, config):
        return True
    if isinstance(value, Mapping):
        return any(_contains_items(value, node) for node in _mappings(config))
    if isinstance(value, (list, tuple)):
        return all(is_used(part, config) for part in value)
    return False


def _appears(value: Any, node: Any) -> bool:
    if type(value) is type(node) and value == node:
        return True
    parts = node.values() if isinstance(node, Mapping) else node if isinstance(node, (list, tuple)) else ()
    return any(_appears(value, part) for part in parts)


def _mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
    parts = node.values() if isinstance(node, Mapping) else node if isinstance(node, (list, tuple)) else ()
    for part in parts:
        yield from _mappings(part)


def _contains_items(part: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    return all(key in whole and whole[key] == value for key, value in part.items())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
