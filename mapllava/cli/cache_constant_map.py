"""Score the best constant map: the same lines for every sample, chosen on the training set."""

from __future__ import annotations

import argparse
from pathlib import Path

from mapllava import gt_cache
from mapllava.cli.command_line import say
from mapllava.evaluation import MapResults, save_results, score_results, score_table
from mapllava.evaluation.constant_map import fit_constant_map
from mapllava.evaluation.functional import PROTOCOLS
from mapllava.evaluation.scoring import data_name
from mapllava.gt_cache.schema import spec_of

EPILOG = """\
examples:
  %(prog)s --train gt_cache_v1.0-mini_train.pkl --val gt_cache_v1.0-mini_val.pkl
  %(prog)s --train TRAIN --val VAL --protocol strict --out constant.results.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--train", required=True, type=Path, help="GT cache the lines are chosen on")
    parser.add_argument("--val", required=True, type=Path, help="GT cache the map is scored on")
    parser.add_argument("--protocol", default="maptr", help=f"one of {', '.join(PROTOCOLS)} (default: maptr)")
    parser.add_argument("--max-lines", type=int, default=50, help="lines of the map (default: 50)")
    parser.add_argument("--candidates", type=int, default=1000, help="lines tried per class (default: 1000)")
    parser.add_argument("--max-samples", type=int, default=2000, help="training samples used (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of both draws (default: 0)")
    parser.add_argument("--out", type=Path, help="write the maps of the val samples as a results file")


def run(args: argparse.Namespace) -> None:
    """Fit, score, print, and write if asked to."""
    train = gt_cache.load(args.train)
    spec = spec_of(train["metainfo"])
    val = gt_cache.load(args.val, expected=spec)
    constant = fit_constant_map(
        [entry["polylines"] for entry in train["data_list"]],
        spec.num_classes,
        args.protocol,
        max_lines=args.max_lines,
        num_candidates=args.candidates,
        max_samples=args.max_samples,
        seed=args.seed,
    )
    split, version = val["metainfo"]["split"], val["metainfo"]["version"]
    tokens = [entry["sample_token"] for entry in val["data_list"]]
    results = MapResults(spec, split, constant.predict(tokens), version)
    score = score_results(results, val, args.protocol)
    what = f"Constant map of {len(constant.points)} lines from {train['metainfo']['split']}, Chamfer AP"
    say(score_table(score, data_name(split, version), what))
    if args.out is not None:
        say(save_results(args.out, results))
