"""Score a results file without a model, or compare two of them honestly."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mapllava import gt_cache
from mapllava.cli.command_line import add_scoring_options, say
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.formats import read_results
from mapllava.evaluation.report import comparison_text, comparison_values, evaluation_text, evaluation_values
from mapllava.evaluation.scoring import (
    MEASURES,
    Evaluation,
    compare,
    evaluate_maps,
    pair_with_cache,
    read_scene_names,
)
from mapllava.files import write_json
from mapllava.progress import busy

DESCRIPTION = """\
Score the maps of a results file against a GT cache: AP per class and threshold under a named
protocol, with a 95 % interval from a bootstrap over scenes. With two files, also the difference of
the second to the first with its interval, and whether that excludes 0.

Results files of mapllava, MapTR (nuscmap_results.json), StreamMapNet and MapTracker
(submission_vector.json) are told by their content; frame, axes and class order are converted.
"""
EPILOG = """\
examples:
  %(prog)s run.results.json --cache gt_cache_v1.0-trainval_val.pkl
  %(prog)s old.json new.json --cache CACHE --protocol strict --bootstrap 2000
  %(prog)s nuscmap_results.json --cache CACHE --measures all --json score.json
  %(prog)s submission_vector.json --from maptracker --cache CACHE --protocol streammapnet
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_scoring_options(parser)
    add = parser.add_argument
    add("--cache", required=True, type=Path, help="GT cache of the split that was predicted")
    add(
        "--measures",
        nargs="+",
        default=[],
        choices=[*MEASURES, "all"],
        help="chamfer: distance of matched pairs; f1: precision and recall at the best F1; ece: "
        "calibration of the scores; iou: overlap of drawn lines",
    )
    add("--line-width", type=float, default=0.75, metavar="M", help="iou: metres (default: 0.75)")
    add("--cell", type=float, default=0.15, metavar="M", help="iou: cell of the grid (default: 0.15)")
    add("--json", type=Path, metavar="OUT", help="write all values to this file")


def evaluate(args: argparse.Namespace) -> list[Evaluation]:
    """Every file's evaluation."""
    cache, scenes = gt_cache.load(args.cache), read_scene_names(args.scenes)
    measures = MEASURES if "all" in args.measures else args.measures
    out, shown = [], sys.stderr.isatty()
    for path in args.results:
        with busy(f"reading {path}", shown):
            results = read_results(path, cache, args.kind)
            maps = pair_with_cache(results, cache, args.protocol, args.thresholds, scenes)
        sizes = {"line_width": args.line_width, "cell": args.cell, "progress": shown}
        out.append(evaluate_maps(maps, str(path), measures, args.bootstrap, args.seed, **sizes))
    return out


def run(args: argparse.Namespace) -> None:
    """Score, print, and write if asked to."""
    if len(args.results) > 2:
        raise MapLLaVAError(f"{len(args.results)} results files: give one, or two to compare")
    done = evaluate(args)
    say("\n\n".join(evaluation_text(one) for one in done))
    values = evaluation_values(done[0])
    if len(done) == 2:
        difference = compare(*done)
        say(f"\n{comparison_text(difference)}")
        values = comparison_values(difference)
    if args.json is not None:
        write_json(args.json, values, allow_nan=False)
