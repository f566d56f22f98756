"""The command ``mapllava``: ``mapllava cache show`` is what the module ``mapllava.cli.cache_show`` does."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from mapllava.cli.exit_status import STATUSES, exit_status
from mapllava.startup import begin
from mapllava.version import __version__

COMMANDS = {
    "doctor": "look at this machine and a config before training",
    "city": "make a synthetic city in nuScenes' format",
    "data check": "look at a city of one's own before it becomes ground truth: all faults, pictures",
    "data export": "scenes of the synthetic city as a city of one's own, an example to copy",
    "cache create": "build the ground-truth caches that training and evaluation read",
    "cache show": "draw what a cache holds: samples on the map, from above and in the cameras",
    "cache verify": "compute samples anew from tables and maps, and compare",
    "cache lint": "find broken lines, impossible rigs, poses off the road",
    "cache diff": "what two caches do not share",
    "cache audit": "how much of an evaluation set lies in streets of the training set",
    "cache constant-map": "score the best constant map, which a model has to beat",
    "configs list": "mapllava's own configs, each with a line of what it is",
    "configs copy": "begin a config of one's own from one of them",
    "configs show": "a config as a run builds from it, and where each value comes from",
    "get": "a small pretrained language model, as a folder that a config names",
    "plan": "what a config needs, and which settings make it fit a GPU",
    "train": "train a model",
    "test": "score a trained model, draw what it predicts",
    "predict": "draw maps from the cameras of any car: a folder, videos; --demo needs nothing",
    "ask": "ask a predicted map: how far, how many, on which side; --demo needs nothing",
    "analyze": "draw how runs went, and compare them",
    "diagnose": "what a trained model uses, what it knows, where its gradients go",
    "rig check": "look at a rig of one's own cameras: faults, coverage, the ground in its images",
    "rig export": "a sample or scene of a data set as a folder with rig.json, to write one's own after",
    "report": "one page of HTML: scores, curves, errors, maps to zoom into",
    "eval": "score a results file without a model, or compare two",
    "questions create": "questions about a GT cache's samples, with their true answers",
    "questions answer": "answer them from a results file",
    "questions score": "how many answers are right, of any system",
    "browse": "samples as pictures: after augmentation, predictions side by side, best and worst",
    "video": "a scene as a video: cameras, map, prediction and ground truth",
    "convert results": "results files between mapllava, MapTR, StreamMapNet and MapTracker",
    "convert geojson": "a results file for QGIS, geopandas and other GIS, on earth where it is known",
    "convert to-hf": "a trained model's file to a Hugging Face folder",
    "convert from-hf": "such a folder back to a model file",
    "convert half": "a model file's copy in float16, half as large",
    "convert demo": "the package's demo folder from a run of make demo",
}
"""What there is, in the order of ``mapllava --help``. A command of two words is one of its first word's."""

