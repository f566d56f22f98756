"""What `mapllava predict` costs beside its model: reading ahead, results, GeoJSON, pictures.

The demo's sample, copied as often as asked for, goes through the model alone, prepared, with nothing else
running; then through all that `predict` does. Start-up (imports, loading) is left out of both. The demo's
model is tiny; ``--llm LAYERSxWIDTH`` gives it a language model of that size, at random, which makes the
model the bottleneck as a real one is. Run it from the repository's root::

    python benchmarks/predict.py
    python benchmarks/predict.py --llm 2x128 8x2048 --pictures png svg
"""

from __future__ import annotations

import argparse
import copy
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import finish, parser, show_table
from mmengine.registry import DefaultScope

from mapllava.apis import MapInferencer, MapPredictor, demo_files, load_model
from mapllava.apis.prediction_folder import PredictionFolder
from mapllava.checkpoint import read_model_file
from mapllava.cli.exit_status import exit_status
from mapllava.registry import MODELS, SCOPE
from mapllava.sources.folder import open_input


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    made = parser(__doc__)
    made.add_argument("--samples", type=int, default=24, help="default: %(default)s")
    made.add_argument(
        "--llm", nargs="+", default=["2x128", "8x2048"], help="its layers x width (default: %(default)s)"
    )
    made.add_argument("--pictures", nargs="*", default=["png"], choices=("png", "svg"))
    made.add_argument("--workers", type=int, default=1, help="processes that draw (default: %(default)s)")
    made.add_argument(
        "--threads", type=int, default=1, help="PyTorch's, for the model (default: %(default)s)"
    )
    return made.parse_args()


def predictor_of(size: str) -> MapPredictor:
    """The demo's preprocessing with a language model of that size, its own where it is of that size."""
    layers, width = map(int, size.split("x"))
    predictor = load_model(demo_files.model_file(), "cpu")
    file = read_model_file(demo_files.model_file())
    config: dict[str, Any] = copy.deepcopy(file.meta["full_config"]["model"])
    llm = config["decoder"]["architecture"]
    if (llm["num_hidden_layers"], llm["hidden_size"]) != (layers, width):
        llm.update(num_hidden_layers=layers, hidden_size=width, intermediate_size=3 * width)
        with DefaultScope.overwrite_default_scope(SCOPE):
            predictor.model = MODELS.build(config).eval()
    return predictor


def measure(args: argparse.Namespace, folder: Path, size: str) -> dict[str, float]:
    """Seconds per sample of `predict` as a whole and of the model alone."""
    inferencer = MapInferencer(predictor_of(size), threads=1)
    samples = list(open_input(folder))
    prepared = [inferencer.prepare(sample) for sample in samples]
    inferencer.predictor.predict_prepared(prepared[:1])
    start = time.perf_counter()
    for sample in prepared:
        inferencer.predictor.predict_prepared([sample])
    alone = time.perf_counter() - start
    out = folder.parent / f"out_{size}"
    with PredictionFolder(out, inferencer.map_spec, None, args.pictures, args.workers) as files:
        files.wait_for_workers()
        start = time.perf_counter()
        for found in inferencer.stream(samples):
            files.add(found)
    whole = time.perf_counter() - start
    count = len(samples)
    return {"whole": whole / count, "model_within": inferencer.model_seconds / count, "alone": alone / count}


def main() -> int:
    """Measure, print and write."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    found = {}
    with tempfile.TemporaryDirectory() as root:
        drive = Path(root) / "drive"
        drive.mkdir()
        sample = demo_files.sample_folder()
        shutil.copy(sample / "rig.json", drive)
        for number in range(args.samples):
            shutil.copytree(sample, drive / f"m{number}", ignore=shutil.ignore_patterns("*.json"))
        for size in args.llm:
            found[size] = measure(args, drive, size)
    rows = [
        [
            name,
            *(f"{1000 * times[key]:.0f}" for key in ("alone", "whole")),
            f"{times['whole'] / times['alone']:.2f}",
        ]
        for name, times in found.items()
    ]
    kinds = " and ".join(args.pictures) or "no picture"
    show_table(
        f"{args.samples} samples of 6 images 384 x 216, {kinds} of each, {args.workers} drawing process(es), "
        f"{args.threads} thread(s) for the model",
        ["language model", "model alone, ms a sample", "predict, ms a sample", "ratio"],
        rows,
    )
    finish(args.out, {"samples": args.samples, "times": found}, "torch", "matplotlib")
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
