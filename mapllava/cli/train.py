"""Train a model."""

from __future__ import annotations

import argparse
import os

from mmengine.config import Config

from mapllava.checkpoint.checkpoint_loader import checkpoint_file
from mapllava.cli.command_line import add_config, add_run_options, config_of
from mapllava.config.resolve import resolve
from mapllava.engine import build_runner
from mapllava.engine.runner.run_checks import check_data, check_parts, check_saving, check_validation
from mapllava.engine.runner.run_folder import run_folder
from mapllava.errors import MapLLaVAError

EPILOG = """\
examples:
  %(prog)s configs/stage2/synthetic.py
  %(prog)s configs/stage2/synthetic.py --resume auto
  %(prog)s configs/stage2/synthetic.py --work-dir outputs/mine --cfg-options train_cfg.max_epochs=1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_config(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="auto|CHECKPOINT",
        help="go on from a checkpoint; auto (or nothing) takes the run folder's newest that is whole",
    )
    parser.add_argument("--amp", action="store_true", help="bf16 autocast, on CPU and GPU")
    parser.add_argument(
        "--auto-scale-lr", action="store_true", help="scale the learning rate by the total batch size"
    )
    parser.add_argument("--seed", type=int, help="random seed (default: the config's)")
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="same numbers each time on the same machine, slower on GPUs",
    )
    add_run_options(parser)


def configure(args: argparse.Namespace) -> Config:
    """The config as the command line wants it, with its data found."""
    cfg = config_of(args)
    check_parts(cfg)
    check_saving(cfg)
    if args.deterministic:
        cfg.merge_from_dict({"randomness.deterministic": True, "env_cfg.cudnn_benchmark": False})
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
    if args.seed is not None:
        cfg.merge_from_dict({"randomness.seed": args.seed})
    if args.amp:
        cfg.optim_wrapper.type = "AutocastOptimWrapper"
        cfg.optim_wrapper.dtype = cfg.optim_wrapper.get("dtype") or "bfloat16"
    if args.auto_scale_lr:
        if not cfg.get("auto_scale_lr"):
            raise MapLLaVAError("--auto-scale-lr needs auto_scale_lr = dict(base_batch_size=…) in the config")
        cfg.auto_scale_lr.enable = True
    resolve(cfg)
    check_validation(cfg)
    check_data(cfg, ("train_dataloader", "val_dataloader"))
    return cfg


def run(args: argparse.Namespace) -> None:
    """Train as the command line says."""
    cfg = configure(args)
    requeued = os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
    said = (cfg.get("load_from") or "auto") if cfg.get("resume") else None  # MMEngine's words for --resume
    resume = args.resume or said or ("auto" if requeued else None)
    cfg.resume = False  # unless a checkpoint is found
    with run_folder(cfg, args.work_dir, resume) as started:
        if cfg.get("load_from"):
            cfg.load_from = str(checkpoint_file(cfg.load_from, "--cfg-options load_from=PATH, or None"))
        runner = build_runner(cfg)
        runner.register_hook(started)
        runner.train()
        runner.logger.info(f"Done: {runner.work_dir}")
