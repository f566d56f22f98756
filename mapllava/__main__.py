"""The command ``mapllava``: what it does, each done by a module of that name in ``mapllava.cli``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from mapllava.cli.exit_status import STATUSES, exit_status
from mapllava.startup import begin

COMMANDS = {
    "doctor": "look at this machine and a config before training",
    "print-config": "a config as a run builds from it, and where each value comes from",
    "plan": "what a config needs, and which settings make it fit a GPU",
    "create-synthetic-nuscenes": "make a synthetic city in nuScenes' format",
    "create-gt-cache": "build the ground-truth caches that training and evaluation read",
    "gt-cache": "look into ground-truth caches: show, verify, lint, diff",
    "split-audit": "how much of an evaluation set lies in streets of the training set",
    "train": "train a model",
    "test": "score a trained model, draw what it predicts",
    "diagnose": "what a trained model uses, what it knows, where its gradients go",
    "analyze-run": "draw how runs went, and compare them",
    "eval-results": "score a results file without a model, or compare two",
    "convert-results": "results files between mapllava, MapTR, StreamMapNet and MapTracker",
    "convert-checkpoint": "a trained model's file to a Hugging Face folder and back",
    "fit-constant-map": "score the best constant map",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the first word says; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        return run_command(words[0], words[1:])
    asked = words[:1] in (["-h"], ["--help"])
    listed = "\n".join(f"  {name:<26} {what}" for name, what in COMMANDS.items())
    usage = f"usage: mapllava COMMAND [options]; mapllava COMMAND --help\n\n{listed}\n\n{STATUSES}"
    (sys.stdout if asked else sys.stderr).write(usage)
    return 0 if asked else 2


def tool(path: str) -> int:
    """Do what a file of ``tools/`` is named after; returns the exit status."""
    return run_command(Path(path).stem.replace("_", "-"), sys.argv[1:], f"python {sys.argv[0]}")


def run_command(name: str, argv: Sequence[str], prog: str | None = None) -> int:
    """Read a command line and do what it asks for; nothing heavy is imported before.

    A command's module has ``add_arguments(parser)`` and ``run(args)``, and may have ``DESCRIPTION`` (or
    else its own text), ``EPILOG``, ``INTERMIXED`` (positionals may stand among options) and ``INTERRUPTED``.

    Args:
        name: One of ``COMMANDS``.
        argv: The words after it.
        prog: What the help calls the program.

    Returns:
        The exit status.
    """
    begin()
    module = import_module(f"mapllava.cli.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(
        prog=prog or f"mapllava {name}",
        description=getattr(module, "DESCRIPTION", module.__doc__),
        epilog=f"{getattr(module, 'EPILOG', '')}\n{STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    read = parser.parse_intermixed_args if hasattr(module, "INTERMIXED") else parser.parse_args
    return exit_status(partial(module.run, read(argv)), getattr(module, "INTERRUPTED", ""))


if __name__ == "__main__":
    raise SystemExit(main())