RENAMED = {
    "analyze-run": "analyze",
    "convert-checkpoint": "convert to-hf or convert from-hf",
    "convert-results": "convert results",
    "create-gt-cache": "cache create",
    "create-synthetic-nuscenes": "city",
    "eval-results": "eval",
    "fit-constant-map": "cache constant-map",
    "gt-cache": "cache show, cache verify, cache lint or cache diff",
    "print-config": "configs show",
    "split-audit": "cache audit",
}
"""Commands of earlier versions, and what they are called now."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the first words say; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    first = words[0] if words else ""
    if first in COMMANDS:
        return run_command(first, words[1:])
    if members := [name for name in COMMANDS if name.startswith(f"{first} ")]:
        return run_one_of(members, words[1:], f"mapllava {first}")
    if first == "--version":
        sys.stdout.write(f"mapllava {__version__}\n")
        return 0
    if first in ("-h", "--help"):
        sys.stdout.write(overview())
        return 0
    if first == "--print-completion" and len(words) == 2:
        return exit_status(partial(_print_completion, words[1]))
    sys.stderr.write(f"error: {_unknown(words)}\n" if words else overview())
    return 2


def overview() -> str:
    """All commands, a line each, with an example."""
    listed = "\n".join(f"  {name:<20} {what}" for name, what in COMMANDS.items())
    return (
        f"usage: mapllava COMMAND [options]; mapllava COMMAND --help; mapllava --version;\n"
        f"       mapllava --print-completion bash|zsh|fish|tcsh|powershell\n\n{listed}\n\n"
        f"{STATUSES}\nexamples:\n  mapllava doctor\n  mapllava predict --demo --out map\n"
        "  mapllava train --help\n"
        "  mapllava --print-completion bash > ~/.local/share/bash-completion/completions/mapllava\n"
    )


def _print_completion(shell: str) -> None:
    from mapllava.cli.completion import script  # here, because plain use does not need it

    sys.stdout.write(script(COMMANDS, set_up, shell))


def _unknown(words: Sequence[str]) -> str:
    if words[0] in RENAMED:
        return f"mapllava {words[0]} is called mapllava {RENAMED[words[0]]} now"
    known = {word: name for name in reversed(COMMANDS) for word in (name, *name.split())}
    near = difflib.get_close_matches(" ".join(words[:2]), COMMANDS, 1)  # two words with a slip in the first
    near += [known[word] for word in difflib.get_close_matches(words[0], known, 3)]
    near += [name for name in COMMANDS if words[0] in name.split()]
    meant = " or ".join(f"mapllava {name}" for name in dict.fromkeys(near))
    there = f"did you mean {meant}? " if meant else ""
    return f"mapllava has no command '{words[0]}': {there}mapllava --help lists what there is"


def tool(*names: str) -> int:
    """Do what a file of ``tools/`` is the door to: a command, or one of several by its last word."""
    prog = f"python {sys.argv[0]}"
    if len(names) == 1:
        return run_command(names[0], sys.argv[1:], prog)
    return run_one_of(names, sys.argv[1:], prog)


def run_one_of(names: Sequence[str], argv: Sequence[str], prog: str) -> int:
    """Do one of several commands; nothing of the others is imported.

    Args:
        names: Of ``COMMANDS``; the first word of ``argv`` is the last of one of them.
        argv: The words after the program.
        prog: What the help calls the program.

    Returns:
        The exit status.
    """
    members = {name.split()[-1]: name for name in names}
    if argv and argv[0] in members:
        return run_command(members[argv[0]], argv[1:], f"{prog} {argv[0]}")
    parser = argparse.ArgumentParser(
        prog=prog,
        epilog=f"{STATUSES}\nexample:\n  %(prog)s {next(iter(members))} --help\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for word, name in members.items():
        commands.add_parser(word, help=COMMANDS[name])
    parser.parse_args(argv)  # says what is wrong, or helps, and leaves
    return 2


def run_command(name: str, argv: Sequence[str], prog: str | None = None) -> int:
    """Read a command line and do what it asks for; nothing heavy is imported before.

    Args:
        name: One of ``COMMANDS``.
        argv: The words after it.
        prog: What the help calls the program.

    Returns:
        The exit status.
    """
    begin()
    parser = argparse.ArgumentParser(prog=prog or f"mapllava {name}")
    module = set_up(parser, name)
    read = parser.parse_intermixed_args if hasattr(module, "INTERMIXED") else parser.parse_args
    return exit_status(partial(module.run, read(argv)), getattr(module, "INTERRUPTED", ""))


def set_up(parser: argparse.ArgumentParser, name: str) -> Any:
    """Give a parser the options and the texts of a command.

    A command's module has ``add_arguments(parser)``, ``run(args)`` and ``EPILOG`` with examples, and may have
    ``DESCRIPTION`` (or else its own text), ``INTERMIXED`` (positionals may stand among options) and
    ``INTERRUPTED``, what to tell a user who stops it.

    Args:
        parser: Gets them.
        name: One of ``COMMANDS``.

    Returns:
        The module.
    """
    module = import_module(f"mapllava.cli.{name.replace(' ', '_').replace('-', '_')}")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = getattr(module, "DESCRIPTION", module.__doc__)
    parser.epilog = f"{STATUSES}\n{module.EPILOG}"
    module.add_arguments(parser)
    return module


if __name__ == "__main__":
    raise SystemExit(main())
