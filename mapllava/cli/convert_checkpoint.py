"""Convert a trained model's file to a Hugging Face folder (safetensors) and back."""

from __future__ import annotations

import argparse
from pathlib import Path

import mapllava
from mapllava.checkpoint import read_model_file
from mapllava.checkpoint.hf_layout import check_plain_weights, from_hf, merged_state, to_hf
from mapllava.cli.command_line import add_plugins, say
from mapllava.errors import MapLLaVAError
from mapllava.plugins import import_plugins

EPILOG = """\
to-hf writes config.json and model.safetensors: vision_model.*, qformer.* and query_tokens as BLIP-2 calls
them, the language model as its causal LM does (model.* for LLaMA), the rest under its own names. Without
--full it holds what trained. from-hf gives the file back, its tensors bit-equal.

examples:
  %(prog)s to-hf outputs/RUN/best_model.pth exported
  %(prog)s to-hf outputs/RUN/best_model.pth exported --full --merge-lora
  %(prog)s to-hf best_model.pth exported --full --pretrained decoder=/weights/vicuna
  %(prog)s from-hf exported best_model.pth
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("to-hf", help="model file to folder")
    export.add_argument("checkpoint", type=Path, help="best_model.pth or another checkpoint of a run")
    export.add_argument("folder", type=Path, help="folder to write; must not exist, or be empty")
    export.add_argument("--full", action="store_true", help="write base weights too; they must be at hand")
    export.add_argument("--merge-lora", action="store_true", help="with --full: merge adapters into them")
    export.add_argument(
        "--pretrained",
        nargs="+",
        default=[],
        metavar="COMPONENT=FOLDER",
        help="where base weights have moved to, for instance decoder=/weights/vicuna-7b-v1.5",
    )
    add_plugins(export)
    back = commands.add_parser("from-hf", help="folder to model file")
    back.add_argument("folder", type=Path, help="folder that to-hf has written")
    back.add_argument("checkpoint", type=Path, help="model file to write")


def export(args: argparse.Namespace) -> Path:
    """Model file to folder."""
    import_plugins(args.plugins)
    file = read_model_file(args.checkpoint)
    if not args.full:
        return to_hf(file, args.folder)
    check_plain_weights(file)
    moved = dict(entry.partition("=")[::2] for entry in args.pretrained)
    if not all(moved.values()):
        raise MapLLaVAError(f"--pretrained {' '.join(args.pretrained)}: write COMPONENT=FOLDER")
    model = mapllava.load_model(args.checkpoint, "cpu", moved).model
    state = merged_state(model) if args.merge_lora else model.state_dict()
    return to_hf(file, args.folder, state, args.merge_lora)


def run(args: argparse.Namespace) -> None:
    """Convert, and say where the result is."""
    if args.command == "to-hf" and (args.merge_lora or args.pretrained) and not args.full:
        raise MapLLaVAError("--merge-lora and --pretrained concern base weights: add --full")
    path = export(args) if args.command == "to-hf" else from_hf(args.folder, args.checkpoint)
    say(f"written: {path}")
