"""Input pipeline per core: our reduced decoding against decoding at full size and resizing.

Both read the same 1600 x 900 JPEG files and end in the same packed uint8 tensor (6, 3, h, w); they
take turns, sample by sample, in one process with one thread, so that a slow moment of the machine
strikes both. Run it from the repository's root::

    python benchmarks/pipeline.py                     # makes its own pictures
    python benchmarks/pipeline.py --samples 2 --rounds 2 --out pipeline.json
    python benchmarks/pipeline.py --dataroot data/nuscenes --cache gt_cache_v1.0-mini_train.pkl
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import finish, parser, say, show_table
from mmengine.dataset import Compose

from mapllava.cli.exit_status import exit_status
from mapllava.datasets.transforms import (
    CropMultiView,
    LoadMultiViewImages,
    PackMapInputs,
    PhotoMetricDistortionMultiView,
    RandomLateralFlip,
    RasterizeBEV,
    ResamplePolylines,
)
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")


def picture(rng: np.random.Generator, width: int = 1600, height: int = 900) -> np.ndarray:
    """Sky, edges and a softly textured ground, (H, W, 3) uint8; about 150 KiB as nuScenes' JPEGs have."""
    base = rng.uniform(60, 200, (height // 60, width // 60, 3))
    img = cv2.resize(base, (width, height), interpolation=cv2.INTER_CUBIC)
    img[: height // 3] = [210, 190, 170]
    for _ in range(30):
        a, b = rng.integers(0, (width, height), (2, 2))
        colour = rng.uniform(20, 240, 3)
        cv2.line(
            img, tuple(map(int, a)), tuple(map(int, b)), tuple(map(float, colour)), int(rng.integers(1, 9))
        )
    texture = cv2.resize(rng.normal(0, 2.5, (height // 3, width // 3)), (width, height - height // 3))
    img[height // 3 :] += texture[..., None]
    img = cv2.GaussianBlur(img, (5, 5), 0)  # a lens; without it the files are twice nuScenes' size
    return np.clip(img, 0, 255).astype(np.uint8)


def own_samples(folder: Path, count: int, quality: int) -> list[dict[str, Any]]:
    """Write ``count`` samples of six JPEG files and return what the data set would hand out."""
    rng = np.random.default_rng(0)
    samples = []
    for index in range(count):
        paths = []
        for name in CAMERAS:
            path = folder / f"{index}_{name}.jpg"
            cv2.imwrite(str(path), picture(rng), [cv2.IMWRITE_JPEG_QUALITY, quality])
            paths.append(str(path))
        samples.append(annotate(paths, rng))
    return samples


def annotate(paths: list[str], rng: np.random.Generator) -> dict[str, Any]:
    """Cameras and ten polylines for six image paths."""
    k = np.array([[1260.0, 0, 800], [0, 1260, 450], [0, 0, 1]])
    lines = [Polyline(i % 3, np.cumsum(rng.uniform(-1, 2, (40, 2)), 0) - 12) for i in range(10)]
    return {
        "sample_token": "benchmark",
        "cam_names": list(CAMERAS),
        "img_paths": paths,
        "cam2img": np.stack([k] * 6),
        "lidar2cam": np.stack([np.eye(4)] * 6),
        "map_spec": MapSpec(),
        "polylines": lines,
    }


def cached_samples(dataroot: str, cache: str, count: int) -> list[dict[str, Any]]:
    """The first ``count`` samples of a GT cache."""
    from mapllava import gt_cache
    from mapllava.datasets import NuScenesMapDataset

    path = Path(dataroot) / "gt_cache" / cache
    meta = gt_cache.load(str(path))["metainfo"]
    spec = {key: meta[key] for key in ("frame", "roi", "classes")}
    dataset = NuScenesMapDataset(ann_file=str(path), data_root=dataroot, map_spec=spec, indices=count)
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def reference(sample: dict[str, Any], size: tuple[int, int], top: int) -> torch.Tensor:
    """The plain way: decode at full size, resize, crop, stack and turn the channels first."""
    images = []
    for path in sample["img_paths"]:
        img = cv2.resize(cv2.imread(path, cv2.IMREAD_COLOR), size, interpolation=cv2.INTER_LINEAR)
        images.append(img[top:])
    return torch.from_numpy(np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)))


def seconds(function: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(samples: list[dict[str, Any]], size: tuple[int, int], top: int, rounds: int) -> dict[str, Any]:
    """Time the three pipelines in turns.

    Returns:
        For each, the median seconds per sample and samples per second; and the ratios.
    """
    load = [LoadMultiViewImages(size=size), CropMultiView(top=top)]
    images = Compose([*load, PackMapInputs()])
    augment = [PhotoMetricDistortionMultiView(), RandomLateralFlip()]
    targets = [ResamplePolylines(), RasterizeBEV()]
    training = Compose([*load, *augment, *targets, PackMapInputs()])
    runs: dict[str, Callable[[dict], Any]] = {
        "images": lambda sample: images(dict(sample)),
        "training": lambda sample: training(dict(sample)),
        "reference": lambda sample: reference(sample, size, top),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for sample in samples:
            for name, run in runs.items():
                spent = seconds(lambda run=run, sample=sample: run(sample))  # type: ignore[misc]
                if turn:
                    times[name].append(spent)
    shape = tuple(images(dict(samples[0]))["inputs"]["img"].shape)
    if shape != tuple(reference(samples[0], size, top).shape):
        raise RuntimeError(f"the two ways differ in shape: {shape}")
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "tensor_shape": shape,
        "runs_each": len(times["images"]),
        "seconds_per_sample": medians,
        "samples_per_second_per_core": {name: 1 / value for name, value in medians.items()},
        "speedup_images_over_reference": medians["reference"] / medians["images"],
        "speedup_training_over_reference": medians["reference"] / medians["training"],
    }


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    rates = result["samples_per_second_per_core"]
    rows = [[name, f"{rate:.1f}", f"{rate / rates['reference']:.2f}"] for name, rate in rates.items()]
    show_table("Input pipeline, one core", ["", "samples per second", "times the reference"], rows)
    say(f"JPEG files of {result['mean_jpeg_kib']:.0f} KiB on average, tensor {result['tensor_shape']}")


def parse() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    made.add_argument("--size", type=int, nargs=2, default=(560, 336), metavar=("W", "H"), help="resize to")
    made.add_argument("--crop-top", type=int, default=0, help="rows cut at the top after resizing")
    made.add_argument("--samples", type=int, default=8, help="different samples")
    made.add_argument("--rounds", type=int, default=6, help="timed passes over them, after one warm-up")
    made.add_argument("--quality", type=int, default=90, help="JPEG quality of the own pictures")
    made.add_argument("--dataroot", help="read these images instead of making some")
    made.add_argument("--cache", default="gt_cache_v1.0-mini_train.pkl", help="cache below dataroot/gt_cache")
    return made.parse_args()


def main() -> None:
    """Measure, print, and write the result if asked."""
    args = parse()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.dataroot:
            samples = cached_samples(args.dataroot, args.cache, args.samples)
        else:
            samples = own_samples(Path(folder), args.samples, args.quality)
        sizes = [Path(path).stat().st_size for sample in samples for path in sample["img_paths"]]
        result = measure(samples, tuple(args.size), args.crop_top, args.rounds)
    result["mean_jpeg_kib"] = statistics.mean(sizes) / 1024
    show(result)
    finish(args.out, result, "opencv-python", "torch")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
