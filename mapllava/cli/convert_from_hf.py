"""Convert a Hugging Face folder that to-hf has written back to a trained model's file."""

from __future__ import annotations

import argparse
from pathlib import Path

from mapllava.checkpoint.hf_layout import from_hf
from mapllava.cli.command_line import say

EPILOG = """\
example:
  %(prog)s exported best_model.pth
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("folder", type=Path, help="folder that to-hf has written")
    parser.add_argument("checkpoint", type=Path, help="model file to write")


def run(args: argparse.Namespace) -> None:
    """Convert, and say where the result is."""
    say(f"written: {from_hf(args.folder, args.checkpoint)}")
