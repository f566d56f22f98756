"""Whether the config can be read, its keys are read, its components registered, their arguments known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mapllava.config.components import components, plain_dicts, unknown_arguments, unregistered_types
from mapllava.config.keys import unread_keys
from mapllava.doctor.context import Context
from mapllava.engine.runner.run_checks import check_parts
from mapllava.finding import OK, Finding

_INHERIT = "inherit them: _base_ = [...], as configs/stage2/synthetic.py does"


def file(context: Context) -> Iterator[Finding]:
    """The config is read, with the command line's options, and its ``map_spec`` holds everywhere."""
    spec = context.cfg.map_spec
    text = f"{context.config}: {', '.join(spec.classes)} in the {spec.frame} frame, ROI {spec.roi}"
    yield from Finding.refusals("file", _INHERIT, check_parts, context.cfg) or [Finding("file", OK, text)]


def keys(context: Context) -> Iterator[Finding]:
    """Unknown top-level keys: slips of the pen, and variables whose value goes nowhere."""
    options = [option.partition("=")[0] for option in context.cfg_options]
    unread = list(unread_keys(context.written.to_dict(), Path(context.written.filename), options))
    yield from unread or [Finding("keys", OK, "every top-level key is read or used")]


def types(context: Context) -> Iterator[Finding]:
    """Every ``type`` is a registered name, a class, or a dotted path that can be imported."""
    written = context.written.to_dict()
    text = f"{len(list(components(written)))} components, all registered"
    yield from list(unregistered_types(written)) or [Finding("types", OK, text)]


def arguments(context: Context) -> Iterator[Finding]:
    """Every argument of a component is one that its constructor, or a parent's, knows."""
    written = context.written.to_dict()
    count = sum(len(each.arguments) for each in components(written))
    count += sum(len(node) for _, node, _ in plain_dicts(written))
    text = f"{count} arguments, all known to what takes them"
    yield from list(unknown_arguments(written)) or [Finding("arguments", OK, text)]
