"""The small model that comes with the package, made from a run."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mapllava import gt_cache
from mapllava.apis.demo_files import CARD, MODEL, SAMPLE, TRUTH
from mapllava.apis.map_inferencer import MapInferencer
from mapllava.checkpoint import read_model_file
from mapllava.checkpoint.model_file import write_half
from mapllava.datasets.image_file import open_image
from mapllava.datasets.map_dataset import read_entry
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.display import best_f1_display
from mapllava.evaluation.functional import sample_scores
from mapllava.evaluation.results_file import MapResults
from mapllava.evaluation.sample_record import Display, display_to_json
from mapllava.evaluation.scoring import Evaluation, evaluate_maps, pair_with_cache
from mapllava.files import write_json
from mapllava.gt_cache.schema import spec_of
from mapllava.structures.frames import MapSpec
from mapllava.structures.rig import Rig, RigCamera, RigSample

_AHEAD = 5.0
"""Metres."""
MAX_BYTES = 18_000_000
"""Most that model, parser and sample may take in the wheel."""
MAX_PIXELS = 100_000_000
_BATCH = 8
LICENCE = "Apache-2.0"
DATA = "the synthetic city"


def cache_samples(cache: Mapping[str, Any], dataroot: str | Path) -> Iterator[RigSample]:
    """The samples of a ground-truth cache as those of rigs, without their maps.

    Args:
        cache: As :func:`mapllava.gt_cache.load` gives it.
        dataroot: Folder that its image paths are relative to.
    """
    spec, split = spec_of(cache["metainfo"]), cache["metainfo"]["split"]
    for entry in cache["data_list"]:
        info = read_entry(entry, spec, split, dataroot)
        lidar2ego = info["lidar2ego"]
        lidar2cam = np.stack([cam["lidar2cam"] for cam in entry["cams"].values()]).astype(np.float64)
        images = tuple(Path(path) for path in info["img_paths"])
        names = zip(info["cam_names"], images, info["cam2img"], lidar2cam, strict=True)
        cameras = tuple(
            RigCamera(
                name, open_image(path, name, MAX_PIXELS).size, cam2img, lidar2ego @ np.linalg.inv(matrix)
            )
            for name, path, cam2img, matrix in names
        )
        rig = Rig(cameras, lidar2ego, str(dataroot))
        pose = info["ego2global"]
        yield RigSample(entry["sample_token"], rig, images, entry["scene_name"], entry["timestamp"], pose)


def write_demo(
    folder: str | Path,
    model: str | Path,
    cache_path: str | Path,
    made_by: Mapping[str, Any],
    dataroot: str | Path | None = None,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Make the demo's folder: the model in half precision, its score, and the sample that it draws best.

    The score is that of the file written here, float16 as it is, on all samples of the cache.

    Args:
        folder: To write; files in it are replaced.
        model: A run's ``best_model.pth``.
        cache_path: Ground-truth cache of held-out scenes.
        made_by: For the card: ``config``, ``command``, ``commit``.
        dataroot: Of the images; the cache names one.
        max_bytes: Most that the folder may have.

    Returns:
        The card.

    Raises:
        MapLLaVAError: If model or cache cannot be used, or the folder becomes too large.
    """
    folder = Path(folder)
    cache = gt_cache.load(cache_path, check_sources=False)
    root = Path(dataroot or cache["metainfo"]["dataroot"])
    path = write_half(folder / MODEL, model)
    results = _predict(path, cache, root)
    evaluation = evaluate_maps(pair_with_cache(results, cache), "demo", num_draws=None)
    display = best_f1_display(evaluation, version=DATA)
    write_half(folder / MODEL, model, display=display_to_json(display))
    index = _best_sample(evaluation, display)
    sample = list(cache_samples(cache, root))[index]
    _write_sample(folder / SAMPLE, sample)
    entry = cache["data_list"][index]
    truth = [{**line, "points": np.round(line["points"], 3).tolist()} for line in entry["polylines"]]
    write_json(folder / TRUTH, {"sample": sample.token, "polylines": truth}, indent=None)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if size > max_bytes:
        raise MapLLaVAError(f"'{folder}' has {size:,} bytes, and {max_bytes:,} may be in the wheel")
    return write_json(folder / CARD, _card(path, made_by, evaluation, display, cache["metainfo"], sample))


