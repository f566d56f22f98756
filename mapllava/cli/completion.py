"""The script with which a shell completes ``mapllava``: commands, options, files, mapllava's own configs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import shtab

from mapllava.config.packaged import config_names
from mapllava.errors import MapLLaVAError

SHELLS = tuple(shtab.SUPPORTED_SHELLS)
_FOLDERS = ("dir", "folder", "dataroot")
_CONFIGS = {
    **shtab.FILE,
    "bash": "_mapllava_configs",
    "zsh": "_mapllava_configs",
    "fish": "(_mapllava_configs)",
}
_FUNCTIONS = {
    "bash": """
_mapllava_configs() {{
  compgen -W "{names}" -- $1
  compgen -f -X '!*.py' -- $1
  compgen -d -- $1
}}
""",
    "zsh": "\n_mapllava_configs() {{ compadd -- {names}; _files -g '*.py' }}\n",
    "fish": """
function _mapllava_configs
  printf '%s\\n' {names}
  __fish_complete_path (commandline -ct)
end
""",
}


class _Parser(argparse.ArgumentParser):
    """Notes what the word of each argument may be."""

    def add_argument(self, *words: Any, **settings: Any) -> argparse.Action:
        action = super().add_argument(*words, **settings)
        if (word := _word_of(action)) is not None:
            action.complete = word  # type: ignore[attr-defined]
        return action


def _word_of(action: argparse.Action) -> Any:
    if action.choices or action.nargs == 0:
        return None
    if action.dest == "config":
        return _CONFIGS
    if any(word in action.dest for word in _FOLDERS):
        return shtab.DIRECTORY
    free = action.type is None and not action.option_strings
    return shtab.FILE if free or action.type is Path else None


def script(
    commands: Mapping[str, str], set_up: Callable[[argparse.ArgumentParser, str], object], shell: str
) -> str:
    """What a shell reads.

    Args:
        commands: A command's words to a line of what it does.
        set_up: Gives a parser the options of a command.
        shell: One of ``SHELLS``.

    Raises:
        MapLLaVAError: If it is another.
    """
    if shell not in SHELLS:
        raise MapLLaVAError(f"--print-completion {shell}: name one of {', '.join(SHELLS)}")
    parser = _Parser(prog="mapllava")
    parser.add_argument("--version", action="store_true", help="the version")
    subparsers = parser.add_subparsers()
    groups: dict[str, Any] = {}
    for name, what in commands.items():
        first, _, last = name.partition(" ")
        if last and first not in groups:
            groups[first] = subparsers.add_parser(first, help=f"{first} …").add_subparsers()
        set_up((groups[first] if last else subparsers).add_parser(last or first, help=what), name)
    functions: Any = {key: text.format(names=" ".join(config_names())) for key, text in _FUNCTIONS.items()}
    return shtab.complete(parser, shell, preamble=functions)
