"""Six images and their calibration in, a picture and a JSON file of the map out.

python examples/predict.py outputs/RUN/best_model.pth data/synthetic/gt_cache/gt_cache_v1.0-trainval_val.pkl

The ground-truth cache serves as the list of samples: where the images are and how the cameras stand.
Its map is only drawn beside the prediction. For images of your own, call ``predict`` with their paths and
matrices.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import mapllava
from mapllava import gt_cache
from mapllava.apis import MapPredictor
from mapllava.cli.exit_status import exit_status
from mapllava.datasets import MapDataset
from mapllava.errors import MapLLaVAError
from mapllava.files import write_json
from mapllava.plugins import import_plugins
from mapllava.visualization import MapLines, camera_views, draw_sample, write_picture


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a run folder's best_model.pth")
    parser.add_argument("cache", type=Path, help="GT cache that names the images and their calibration")
    parser.add_argument("--plugins", nargs="+", default=[], help="modules or .py files that the model needs")
    parser.add_argument("--dataroot", help="folder of the images (default: the one that the cache names)")
    parser.add_argument("--sample", metavar="TOKEN", help="sample token (default: the cache's first)")
    parser.add_argument("--out-dir", type=Path, default=Path("predictions"), help="default: %(default)s")
    parser.add_argument("--score", type=float, default=0.3, help="lowest score drawn (default: %(default)s)")
    return parser.parse_args()


def find_sample(predictor: MapPredictor, args: argparse.Namespace) -> dict[str, Any]:
    """Paths, matrices and names of one sample, the matrices in the model's map frame."""
    meta = gt_cache.load(args.cache, check_sources=False)["metainfo"]
    dataroot = args.dataroot or meta["dataroot"]
    dataset = MapDataset(str(args.cache.resolve()), predictor.map_spec, dataroot)
    for index in range(len(dataset)):
        sample = dataset.get_data_info(index)
        if args.sample in (None, sample["sample_token"]):
            return sample
    raise MapLLaVAError(f"{args.cache} has no sample {args.sample}")


def as_json(lines: MapLines, sample: dict[str, Any], classes: tuple[str, ...]) -> dict[str, Any]:
    """Everything that was predicted, points in metres."""
    found = zip(lines.points, lines.labels, lines.scores if lines.scores is not None else [], strict=True)
    return {
        "sample_token": sample["sample_token"],
        "lines": [
            {"class": classes[label], "score": round(float(score), 4), "points": np.round(points, 3).tolist()}
            for points, label, score in found
        ],
    }


def main() -> int:
    """Predict one sample; returns the exit status."""
    args = parse_args()
    import_plugins(args.plugins)
    predictor = mapllava.load_model(args.model)
    sample = find_sample(predictor, args)
    lines = predictor.predict(sample["img_paths"], sample["cam2img"], sample["lidar2cam"])

    truth = MapLines(
        [line.points for line in sample["polylines"]], np.array([line.label for line in sample["polylines"]])
    )
    meta = {**sample, "map_spec": predictor.map_spec.to_config(), "ori_cam2img": sample["cam2img"]}
    picture = draw_sample(meta, camera_views(meta), truth, lines, args.score)
    stem = args.out_dir / sample["sample_token"]
    path = write_picture(stem.with_suffix(".png"), picture)
    content = as_json(lines, sample, predictor.map_spec.classes)
    write_json(stem.with_suffix(".json"), content)
    drawn = len(lines.above(args.score).points)
    print(f"{len(lines.points)} lines, {drawn} of them scored {args.score:g} or more: {path} and .json")
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