def _predict(model: Path, cache: Mapping[str, Any], root: Path) -> MapResults:
    inferencer = MapInferencer(model, "cpu", batch_size=_BATCH)
    meta = cache["metainfo"]
    results = MapResults(inferencer.map_spec, meta["split"], {}, meta["version"])
    for found in inferencer.stream(cache_samples(cache, root)):
        kept = {key: getattr(found.lines, key) for key in ("points", "labels", "scores")}
        results.results[found.sample.token] = kept
    return results


def _best_sample(evaluation: Evaluation, display: Display) -> int:
    """Of the samples that show every class, the one that is drawn best; of equal ones with the most lines.

    Those with every class ahead of the car come first: what one asks of a map lies ahead.
    """
    spec = evaluation.maps.spec
    scores = sample_scores(evaluation.matches, [display.thresholds[name] for name in spec.classes])
    whole = (scores.num_gt > 0).all(axis=1)
    if not whole.any():
        raise MapLLaVAError("no sample of the cache shows every class: take a larger city")
    ahead = whole & [_shown_ahead(truth, spec) for truth in evaluation.maps.ground_truth]
    rank = np.where(whole, scores.score + 1e-4 * scores.num_gt.sum(axis=1), -np.inf)
    return int((rank + 10.0 * ahead).argmax())


def _shown_ahead(truth: Mapping[str, Any], spec: MapSpec) -> bool:
    """Whether every class has a line that reaches far enough ahead of the car to be asked for."""
    lines = zip(truth["points"], truth["labels"], strict=True)
    there = {int(label) for points, label in lines if points[:, spec.forward_axis].max() > _AHEAD}
    return len(there) == spec.num_classes


def _write_sample(folder: Path, sample: RigSample) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cameras = []
    for camera, image in zip(sample.rig.cameras, sample.images, strict=True):
        shutil.copyfile(Path(str(image)), folder / f"{camera.name}.jpg")
        cameras.append(
            {
                "name": camera.name,
                "width": camera.size[0],
                "height": camera.size[1],
                "camera_matrix": _rounded(camera.cam2img),
                "camera_to_vehicle": _rounded(camera.cam2ego),
            }
        )
    body: dict[str, Any] = {
        "version": 1,
        "description": "a sample of the synthetic city, held out in training",
    }
    lidar2ego = sample.rig.lidar2ego
    if lidar2ego is not None:
        body["lidar_to_vehicle"] = _rounded(lidar2ego)
    write_json(folder / "rig.json", {**body, "cameras": cameras})


def _rounded(matrix: Iterable) -> list[list[float]]:
    return np.round(np.asarray(matrix, dtype=np.float64), 9).tolist()


def _card(
    path: Path,
    made_by: Mapping[str, Any],
    evaluation: Evaluation,
    display: Display,
    meta: Mapping[str, Any],
    sample: RigSample,
) -> dict[str, Any]:
    data, interval = path.read_bytes(), evaluation.interval()
    return {
        **made_by,
        "licence": LICENCE,
        "file": {"name": MODEL, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "parameters": sum(tensor.numel() for tensor in read_model_file(path).state.values()),
        "precision": f"stored as {str(torch.float16).removeprefix('torch.')}, computed as float32",
        "score": {
            "metric": "mAP",
            "value": evaluation.score["mAP"],
            "interval_95": None if interval is None else interval["mAP"].tolist(),
            "protocol": evaluation.score["protocol"],
            "data": f"split {meta['split']} of {DATA} ({meta['version']})",
            "samples": evaluation.score["num_samples"],
            "scenes": len(evaluation.maps.scenes),
            "of": "this file, after rounding to float16",
        },
        "display": display_to_json(display),
        "sample": {"token": sample.token, "scene": sample.scene, "held_out": True},
    }
