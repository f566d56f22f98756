"""Score a trained model, draw what it predicts, or show that the score is honest."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from mapllava import gt_cache
from mapllava.apis.demo_files import folder_beside
from mapllava.checkpoint.checkpoint_loader import checkpoint_file
from mapllava.cli.command_line import add_config, add_run_options, config_of, say
from mapllava.config.resolve import cached_datasets, leaf_datasets, resolve
from mapllava.datasets.transforms.corruption import CORRUPTIONS, CorruptMultiView
from mapllava.engine import build_runner
from mapllava.engine.hooks.ablation_hook import ABLATIONS
from mapllava.engine.runner.run_checks import check_data
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.ground_truth_check import score_ground_truth
from mapllava.evaluation.scoring import data_name
from mapllava.files import write_json
from mapllava.structures.frames import MapSpec

BOTH = ("train_dataloader", "test_dataloader")
INTERMIXED = True
EPILOG = """\
examples:
  %(prog)s configs/stage2/synthetic.py outputs/RUN/best_model.pth --show-dir pictures
  %(prog)s configs/stage2/synthetic.py outputs/RUN/best_model.pth --ablate blank
  %(prog)s configs/stage2/synthetic.py outputs/RUN/best_model.pth --corrupt missing:1 rain:3
  %(prog)s configs/stage2/synthetic.py outputs/RUN/best_model.pth --corrupt all
  %(prog)s configs/stage2/synthetic.py --gt-as-prediction
