"""What data sets, transforms, metrics and hooks must do; raise an AssertionError that says what they do not.

Call them from the tests of a plug-in::

    from mapllava.testing import check_transform

    def test_my_transform_keeps_the_contract():
        check_transform(MyTransform(prob=1.0))

Shapes: N cameras, H x W pixels.
"""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook

from mapllava.models.surround_rig import surround_cameras
from mapllava.structures.frames import MapSpec
from mapllava.structures.map_elements import Polyline
from mapllava.testing.contracts import require

_NAMES = ("CAM_FRONT", "CAM_FRONT_LEFT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT", "CAM_FRONT_RIGHT")
_SHAPES = {"cam2img": (3, 3), "lidar2cam": (4, 4), "lidar2ego": (4, 4), "ego2global": (4, 4)}
_CAMERA_HEIGHT = 1.5  # metres above the ground on which the lines lie
_DOT = 3  # pixels, radius of what marks a vertex
_BRIGHT = 40  # levels above an image's median that a marked vertex keeps


def painted_sample(img_hw: tuple[int, int] = (128, 192)) -> dict[str, Any]:
    """A sample as the first transform after the loader receives it, in which paint shows where lines are.

    Args:
        img_hw: (H, W) in pixels.

    Returns:
        The keys of :class:`mapllava.datasets.MapDataset`, and ``img``: N grey images (H, W, 3) uint8 with a
        white dot at the projection of every vertex of ``polylines``.
    """
    height, width = img_hw
    cam2img = np.eye(3)
    cam2img[0, 0] = cam2img[1, 1] = 0.5 * width / math.tan(math.radians(35.0))
    cam2img[:2, 2] = (width - 1) / 2, (height - 1) / 2
    lidar2img = surround_cameras(img_hw).lidar2img[0].double().numpy()
    lidar2cam = np.stack([np.linalg.inv(_padded(cam2img)) @ matrix for matrix in lidar2img])
    lidar2cam[:, 1, 3] += _CAMERA_HEIGHT  # image down is the map's -z
    across = np.linspace(-12.0, 12.0, 7)
    lines = [Polyline(0, np.stack([across, np.full(7, y)], axis=1)) for y in (-20.0, -10.0, 10.0, 20.0)]
    images = [np.full((height, width, 3), 90, np.uint8) for _ in _NAMES]
    for image, matrix in zip(images, lidar2cam, strict=True):
        for u, v in _pixels(lines, matrix, cam2img):
            cv2.circle(image, (round(u), round(v)), _DOT, (255, 255, 255), cv2.FILLED)
    return {
        "sample_token": "painted", "scene_token": "painted", "scene_name": "painted", "location": "nowhere",
        "split": "painted", "timestamp": 0, "sample_idx": 0, "flip": False, "cam_names": list(_NAMES),
        "img_paths": [f"{name}.png" for name in _NAMES], "img": images, "map_spec": MapSpec(),
        "cam2img": np.stack([cam2img] * len(_NAMES)), "lidar2cam": lidar2cam, "polylines": lines,
        "lidar2ego": np.eye(4), "ego2global": np.eye(4),
    }  # fmt: skip


def check_transform(transform: Callable[[dict], Any], sample: dict[str, Any] | None = None) -> None:
    """A transform: repeatable under a seed, fit for workers, and images, cameras and lines together.

    Every vertex that lies in an image after the transform must lie on its paint there; so a flip that forgets
    the cameras, or a crop that forgets the intrinsics, is found.

    Args:
        transform: It must keep ``img``, ``cam2img``, ``lidar2cam`` and ``polylines``.
        sample: As :func:`painted_sample` gives it; None takes that.

    Raises:
        AssertionError: Naming what is wrong.
    """
    name = type(transform).__name__
    given = painted_sample() if sample is None else sample
    again = pickle.loads(pickle.dumps(transform))  # as a data worker receives it
    results = []
    for each in (transform, again):
        np.random.seed(7)  # noqa: NPY002  (what MMEngine seeds, and fresh_generator reads)
        results.append(each(copy.deepcopy(given)))
    result = results[0]
    require(isinstance(result, dict), f"{name}: returns a {type(result).__name__}, not the sample's dict")
    for key in ("img", "cam2img", "lidar2cam", "polylines"):
        require(key in result, f"{name}: loses the key '{key}'")
    same = all(np.array_equal(a, b) for a, b in zip(results[0]["img"], results[1]["img"], strict=True))
    require(same, f"{name}: one seed gives two results: draw from datasets.transforms.rng.fresh_generator()")
    for key in ("img", "cam2img", "lidar2cam"):
        require(len(result[key]) == len(given["img"]), f"{name}: {len(result[key])} {key} for the cameras")
    _check_paint(name, result)


def _check_paint(name: str, result: Mapping[str, Any]) -> None:
    seen = 0
    for camera, (image, matrix, cam2img) in enumerate(
        zip(result["img"], result["lidar2cam"], result["cam2img"], strict=True)
    ):
        height, width = image.shape[:2]
        middle = float(np.median(image))
        for u, v in _pixels(result["polylines"], matrix, cam2img):
            if not (1 <= u < width - 2 and 1 <= v < height - 2):
                continue
            seen += 1
            column, row = round(u), round(v)
            patch = image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            require(
                float(patch.max()) > middle + _BRIGHT,
                f"{name}: camera {camera} shows no paint at ({u:.1f}, {v:.1f}), where a line's vertex "
                "projects: images, cam2img, lidar2cam and polylines must change together",
            )
    require(seen > 0, f"{name}: no vertex of any line lies in any image afterwards")


