"""Convert a trained model's file to a Hugging Face folder (safetensors)."""

from __future__ import annotations

import argparse
from pathlib import Path

import mapllava
from mapllava.checkpoint import only_written, read_model_file
from mapllava.checkpoint.hf_layout import check_plain_weights, merged_state, to_hf
from mapllava.cli.command_line import add_plugins, say
from mapllava.errors import MapLLaVAError
from mapllava.plugins import import_plugins

DESCRIPTION = """\
Write config.json and model.safetensors: vision_model.*, qformer.* and query_tokens as BLIP-2 calls them,
the language model as its causal LM does (model.* for LLaMA), the rest under its own names. Without --full
the folder holds what trained. Adapters of the language model are also in adapters/NAME, as peft loads them:
a request parser's is adapters/ask. from-hf gives the file back, its tensors bit-equal.
"""
EPILOG = """\
examples:
  %(prog)s outputs/RUN/best_model.pth exported
  %(prog)s outputs/RUN/best_model.pth exported --full --merge-lora
  %(prog)s best_model.pth exported --full --pretrained decoder=/weights/vicuna
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("checkpoint", type=Path, help="best_model.pth or another checkpoint of a run")
    parser.add_argument("folder", type=Path, help="folder to write; must not exist, or be empty")
    parser.add_argument("--full", action="store_true", help="write base weights too; they must be at hand")
    parser.add_argument("--merge-lora", action="store_true", help="with --full: merge adapters into them")
    parser.add_argument(
        "--pretrained",
        nargs="+",
        default=[],
        metavar="COMPONENT=FOLDER",
        help="where base weights have moved to, for instance decoder=/weights/vicuna-7b-v1.5",
    )
    add_plugins(parser)


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
    with only_written():
        model = mapllava.load_model(args.checkpoint, "cpu", moved).model
    state = merged_state(model) if args.merge_lora else model.state_dict()
    return to_hf(file, args.folder, state, args.merge_lora)


def run(args: argparse.Namespace) -> None:
    """Convert, and say where the result is."""
    if (args.merge_lora or args.pretrained) and not args.full:
        raise MapLLaVAError("--merge-lora and --pretrained concern base weights: add --full")
    say(f"written: {export(args)}")