"""
_LOADER = "LoadMultiViewImages"  # behind it the images are there, and not yet cropped
_LEVEL = 2


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
        "--corrupt",
        nargs="+",
        metavar="NAME[:LEVEL]",
        type=corruptions,
        help="score it on spoilt images as well, and say what each costs: "
        + ", ".join(f"{name} ({each.title})" for name, each in CORRUPTIONS.items())
        + f", or all; level 1 to 3, {_LEVEL} by default",
    )
    parser.add_argument(
        "--gt-as-prediction",
        action="store_true",
        help="score the ground truth of both splits as predicted; needs no checkpoint, must give 100",
    )
    add_run_options(parser)


def corruptions(text: str) -> list[CorruptMultiView]:
    """``NAME[:LEVEL]`` of the command line; ``all`` is every one."""
    name, _, level = text.partition(":")
    if level not in ("", "1", "2", "3"):
        raise argparse.ArgumentTypeError(f"{text!r}: a level is 1, 2 or 3")
    if name not in (*CORRUPTIONS, "all"):
        raise argparse.ArgumentTypeError(f"{text!r}: use one of {', '.join(CORRUPTIONS)}, or all")
    names = CORRUPTIONS if name == "all" else [name]
    return [CorruptMultiView(each, int(level or _LEVEL)) for each in names]


def configure(args: argparse.Namespace, corruption: CorruptMultiView | None = None) -> Config:
    """The config as the command line wants it, with its data found, and perhaps spoilt."""
    cfg = resolve(config_of(args))
    check_data(cfg, ("test_dataloader",))
    if args.checkpoint is None:
        raise MapLLaVAError("CHECKPOINT is missing: mapllava test CONFIG CHECKPOINT")
    checkpoint = checkpoint_file(args.checkpoint)
    cfg.load_from, cfg.resume = str(checkpoint), False
    cfg.work_dir = args.work_dir or str(folder_beside(checkpoint, "test"))
    hooks = list(cfg.get("custom_hooks") or [])
    if args.ablate:
        hooks.append({"type": "AblationHook", "mode": args.ablate})
        cfg.ablation = args.ablate
        cfg.test_evaluator.title = f"ABLATION {args.ablate}: Chamfer AP"
    label = "" if corruption is None else f"_{corruption.name}_{corruption.level}"
    if args.show_dir:
        hooks.append({"type": "MapVisualizationHook", "out_dir": f"{args.show_dir}{label}"})
    if args.out:
        stem = args.out.removesuffix(".json").removesuffix(".results")
        cfg.test_evaluator.outfile_prefix = f"{stem}{label}"
    cfg.custom_hooks = hooks
    if corruption is not None:
        spoil(cfg, corruption)
    return cfg


def spoil(cfg: Config, corruption: CorruptMultiView) -> None:
    """Put a corruption into the test pipelines, where the images have been read.

    Raises:
        MapLLaVAError: If a pipeline reads them in a way of its own.
    """
    for where, dataset in leaf_datasets(cfg, "test_dataloader"):
        steps = list(dataset["pipeline"])
        loaders = [index for index, step in enumerate(steps) if step["type"] == _LOADER]
        if not loaders:
            raise MapLLaVAError(
                f"--corrupt: {where}.pipeline has no {_LOADER}: put dict(type='CorruptMultiView', "
                f"name='{corruption.name}', level={corruption.level}) where its images are there"
            )
        step = {"type": "CorruptMultiView", "name": corruption.name, "level": corruption.level}
        dataset["pipeline"] = [*steps[: loaders[0] + 1], step, *steps[loaders[0] + 1 :]]
    cfg.corruption = f"{corruption.name}:{corruption.level}"
    cfg.test_evaluator.title = f"CORRUPTION {cfg.corruption}: Chamfer AP"


def score_corrupted(args: argparse.Namespace, asked: Sequence[CorruptMultiView]) -> None:
    """Score the model on images as they are and under every corruption, and show what each costs."""
    configs = [(each, configure(args, each)) for each in (None, *asked)]  # what is wrong is said at once
    cfg = configs[0][1]
    rows, data = [], ""
    for each, spoilt in configs:
        runner = build_runner(spoilt)
        if each is None:  # before the first pass: none is in vain
            cameras = len(runner.test_dataloader.dataset.get_data_info(0)["cam_names"])
            for corruption in asked:
                corruption.check_cameras(cameras)
        rows.append((each, 100 * runner.test()["mAP"]))
        meta = runner.test_dataloader.dataset.metainfo
        data = data_name(str(meta.get("split")), meta.get("version"))
    clean, spoilt = rows[0][1], [value for _, value in rows[1:]]
    mean = sum(spoilt) / len(spoilt)
    table = Table("corruption", "level", "strength", title=f"mAP under corruption, percent: split {data}")
    for column in ("mAP", "lost", "left, %"):
        table.add_column(column, justify="right")
    for each, value in rows:
        named = ("none", "", "") if each is None else (each.name, str(each.level), strength(each))
        table.add_row(*named, *figures(value, clean))
    table.add_row("mean of them", "", "", *figures(mean, clean))
    Console(soft_wrap=True).print(table)
    found = {f"{each.name}:{each.level}": value for each, value in rows if each is not None}
    content = {"checkpoint": cfg.load_from, "data": data, "clean": clean, "corrupted": found, "mean": mean}
    say(f"written: {write_json(Path(cfg.work_dir) / 'corruptions.json', content)}")


def strength(corruption: CorruptMultiView) -> str:
    """What a level of a corruption is, for people."""
    kind = CORRUPTIONS[corruption.name]
    return f"{kind.strengths[corruption.level - 1]:g} ({kind.title})"


def figures(value: float, clean: float) -> list[str]:
    """mAP, what is lost of the clean one, and the share that is left."""
    return [f"{value:.1f}", f"{clean - value:.1f}", f"{100 * value / clean:.0f}" if clean else ""]


def run(args: argparse.Namespace) -> None:
    """Test."""
    if args.gt_as_prediction:
        cfg = resolve(config_of(args))
        check_data(cfg, BOTH)
        spec = MapSpec.from_config(dict(cfg.map_spec))
        for _, _, cache in cached_datasets(cfg, BOTH):
            say(score_ground_truth(gt_cache.load(cache, expected=spec)))
        return
    if args.corrupt:
        if args.ablate:
            raise MapLLaVAError("--corrupt and --ablate: one at a time, or nobody knows what costs what")
        score_corrupted(args, [each for several in args.corrupt for each in several])
        return
    build_runner(configure(args)).test()