def _padded(matrix: np.ndarray) -> np.ndarray:
    padded = np.eye(4)
    padded[:3, :3] = matrix
    return padded


def _pixels(lines: Sequence[Polyline], lidar2cam: np.ndarray, cam2img: np.ndarray) -> np.ndarray:
    """(M, 2) pixels of the vertices before a camera."""
    ground = np.concatenate([line.points for line in lines])
    homogeneous = np.column_stack([ground, np.zeros(len(ground)), np.ones(len(ground))])
    points = homogeneous @ lidar2cam[:3].T
    points = points[points[:, 2] > 1.0] @ cam2img.T
    return points[:, :2] / points[:, 2:]


def check_dataset(dataset: Any, map_spec: MapSpec) -> None:
    """A data set's samples, as the first transform receives them.

    Args:
        dataset: Built, with any pipeline.
        map_spec: Of its map.

    Raises:
        AssertionError: Naming what is wrong.
    """
    name = type(dataset).__name__
    require(len(dataset) > 0, f"{name}: holds no samples")
    pickle.dumps(dataset)
    tokens = []
    for index in range(len(dataset)):
        sample, again = dataset.get_data_info(index), dataset.get_data_info(index)
        tokens.append(sample["sample_token"])
        cameras = len(sample["cam_names"])
        require(cameras > 0, f"{name}: sample {index} has no cameras")
        require(len(sample["img_paths"]) == cameras, f"{name}: sample {index} has not a path per camera")
        for key, shape in _SHAPES.items():
            wanted = (cameras, *shape) if key in ("cam2img", "lidar2cam") else shape
            found = np.shape(sample[key])
            require(found == wanted, f"{name}: sample {index} has {key} {found}, expected {wanted}")
            require(np.array_equal(sample[key], again[key]), f"{name}: two reads of sample {index} differ")
        for line in sample["polylines"]:
            require(isinstance(line, Polyline), f"{name}: polylines holds a {type(line).__name__}")
            known = 0 <= line.label < len(map_spec.classes)
            require(known, f"{name}: sample {index} has a line of label {line.label}")
    require(len(set(tokens)) == len(tokens), f"{name}: sample tokens repeat")
    classes = tuple(dataset.metainfo.get("classes", ()))
    require(classes == tuple(map_spec.classes), f"{name}: metainfo's classes are {classes}")


def check_metric(metric: BaseMetric, classes: Sequence[str] = MapSpec().classes) -> None:
    """A metric: finite numbers by name, whatever the order of samples, each counted once.

    Args:
        metric: Built for the default map specification; its results are cleared.
        classes: Class names.

    Raises:
        AssertionError: Naming what is wrong.
    """
    name = type(metric).__name__
    samples = [_scored_sample(number, len(classes)) for number in range(4)]
    metric.dataset_meta = {"classes": tuple(classes), "split": "contract"}

    def value(seen: Sequence[dict]) -> dict[str, Any]:
        metric.results.clear()
        for sample in seen:
            metric.process({}, [copy.deepcopy(sample)])
        return metric.evaluate(len(seen))

    first = value(samples)
    require(isinstance(first, dict) and bool(first), f"{name}: gives no numbers by name")
    for key, number in first.items():
        require(math.isfinite(float(number)), f"{name}: {key} is {number}")
    for what, seen in (("order", samples[::-1]), ("a sample seen twice", [*samples, samples[0]])):
        changed = [key for key, number in value(seen).items() if not math.isclose(number, first[key])]
        require(not changed, f"{name}: {what} changes {', '.join(changed)}")


def _scored_sample(number: int, num_classes: int) -> dict[str, Any]:
    """A sample with ``number`` true lines and two predictions, one of them right where there is a line."""
    lines = [
        Polyline(index % num_classes, np.array([[index, 0.0], [index, 10.0]])) for index in range(number)
    ]
    points = np.stack([np.column_stack([np.full(20, x), np.linspace(0.0, 10.0, 20)]) for x in (0.0, 9.0)])
    scores = np.array([0.9, 0.4], np.float32) - 0.01 * number  # no ties between samples
    return {
        "sample_token": f"sample {number}",
        "split": "contract",
        "polylines": [line.to_dict() for line in lines],
        "map_spec": MapSpec().to_config(),
        "pred_instances": {"points": points.astype(np.float32), "scores": scores, "labels": np.array([0, 0])},
    }


def check_hook(hook: Hook, train: Callable[[Sequence[Hook]], Mapping[str, Any]]) -> None:
    """A hook that watches a training: it leaves the weights as they would be, and can be built again.

    Args:
        hook: The hook.
        train: Trains something small and seeded with the given hooks; returns its state dict.

    Raises:
        AssertionError: Naming what is wrong.
    """
    name = type(hook).__name__
    pickle.dumps(hook)
    without, along = train([]), train([hook])
    require(list(without) == list(along), f"{name}: changes which weights a model has")
    changed = [key for key, value in without.items() if not bool((value == along[key]).all())]
    require(not changed, f"{name}: changes the weights {', '.join(changed)}")
