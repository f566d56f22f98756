"""Make the package's demo folder (model, card, sample) from a run of `make demo`."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from mapllava.cli.command_line import say

EPILOG = """\
examples:
  %(prog)s outputs/RUN/best_model.pth mapllava/demo --cache gt_cache_v1.0-trainval_val.pkl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add = parser.add_argument
    add("model", type=Path, help="the run's best_model.pth")
    add("folder", type=Path, help="folder to write; its model, card and sample are replaced")
    add("--cache", type=Path, required=True, help="GT cache of held-out scenes: scores, and gives the sample")
    add("--dataroot", type=Path, help="folder of the images (default: the one that the cache names)")
    add("--config", default="stage2/synthetic", help="what it was trained with (default: %(default)s)")
    add("--command", default="make demo", help="how it was made, for the card (default: %(default)s)")
    add("--commit", help="of the training, for the card (default: the working folder's)")


def run(args: argparse.Namespace) -> None:
    """Make it and say what it holds."""
    from mapllava.apis.demo_model import write_demo
    from mapllava.files import read_json_object

    made_by = {"config": args.config, "command": args.command, "commit": args.commit or commit()}
    card = write_demo(args.folder, args.model, args.cache, made_by, args.dataroot)
    score = read_json_object(card)["score"]
    low, high = score["interval_95"]
    say(
        f"{card}: mAP {100 * score['value']:.1f} ({100 * low:.1f} to {100 * high:.1f}) on {score['data']}, "
        f"protocol {score['protocol']}, {score['samples']} samples of {score['scenes']} scenes"
    )


def commit() -> str:
    """The working folder's commit; 'unknown' where there is none."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
