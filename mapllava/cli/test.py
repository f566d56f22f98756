"""Score a trained model, draw what it predicts, or show that the score is honest."""

from __future__ import annotations

import argparse

from mmengine.config import Config

from mapllava import gt_cache
from mapllava.checkpoint.checkpoint_loader import checkpoint_file
from mapllava.cli.command_line import add_config, add_run_options, config_of, say
from mapllava.config.resolve import cached_datasets, resolve
from mapllava.engine import build_runner
from mapllava.engine.hooks.ablation_hook import ABLATIONS
from mapllava.engine.runner.run_checks import check_data
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.ground_truth_check import score_ground_truth
from mapllava.structures.frames import MapSpec

BOTH = ("train_dataloader", "test_dataloader")
INTERMIXED = True
EPILOG = """\
examples:
  %(prog)s configs/stage2/synthetic.py outputs/RUN/best_model.pth --show-dir pictures
  %(prog)s configs/stage2/synthetic.py outputs/RUN/best_model.pth --ablate blank
  %(prog)s configs/stage2/synthetic.py --gt-as-prediction
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_config(parser)
    parser.add_argument("checkpoint", nargs="?", help="for instance best_model.pth of a run folder")
    parser.add_argument("--show-dir", help="folder for pictures: ground truth, prediction, cameras")
    parser.add_argument(
        "--out", metavar="FILE.json", help="write the predictions; they can be scored by themselves"
    )
    parser.add_argument(
        "--ablate", choices=ABLATIONS, help="spoil the input: a model that looks scores far lower"
    )
    parser.add_argument(
        "--gt-as-prediction",
        action="store_true",
        help="score the ground truth of both splits as predicted; needs no checkpoint, must give 100",
    )
    add_run_options(parser)


def configure(args: argparse.Namespace) -> Config:
    """The config as the command line wants it, with its data found."""
    cfg = resolve(config_of(args))
    check_data(cfg, ("test_dataloader",))
    if args.checkpoint is None:
        raise MapLLaVAError("CHECKPOINT is missing: mapllava test CONFIG CHECKPOINT")
    checkpoint = checkpoint_file(args.checkpoint)
    cfg.load_from, cfg.resume = str(checkpoint), False
    cfg.work_dir = args.work_dir or str(checkpoint.parent / "test")
    hooks = list(cfg.get("custom_hooks") or [])
    if args.ablate:
        hooks.append({"type": "AblationHook", "mode": args.ablate})
        cfg.ablation = args.ablate
        cfg.test_evaluator.title = f"ABLATION {args.ablate}: Chamfer AP"
    if args.show_dir:
        hooks.append({"type": "MapVisualizationHook", "out_dir": args.show_dir})
    if args.out:
        cfg.test_evaluator.outfile_prefix = args.out.removesuffix(".json").removesuffix(".results")
    cfg.custom_hooks = hooks
    return cfg


def run(args: argparse.Namespace) -> None:
    """Test."""
    if args.gt_as_prediction:
        cfg = resolve(config_of(args))
        check_data(cfg, BOTH)
        spec = MapSpec.from_config(dict(cfg.map_spec))
        for _, _, cache in cached_datasets(cfg, BOTH):
            say(score_ground_truth(gt_cache.load(cache, expected=spec)))
        return
    build_runner(configure(args)).test()
