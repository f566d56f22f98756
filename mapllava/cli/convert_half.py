"""Copy a trained model's file with its numbers rounded to float16: half the bytes of float32."""

from __future__ import annotations

import argparse
from pathlib import Path

from mapllava.checkpoint.model_file import write_half
from mapllava.cli.command_line import say
from mapllava.errors import MapLLaVAError

EPILOG = """\
examples:
  %(prog)s outputs/RUN/best_model.pth small.pth
  %(prog)s outputs/PARSER/best_model.pth mapllava/demo/parser.pth
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("model", type=Path, help="a run's best_model.pth")
    parser.add_argument("copy", type=Path, help="file to write")


def run(args: argparse.Namespace) -> None:
    """Write the copy, and say how large it is."""
    if args.copy.exists():
        raise MapLLaVAError(f"{args.copy} is there already: name another file, or remove it")
    path = write_half(args.copy, args.model)
    before, after = (each.stat().st_size / 1e6 for each in (args.model, path))
    say(f"written: {path} ({after:.1f} MB, from {before:.1f} MB)")
