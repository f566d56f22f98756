"""Whether every component that a config names is registered and takes the arguments it is given."""

from __future__ import annotations

from collections.abc import Iterator

from mapllava.config.components import components, plain_dicts, unknown_arguments, unregistered_types
from mapllava.doctor.context import Context
from mapllava.finding import OK, Finding


def types(context: Context) -> Iterator[Finding]:
    """Every ``type`` is a registered name, a class, or a dotted path that can be imported."""
    written = context.written.to_dict()
    wrong = list(unregistered_types(written))
    yield from wrong
    if not wrong:
        yield Finding("types", OK, f"{len(list(components(written)))} components, all registered")


def arguments(context: Context) -> Iterator[Finding]:
    """Every argument of a component is one that its constructor, or a parent's, knows."""
    written = context.written.to_dict()
    wrong = list(unknown_arguments(written))
    yield from wrong
    if not wrong:
        count = sum(len(each.arguments) for each in components(written))
        count += sum(len(node) for _, node, _ in plain_dicts(written))
        yield Finding("arguments", OK, f"{count} arguments, all known to what takes them")
