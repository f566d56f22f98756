"""Whether the config can be read, and whether somebody reads each of its top-level keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mapllava.config.keys import unread_keys
from mapllava.doctor.context import Context
from mapllava.engine.runner.training_check import check_parts
from mapllava.errors import MapLLaVAError
from mapllava.finding import OK, Finding


def file(context: Context) -> Iterator[Finding]:
    """The config is read, with the command line's options, and its ``map_spec`` holds everywhere."""
    spec = context.cfg.map_spec
    try:
        check_parts(context.cfg)
    except MapLLaVAError as error:
        yield Finding.from_error(
            "file", error, "inherit them: _base_ = [...], as configs/stage2/synthetic.py does"
        )
        return
    yield Finding(
        "file", OK, f"{context.config}: {', '.join(spec.classes)} in the {spec.frame} frame, ROI {spec.roi}"
    )


def keys(context: Context) -> Iterator[Finding]:
    """Unknown top-level keys: slips of the pen, and variables whose value goes nowhere."""
    options = [option.partition("=")[0] for option in context.cfg_options]
    unread = unread_keys(context.written.to_dict(), Path(str(context.config)), options)
    wrong = list(unread)
    yield from wrong
    if not wrong:
        yield Finding("keys", OK, "every top-level key is read or used")
